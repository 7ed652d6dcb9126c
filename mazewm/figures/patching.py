"""Figures of activation patching: at which places and tokens a connection's information is, which
part of a block writes it there, and whether a gradient predicts the effects."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mazewm.circuits.groups import TOKEN_GROUPS
from mazewm.claims.patching import attribution_agreement, one_group, right_patches
from mazewm.figures.heat import heat_map
from mazewm.figures.style import DIVERGING, GREY, RULE, SERIES, SMALL, WIDTH, Style, empty, x_label

SHORT = {"<ADJLIST_END>": "list end", "<PATH_START>": "path start"}
LABELS = [
    SHORT.get(group, group).replace(", ", "\n").replace(" ", "\n", 1) for group in TOKEN_GROUPS
]
# lines after the groups of the swapped connection, of later connections, and of the frame
BOUNDARIES = (
    4.5,
    9.5,
    14.5,
)
NO_PAIR = "no pair of mazes is read right before and after the swap"
SITES = {
    "attn_out": "attention's output",
    "mlp_out": "the MLP's output",
    "resid_post": "residual stream",
}
PRINTED = 0.05  # the smallest effect that is printed, if its interval excludes zero


def patching(effects: pd.DataFrame) -> Figure:
    """Effect of patching the residual stream, by depth (the embedding on top) and token group; a
    panel for each run."""
    panels = [
        (run, ("resid_pre", "resid_post"), "residual stream") for run in dict.fromkeys(effects.run)
    ]
    if effects.empty:
        return empty(NO_PAIR)
    return _heat_maps(
        effects,
        panels,
        "Where does a connection's information live?  The other maze's residual stream put in",
    )


def patching_parts(effects: pd.DataFrame) -> Figure:
    """As ``patching``, for the outputs of attention and of the MLP of each block; two panels for
    each run."""
    parts = (("attn_out", "what attention adds"), ("mlp_out", "what the MLP adds"))
    panels = [(run, (site,), text) for run in dict.fromkeys(effects.run) for site, text in parts]
    if effects.empty:
        return empty(NO_PAIR)
    return _heat_maps(
        effects, panels, "What carries it there?  What a part adds in the other maze put in"
    )


def _heat_maps(
    effects: pd.DataFrame, panels: Sequence[tuple[str, tuple[str, ...], str]], title: str
) -> Figure:
    tables = [effects[(effects.run == run) & effects.site.isin(sites)] for run, sites, _ in panels]
    heights = [len(table[["layer", "site"]].drop_duplicates()) for table in tables]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(WIDTH, 1.6 + 0.4 * len(panels) + 0.34 * sum(heights)),
        layout="constrained", squeeze=False, sharex=True, height_ratios=heights,
    )  # fmt: skip
    for axis, table, (run, _, text) in zip(axes[:, 0], tables, panels, strict=True):
        image = _heat_map(axis, table)
        n, n_wrong = f"{table.n.min():,} to {table.n.max():,} pairs", table.n_wrong.max()
        axis.set_title(f"{run}: {text} ({n}; {n_wrong:,} more are read wrongly)")
    axes[-1, 0].set_xticks(range(len(TOKEN_GROUPS)), LABELS, fontsize=SMALL)
    axes[-1, 0].set_xlabel(
        "tokens patched, in reading order (own: of the swapped connection; later: of those behind)"
    )
    bar = figure.colorbar(
        image, ax=axes, label="effect (1: as if the other maze were read)", shrink=0.8, aspect=25
    )
    bar.ax.set_ylim(min(-0.1, effects.effect.min()), max(1, effects.effect.max()))
    shown = f"printed: effects of at least {PRINTED:g} whose 95 % interval leaves out zero"
    figure.suptitle(f"{title}\n{shown}; grey: cannot matter")
    return figure


def _heat_map(axis: Axes, table: pd.DataFrame) -> AxesImage:
    """A heat map with a row for each place, by depth, and a column for each token group."""
    places = sorted(set(zip(table.layer, table.site == "resid_post", table.site, strict=True)))
    row = {(layer, site): y for y, (layer, _, site) in enumerate(places)}
    shown = np.full((len(places), len(TOKEN_GROUPS)), np.nan)
    text = np.full(shown.shape, "", dtype=object)
    for one in table.itertuples():
        y, x = row[one.layer, one.site], TOKEN_GROUPS.index(one.token_group)
        shown[y, x] = one.effect
        if abs(one.effect) >= PRINTED and (one.low > 0 or one.high < 0):
            text[y, x] = f"{one.effect:.2f}"
    axis.set_facecolor(RULE)
    image = heat_map(axis, shown, text, bounds=(-1.0, 1.0), cmap=DIVERGING, size=8.5)
    axis.set_yticks(
        range(len(places)),
        ["embedding" if site == "resid_pre" else f"block {layer}" for layer, _, site in places],
    )
    axis.set_ylim(len(places) - 0.5, -0.5)
    for boundary in BOUNDARIES:
        axis.axvline(boundary, color=GREY, linewidth=1.2)
    return image


def attribution(pairs: pd.DataFrame, patches: pd.DataFrame) -> Figure:
    """The change of the metric that attribution predicts against that of patching; a row for each
    run, a panel for each kind of place."""
    runs = list(dict.fromkeys(patches.run))
    if not pairs.is_right.any():
        return empty(NO_PAIR)
    size = (WIDTH, 0.9 + 3.0 * len(runs))
    figure, axes = plt.subplots(
        len(runs),
        len(SITES),
        figsize=size,
        layout="constrained",
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    for line, run in zip(axes, runs, strict=True):
        of_run = (pairs[pairs.run == run], patches[patches.run == run])
        agreement, changes = (
            attribution_agreement(*of_run),
            right_patches(of_run[0], one_group(of_run[1])),
        )
        for axis, (site, name) in zip(line, SITES.items(), strict=True):
            here = changes[changes.site == site]
            _points(axis, here, agreement[agreement.site == site])
            axis.set_title(f"{run}: {name}\n(n = {len(here):,})")
    x_label(figure, "change by patching (logits)")
    figure.supylabel("change that the gradient predicts (logits)", fontsize=9)
    figure.suptitle(
        "Does one gradient predict what patching does?  Points: pairs × token groups; line: equal"
    )
    return figure


def _points(axis: Axes, changes: pd.DataFrame, agreement: pd.DataFrame) -> None:
    """A point for each pair and token group, coloured by block, with Pearson's (r) and Spearman's
    (ρ) correlation."""
    for layer, one in agreement.set_index("layer").sort_index().iterrows():
        points = changes[changes.layer == layer]
        label = f"block {layer}: r {one.pearson:.2f}, ρ {one.spearman:.2f}"
        style: Style = {
            "markersize": 2.5,
            "alpha": 0.5,
            "markeredgewidth": 0,
            "color": SERIES[layer % len(SERIES)],
        }
        axis.plot(points.change, points.attribution, ".", label=label, **style)
    axis.axline((0, 0), slope=1, color=GREY, linewidth=0.8, zorder=0)
    axis.legend(
        fontsize=SMALL,
        frameon=False,
        markerscale=4,
        loc="upper left",
        handletextpad=0.1,
        borderpad=0,
    )
