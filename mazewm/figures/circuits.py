"""Figures of circuits: what heads attend to and write, whether this agrees with the SAE, and what
ablating them does."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mazewm.claims.statistics import mean
from mazewm.figures.heat import heat_map
from mazewm.figures.style import (
    DIVERGING,
    GREY,
    METHODS,
    RULE,
    SMALL,
    WIDTH,
    Style,
    legend_below,
    x_label,
)
from mazewm.maze.tokens import CONNECTION_CLASSES

OWN, OTHER = METHODS["latents"], METHODS["other_connection"]
PATHS = ("heads", "heads+embedding", "heads+embedding+mlp", "embedding", "embedding+mlp")
SETS = ("binding", "connectivity", "other", "shuffled", "none")
# numbers beside the panel: their place in units of its width, and their format
COLUMNS = {
    "AUROC": (1.12, ".2f"),
    "rank": (1.32, ".1f"),
    "picked": (1.52, ".2f"),
}


def own_mass(attention: pd.DataFrame) -> Figure:
    """Heat map of own_mass by layer, head and token class; the last row is that of uniform
    attention."""
    rows = attention[attention.measure == "own_mass"]
    classes = [str(c) for c in CONNECTION_CLASSES if str(c) != "c1"]
    layers = sorted(rows.layer.unique())
    size = (WIDTH, 1.5 + 0.45 * (len(layers) + 1))
    figure, axes = plt.subplots(
        1, len(classes), figsize=size, sharey=True, layout="constrained", squeeze=False
    )
    for axis, token_class in zip(axes[0], classes, strict=True):
        here = rows[rows.token_class == token_class]
        mean, sd = (
            here[here.control == "none"].pivot(index="layer", columns="head", values=v)
            for v in ("mean", "sd")
        )
        table, text, bold = _table(here, mean, sd)
        image = heat_map(axis, table, text, bold=bold)
        axis.axhline(len(layers) - 0.5, color="white", linewidth=3)
        axis.set(title=f"at  {token_class}", xlabel="head")
        axis.set_xticks(range(len(mean.columns)), mean.columns)
        axis.set_yticks(
            range(len(layers) + 1), [f"block {layer}" for layer in layers] + ["uniform"]
        )
    figure.colorbar(image, ax=axes, label="attention to own coordinates", shrink=0.9, aspect=25)
    question = "Do heads look at the coordinates of their connection?  own_mass, mean over"
    figure.suptitle(
        f"{question} {rows.n.max():,} mazes\nbold, with sd: more than twice both controls"
    )
    return figure


def _table(
    rows: pd.DataFrame, mean: pd.DataFrame, sd: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The heads' means with those of uniform attention below them, the text of each cell, and which
    are more than twice both controls."""
    controls = [
        rows[rows.control == c].pivot(index="layer", columns="head", values="mean")
        for c in ("uniform", "shuffled")
    ]
    best = np.max([control.to_numpy() for control in controls if len(control)], axis=0)
    table = np.vstack([mean.to_numpy(), controls[0].to_numpy()[:1]])
    text = np.array([[f"{value:.2f}" for value in line] for line in table], dtype=object)
    bold = np.vstack([mean.to_numpy() > 2 * best, np.zeros((1, table.shape[1]), bool)])
    for y, x in np.argwhere(bold):
        text[y, x] += f"\n±{sd.to_numpy()[y, x]:.2f}"
    return table, text, bold


