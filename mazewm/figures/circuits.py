"""Figures of room 7: where heads look, what they write, whether the SAE agrees, and what ablating them does."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mazewm.figures.style import BLUE, DIVERGING, GREY, SEQUENTIAL, VERMILION, WIDTH
from mazewm.maze.lattice import lattice
from mazewm.scores.statistics import bootstrap
from mazewm.tokens import SPELLING_CLASSES

OWN, OTHER = BLUE, VERMILION
PATHS = ("heads", "heads+embedding", "heads+embedding+mlp", "embedding", "embedding+mlp")
SETS = ("binding", "connectivity", "other", "shuffled", "none")


def own_mass(attention: pd.DataFrame) -> Figure:
    """Heat map of own_mass by layer, head and token class; the last row is what uniform attention would give."""
    rows = attention[attention.measure == "own_mass"]
    classes = [str(c) for c in SPELLING_CLASSES if str(c) != "c1"]
    layers = sorted(rows.layer.unique())
    figure, axes = plt.subplots(
        1, len(classes), figsize=(WIDTH, 1.4 + 0.55 * (len(layers) + 1)), sharey=True, layout="constrained", squeeze=False
    )
    for axis, token_class in zip(axes[0], classes, strict=True):
        here = rows[rows.token_class == token_class]
        mean, sd = (here[here.control == "none"].pivot(index="layer", columns="head", values=v) for v in ("mean", "sd"))
        uniform, shuffled = (here[here.control == c].pivot(index="layer", columns="head", values="mean") for c in ("uniform", "shuffled"))
        table = np.vstack([mean.to_numpy(), uniform.to_numpy()[:1]])
        image = axis.imshow(table, vmin=0, vmax=1, cmap=SEQUENTIAL, aspect="auto")
        for (y, x), value in np.ndenumerate(table):
            ink = "black" if value > 0.55 else "white"
            is_model = y < len(layers)
            text = f"{value:.2f}" + (f"\n±{sd.to_numpy()[y, x]:.2f}" if is_model else "")
            beats = is_model and value > 2 * max(uniform.to_numpy()[y, x], shuffled.to_numpy()[y, x] if len(shuffled) else 0.0)
            axis.text(x, y, text, ha="center", va="center", color=ink, fontsize=9, fontweight="bold" if beats else "normal")
        axis.axhline(len(layers) - 0.5, color="white", linewidth=3)
        axis.set(title=f"at  {token_class}", xlabel="head", xticks=range(len(mean.columns)), xticklabels=mean.columns)
        axis.set_yticks(range(len(layers) + 1), [f"layer {layer}" for layer in layers] + ["uniform"])
    figure.colorbar(image, ax=axes, label="attention to own coordinates", shrink=0.9)
    figure.suptitle(f"own_mass, mean ± sd over {rows.n.max():,} mazes; bold: more than twice both controls", fontsize=11)
    return figure


def ov_norms(norms: pd.DataFrame) -> Figure:
    """The norm of what each head writes for each cell, on the lattice; a row for each layer."""
    layers, heads = sorted(norms.layer.unique()), sorted(norms["head"].unique())
    n = round(len(norms.cell.unique()) ** 0.5)
    side = WIDTH / (len(heads) + 0.8)
    size = (WIDTH, 0.7 + len(layers) * (side + 0.3))
    figure, axes = plt.subplots(len(layers), len(heads), figsize=size, layout="constrained", squeeze=False)
    top = norms.norm.max()
    for y, layer in enumerate(layers):
        for x, head in enumerate(heads):
            picked = norms[(norms.layer == layer) & (norms["head"] == head)].sort_values("cell")
            table = picked.norm.to_numpy().reshape(n, n)
            image = axes[y, x].imshow(table, vmin=0, vmax=top, cmap=SEQUENTIAL)
            for (row, col), value in np.ndenumerate(table):
                axes[y, x].text(
                    col, row, f"{value:.1f}", ha="center", va="center", fontsize=8, color="black" if value > 0.6 * top else "white"
                )
            axes[y, x].set(title=f"head {layer}.{head}", xticks=range(n), yticks=range(n), xlabel="col" if y == len(layers) - 1 else "")
            if x == 0:
                axes[y, x].set_ylabel("row")
    figure.colorbar(image, ax=axes, label="length of v(cell) in the residual stream", shrink=0.9)
    figure.suptitle("What each head writes when it reads a cell", fontsize=11)
    return figure


def consistency(rows: pd.DataFrame, cosines: pd.DataFrame, site: str) -> Figure:
    """Left: the cosine matrix of the binding heads' fullest path. Right: matched and mismatched cosines for each path and set of heads."""
    rows, cosines = rows[rows.site == site], cosines[cosines.site == site]
    groups = [(p, s) for p in PATHS for s in SETS if ((rows.path == p) & (rows["heads"] == s)).any()]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 1.6 + 0.32 * max(len(groups), 9)), layout="constrained", width_ratios=[1, 1.1]
    )
    _cosine_matrix(left, cosines)
    for y, (path, heads) in enumerate(groups):
        here = rows[(rows.path == path) & (rows["heads"] == heads)]
        right.plot(here.cosine_mismatched_mean, np.full(len(here), y + 0.16), "|", color=OTHER, markersize=7, alpha=0.7)
        right.plot(here.cosine_matched, np.full(len(here), y - 0.16), "|", color=OWN, markersize=7, alpha=0.7)
        right.text(
            1.03,
            y,
            f"{here.auroc.iloc[0]:.2f}   {here['rank'].mean():4.1f}   {here.picked.mean():.2f}",
            transform=right.get_yaxis_transform(),
            va="center",
            fontsize=9,
        )
    right.text(1.03, 1.01, "AUROC rank picked", transform=right.transAxes, va="bottom", fontsize=9)
    right.axvline(0, color=GREY, linewidth=0.8, zorder=0)
    right.plot([], [], "|", color=OWN, label="matched")
    right.plot([], [], "|", color=OTHER, label="mean mismatched")
    right.legend(loc="upper center", bbox_to_anchor=(0.4, -0.13), ncols=2, fontsize=9, frameon=False)
    right.set_yticks(range(len(groups)), [f"{p}\n({s})" if s != "none" else f"{p}\n(no heads)" for p, s in groups], fontsize=8)
    right.set(ylim=(len(groups) - 0.4, -0.6), xlabel="cosine with the decoder direction")
    n = int(rows.n_connections.max()) if len(rows) else 0
    figure.suptitle(
        f"{site}: d(e) against decoder directions, {n} connections (chance: 0.5, {(n + 1) / 2:g}, {rows.picked_chance.mean():.2f})",
        fontsize=11,
    )
    return figure


