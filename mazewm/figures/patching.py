"""Figures of activation patching: where a connection's information lives, what puts it there, and whether a gradient would have told."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mazewm.circuits.patching import TOKEN_GROUPS
from mazewm.figures.style import DIVERGING, GREY, PALETTE, WIDTH, empty
from mazewm.scores.patching import attribution_agreement, one_group, right_patches

SHORT = {"<ADJLIST_END>": "list end", "<PATH_START>": "path start"}
LABELS = [SHORT.get(group, group).replace(", ", "\n").replace(" ", "\n", 1) for group in TOKEN_GROUPS]
BOUNDARIES = (4.5, 9.5, 14.5)  # after the swapped connection, after the list of connections, before the path
NO_PAIR = "no pair of mazes is read right before and after the swap"
SITES = ("attn_out", "mlp_out", "resid_post")


def patching(effects: pd.DataFrame) -> Figure:
    """Effect of patching the residual stream, by depth (the embeddings on top) and token group; one panel for each run."""
    panels = [(run, ("resid_pre", "resid_post"), "residual stream") for run in dict.fromkeys(effects.run)]
    if effects.empty:
        return empty(NO_PAIR)
    return _heat_maps(effects, panels, "Where a connection's information lives: effect of putting in the other maze's residual stream")


def patching_parts(effects: pd.DataFrame) -> Figure:
    """The same for what attention and MLP of each block put out, two panels for each run."""
    parts = (("attn_out", "what attention adds"), ("mlp_out", "what the MLP adds"))
    panels = [(run, (site,), text) for run in dict.fromkeys(effects.run) for site, text in parts]
    if effects.empty:
        return empty(NO_PAIR)
    return _heat_maps(effects, panels, "What carries it there: effect of putting in what a part adds in the other maze")


def _heat_maps(effects: pd.DataFrame, panels: Sequence[tuple[str, tuple[str, ...], str]], title: str) -> Figure:
    tables = [effects[(effects.run == run) & effects.site.isin(sites)] for run, sites, _ in panels]
    heights = [len(table[["layer", "site"]].drop_duplicates()) for table in tables]
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(WIDTH, 1.5 + 0.4 * len(panels) + 0.4 * sum(heights)), layout="constrained",
        squeeze=False, sharex=True, height_ratios=heights,
    )  # fmt: skip
    for axis, table, (run, _, text) in zip(axes[:, 0], tables, panels, strict=True):
        image = _heat_map(axis, table)
        axis.set_title(f"{run}: {text} (n = {table.n.min()}–{table.n.max()} pairs, {table.n_wrong.max()} more read wrongly)", fontsize=10)
    axes[-1, 0].set_xticks(range(len(TOKEN_GROUPS)), LABELS, fontsize=8)
    axes[-1, 0].set_xlabel(
        "tokens patched, in reading order (own: of the swapped connection; later: of those after it; all: the four before at once)",
        fontsize=9,
    )
    figure.colorbar(image, ax=axes, label="effect  (1: as if the other maze were read)", shrink=0.8)
    figure.suptitle(title + "\n± half of the 95 % interval; blank: nothing that could matter", fontsize=11)
    return figure


def _heat_map(axis: Axes, table: pd.DataFrame) -> AxesImage:
    """One cell for each place, in order of depth, and token group."""
    places = sorted(set(zip(table.layer, table.site == "resid_post", table.site, strict=True)))
    row = {(layer, site): y for y, (layer, _, site) in enumerate(places)}
    shown = np.full((len(places), len(TOKEN_GROUPS)), np.nan)
    for one in table.itertuples():
        y, x = row[one.layer, one.site], TOKEN_GROUPS.index(one.token_group)
        shown[y, x] = one.effect
        ink = "white" if abs(one.effect) > 0.6 else "black"
        axis.text(
            x,
            y,
            f"{one.effect:.2f}\n±{(one.high - one.low) / 2:.2f}".replace("-0.00", "0.00"),
            ha="center",
            va="center",
            fontsize=6.5,
            color=ink,
        )
    image = axis.imshow(shown, vmin=-1, vmax=1, cmap=DIVERGING, aspect="auto")
    axis.set_yticks(range(len(places)), ["embedding" if site == "resid_pre" else f"layer {layer}" for layer, _, site in places])
    axis.set_ylim(len(places) - 0.5, -0.5)
    for boundary in BOUNDARIES:
        axis.axvline(boundary, color=GREY, linewidth=1.5)
    axis.tick_params(length=0)
    return image


def attribution(pairs: pd.DataFrame, patches: pd.DataFrame) -> Figure:
    """What the gradient predicts against what patching does, a row for each run and a panel for each kind of place."""
    runs = list(dict.fromkeys(patches.run))
    if not pairs.is_right.any():
        return empty(NO_PAIR)
    figure, axes = plt.subplots(
        len(runs), len(SITES), figsize=(WIDTH, 0.9 + 2.9 * len(runs)), layout="constrained", squeeze=False, sharex=True, sharey=True
    )
    for line, run in zip(axes, runs, strict=True):
        mine = (pairs[pairs.run == run], patches[patches.run == run])
        agreement, changes = attribution_agreement(*mine), right_patches(mine[0], one_group(mine[1]))
        for axis, site in zip(line, SITES, strict=True):
            here = changes[changes.site == site]
            for layer, found in agreement[agreement.site == site].set_index("layer").sort_index().iterrows():
                points = here[here.layer == layer]
                label = f"layer {layer}: r {found.pearson:.2f}, ρ {found.spearman:.2f}"
                axis.plot(points.change, points.attribution, ".", markersize=2, alpha=0.5, color=PALETTE[layer % len(PALETTE)], label=label)
            axis.axline((0, 0), slope=1, color=GREY, linewidth=0.8, zorder=0)
            axis.legend(fontsize=7, frameon=False, markerscale=4, loc="upper left", handletextpad=0.1, borderpad=0)
            axis.set_title(f"{run}: {site} (n = {len(here):,})", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("exact change (logits)")
    for axis in axes[:, 0]:
        axis.set_ylabel("attributed change (logits)")
    figure.suptitle("Would one gradient have told? Points: pairs × token groups; line: equal; r Pearson, ρ Spearman", fontsize=11)
    return figure