def ov_norms(norms: pd.DataFrame) -> Figure:
    """The norm of what each head writes for each cell, on the lattice; a row for each layer."""
    layers, heads = sorted(norms.layer.unique()), sorted(norms["head"].unique())
    n = round(len(norms.cell.unique()) ** 0.5)
    side = (WIDTH - 1) / len(heads)
    size = (WIDTH, 0.6 + len(layers) * (side + 0.35))
    figure, axes = plt.subplots(
        len(layers),
        len(heads),
        figsize=size,
        layout="constrained",
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    bounds = (float(norms.norm.min()), float(norms.norm.max()))
    for line, layer in zip(axes, layers, strict=True):
        for axis, head in zip(line, heads, strict=True):
            of_head = norms[(norms.layer == layer) & (norms["head"] == head)].sort_values("cell")
            table = of_head.norm.to_numpy().reshape(n, n)
            text = np.array([[f"{value:.1f}" for value in row] for row in table], dtype=object)
            image = heat_map(axis, table, text, bounds=bounds)
            axis.set(title=f"head {layer}.{head}", xticks=range(n), yticks=range(n), aspect="equal")
        line[0].set_ylabel("row")
    for axis in axes[-1]:
        axis.set_xlabel("column")
    figure.colorbar(image, ax=axes, label="norm of v(cell)", shrink=0.8, aspect=25)
    figure.suptitle("How much does each head write when it reads a cell?")
    return figure


def consistency(rows: pd.DataFrame, cosines: pd.DataFrame, site: str) -> Figure:
    """Agreement of heads and SAE at one site. Left: the cosine matrix of the binding heads, for the
    longest path. Right: matched and mismatched cosines for each path and set of heads."""
    rows, cosines = rows[rows.site == site], cosines[cosines.site == site]
    groups = [
        (p, s) for p in PATHS for s in SETS if ((rows.path == p) & (rows["heads"] == s)).any()
    ]
    size = (WIDTH, 1.8 + 0.27 * max(len(groups), 9))
    figure, (left, right) = plt.subplots(
        1, 2, figsize=size, layout="constrained", width_ratios=[1, 0.85]
    )
    _cosine_matrix(left, cosines)
    for y, (path, heads) in enumerate(groups):
        here = rows[(rows.path == path) & (rows["heads"] == heads)]
        _marks(right, here.cosine_matched, y - 0.16, OWN.colour)
        _marks(right, here.cosine_mismatched_mean, y + 0.16, OTHER.colour)
        _numbers(
            right, float(y), (here.auroc.iloc[0], here["rank"].mean(), here.picked.mean()), "black"
        )
        if y % 2 == 0:
            right.axhspan(y - 0.5, y + 0.5, color=RULE, alpha=0.4, linewidth=0, zorder=0)
    n = int(rows.n_connections.max()) if len(rows) else 0
    _numbers(right, float(len(groups)), (0.5, (n + 1) / 2, rows.picked_chance.mean()), GREY)
    style: Style = {"va": "center", "ha": "center", "fontsize": SMALL}
    for name, (at, _) in COLUMNS.items():
        right.text(at, -1, name, transform=right.get_yaxis_transform(), **style)
    right.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    right.plot([], [], "|", color=OWN.colour, label="with the latent of the same connection")
    right.plot([], [], "|", color=OTHER.colour, label="mean over those of others")
    names = [p if s == "none" else f"{p}, {s}" for p, s in groups]
    right.set_yticks([*range(len(groups)), len(groups)], [*names, "chance"], fontsize=SMALL)
    right.set(ylim=(len(groups) + 0.5, -1.5), xlabel="cosine with the decoder direction")
    right.tick_params(axis="y", length=0)
    legend_below(figure, [right], 2)
    figure.suptitle(
        f"Do heads write what the SAE reads?  {site}: d(e) against {n} decoder directions"
    )
    return figure


def _marks(axis: Axes, values: pd.Series, y: float, colour: str) -> None:
    """A short line for each connection."""
    axis.plot(values, np.full(len(values), y), "|", color=colour, markersize=7, alpha=0.7)


def _numbers(axis: Axes, y: float, values: Sequence[float], colour: str) -> None:
    """One row of COLUMNS, beside the panel."""
    for (at, form), value in zip(COLUMNS.values(), values, strict=True):
        style: Style = {"va": "center", "ha": "center", "fontsize": SMALL, "color": colour}
        axis.text(at, y, f"{value:{form}}", transform=axis.get_yaxis_transform(), **style)


def _cosine_matrix(axis: Axes, cosines: pd.DataFrame) -> None:
    """The matrix of the last of PATHS that is present; a note if there are no binding heads."""
    present = [p for p in PATHS if (cosines.path == p).any()]
    if not present:
        axis.axis("off")
        axis.text(0.5, 0.5, "no binding heads", ha="center", va="center", color=GREY)
        return
    matrix = cosines[cosines.path == present[-1]].pivot(
        index="connection", columns="latent_of", values="cosine"
    )
    n = next(n for n in range(2, 100) if 2 * n * (n - 1) > matrix.index.max())
    top = np.abs(matrix.to_numpy()).max()
    image = axis.imshow(
        matrix.to_numpy(),
        vmin=-top,
        vmax=top,
        cmap=DIVERGING,
        aspect="auto",
        interpolation="nearest",
    )
    # connections between rows are numbered before those between columns
    edge = (matrix.index < n * (n - 1)).sum()
    axis.axhline(edge - 0.5, color=GREY, linewidth=0.8)
    axis.axvline(edge - 0.5, color=GREY, linewidth=0.8)
    kinds, middles = (
        ["between rows", "between columns"],
        [edge / 2 - 0.5, (edge + len(matrix)) / 2 - 0.5],
    )
    axis.set_xticks(middles, kinds)
    axis.set_yticks(middles, kinds, rotation=90, va="center")
    axis.tick_params(length=0)
    axis.set(title=f"binding heads: {present[-1]}", ylabel="d(e) of connection e")
    axis.set_xlabel("decoder direction of the latent of connection e'")
    axis.figure.colorbar(
        image, ax=axis, label="cosine, centred", location="bottom", shrink=0.8, aspect=30
    )


def knockouts(rows: pd.DataFrame, sites: Sequence[str]) -> Figure:
    """effect_own and effect_other of ablating each head and set of heads: mean over connections,
    with a 95 % interval."""
    shown = [site for site in sites if (rows.site == site).any()]
    of_site = {site: list(dict.fromkeys(rows[rows.site == site]["heads"])) for site in shown}
    heights = [0.8 + 0.21 * len(names) for names in of_site.values()] or [1.0]
    figure, axes = plt.subplots(
        max(1, len(shown)), 2, figsize=(WIDTH, 1.0 + sum(heights)), layout="constrained",
        squeeze=False,
        sharex=True, sharey="row", height_ratios=heights,
    )  # fmt: skip
    for line, (site, names) in zip(axes, of_site.items(), strict=False):
        for axis, ablation in zip(line, ("mean", "resample"), strict=True):
            here = rows[(rows.site == site) & (rows.ablation == ablation)]
            _effects(axis, here, names)
            n, mazes = here.connection.nunique(), int(here.groupby("heads").n.sum().max())
            axis.set_title(f"{site}, {ablation} ablation\n{n} connections, {mazes:,} mazes")
        line[0].set_yticks(range(len(names)), names)
        line[0].set_ylim(len(names) - 0.4, -0.6)
        line[0].set_ylabel("heads ablated")
    x_label(figure, "share of the latent's activation that is lost (1: all of it)")
    legend_below(figure, list(axes.flat), 2)
    figure.suptitle(
        "Which heads does a connection's latent need?  Mean over connections, 95 % interval"
    )
    return figure


def _effects(axis: Axes, rows: pd.DataFrame, names: Sequence[str]) -> None:
    """Points with intervals for one site and ablation, from top to bottom."""
    present = [name for name in names if (rows["heads"] == name).any()]
    at = np.array([names.index(name) for name in present])
    columns = (
        (-0.14, "effect_own", OWN, "the connection's own latent"),
        (0.14, "effect_other", OTHER, OTHER.label),
    )
    for shift, column, look, label in columns:
        values = [rows[rows["heads"] == name][column].to_numpy() for name in present]
        centre, low, high, _ = np.array([mean(v) for v in values]).T
        spread = np.maximum(0, np.stack([centre - low, high - centre]))
        style: Style = {
            "fmt": look.marker,
            "color": look.colour,
            "markersize": 4.5,
            "capsize": 2.5,
            "linestyle": "none",
        }
        axis.errorbar(centre, at + shift, xerr=spread, label=label, **style)
    for value, line in ((0, "-"), (1, "--")):
        axis.axvline(value, color=GREY, linewidth=0.8, linestyle=line, zorder=0)