def _cosine_matrix(axis: Axes, cosines: pd.DataFrame) -> None:
    """The matrix of the last of PATHS that there is; a note if there are no binding heads."""
    present = [p for p in PATHS if (cosines.path == p).any()]
    if not present:
        axis.axis("off")
        axis.text(0.5, 0.5, "no binding heads", ha="center", va="center", color=GREY)
        return
    matrix = cosines[cosines.path == present[-1]].pivot(index="connection", columns="latent_of", values="cosine")
    grid = lattice(next(n for n in range(2, 100) if 2 * n * (n - 1) > matrix.index.max()))
    names = [grid.name(e) for e in matrix.index]
    top = np.abs(matrix.to_numpy()).max()
    image = axis.imshow(matrix.to_numpy(), vmin=-top, vmax=top, cmap=DIVERGING)
    axis.set_title(f"binding heads, {present[-1]}", fontsize=10)
    axis.set_yticks(range(len(names)), names, fontsize=6)
    axis.set(xticks=[], xlabel="decoder direction of the latent of e'", ylabel="d(e)")
    axis.figure.colorbar(image, ax=axis, label="cosine, centred", location="bottom", shrink=0.8)


def knockouts(rows: pd.DataFrame, sites: Sequence[str]) -> Figure:
    """Own and other effect for each head and set of heads: mean over connections, with a bootstrap 95 % interval."""
    shown = [site for site in sites if (rows.site == site).any()]
    ablations = ("mean", "resample")
    names = list(dict.fromkeys(rows["heads"]))
    size = (WIDTH, 1.5 + len(shown) * (0.9 + 0.26 * len(names)))
    figure, axes = plt.subplots(max(1, len(shown)), 2, figsize=size, layout="constrained", squeeze=False, sharex="row")
    for line, site in zip(axes, shown, strict=False):
        for axis, ablation in zip(line, ablations, strict=True):
            here = rows[(rows.site == site) & (rows.ablation == ablation)]
            present = [name for name in names if (here["heads"] == name).any()]
            for shift, column, colour, marker, label in (
                (-0.14, "effect_own", OWN, "o", "own latent"),
                (0.14, "effect_other", OTHER, "s", "others' latents"),
            ):
                values = [here[here["heads"] == name][column].to_numpy() for name in present]
                centre = np.array([v.mean() for v in values])
                low, high = np.array([bootstrap(v)[1:3] for v in values]).T
                spread = np.maximum(0, np.stack([centre - low, high - centre]))
                at = np.arange(len(present)) + shift
                axis.errorbar(centre, at, xerr=spread, fmt=marker, color=colour, markersize=5, capsize=3, linestyle="none", label=label)
            for value in (0, 1):
                axis.axvline(value, color=GREY, linewidth=0.8, linestyle="-" if value == 0 else "--", zorder=0)
            axis.set_yticks(range(len(present)), present)
            axis.invert_yaxis()
            n, mazes = here.connection.nunique(), int(here.groupby("heads").n.sum().max())
            axis.set_title(f"{site}, {ablation} ablation\n{n} connections, {mazes:,} mazes", fontsize=10)
            axis.set_xlabel("1 − z_ablated / z_clean  (1: out)")
    axes[0, 0].set_ylabel("heads ablated")
    axes[0, 0].legend(fontsize=9, loc="best")
    return figure
