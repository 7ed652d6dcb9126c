"""Figures of room 5 and of the taxonomy: what an SAE's width and sparsity buy, what its latents stand for, and where they mean it."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mazewm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SEQUENTIAL, SKY, VERMILION, WIDTH
from mazewm.sae.sweep import TOLERANCE
from mazewm.scores.statistics import bootstrap

MARKERS = "osD^vP"
TOLERATED = 100 * TOLERANCE  # percentage points that the operating point may lose
COLOURS = {
    "connection": BLUE,
    "cell": SKY,
    "special": ORANGE,
    "position": PURPLE,
    "path": GREEN,
    "dense": VERMILION,
    "other": "#C8C8C8",
    "dead": "#4D4D4D",
}


def _groups(rows: pd.DataFrame, *keys: str) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """Values of the keys, and rows with them, in the order in which they stand."""
    for values in dict.fromkeys(rows[list(keys)].itertuples(index=False, name=None)):
        yield values, rows[(rows[list(keys)] == list(values)).all(axis=1)]


def frontier(rows: pd.DataFrame) -> Figure:
    """What each point of the sweep explains, detects and loses; a line of panels for each run and place. Of FrontierRow, with ``mcc`` the
    mean over ``n_connections``, and the ends of its interval in ``mcc_low`` and ``mcc_high``."""
    groups = list(_groups(rows, "run", "place"))
    widths, sparsities = sorted(rows.width.unique()), sorted(rows.sparsity.unique())
    marker = {width: MARKERS[nth % len(MARKERS)] for nth, width in enumerate(widths)}
    colour = dict(zip(sparsities, plt.get_cmap(SEQUENTIAL)(np.linspace(0, 0.9, len(sparsities))), strict=True))
    figure, axes = plt.subplots(len(groups), 2, figsize=(WIDTH, 0.8 + 3.0 * len(groups)), layout="constrained", squeeze=False)
    for ((run, place), here), (left, right) in zip(groups, axes, strict=True):
        for row in here.itertuples():
            style = {"marker": marker[row.width], "color": colour[row.sparsity], "markersize": 7, "capsize": 2}
            spread = [[row.mcc - row.mcc_low], [row.mcc_high - row.mcc]]
            left.errorbar(row.explained_variance, row.mcc, yerr=spread, elinewidth=0.8, **style)
            shift = 1.06 ** (widths.index(row.width) - (len(widths) - 1) / 2)  # so that intervals do not lie on each other
            lost, half = _lost(row.n_lost, row.n_gained, row.n_mazes)
            right.errorbar(row.l0 * shift, lost, yerr=half, elinewidth=0.8, **style)
            if row.is_chosen:
                left.plot(row.explained_variance, row.mcc, "o", markersize=15, fillstyle="none", color=VERMILION)
                right.plot(row.l0 * shift, lost, "o", markersize=15, fillstyle="none", color=VERMILION)
        right.axhline(TOLERATED, color=GREY, linestyle="--", linewidth=0.8)
        right.axhline(0, color=GREY, linewidth=0.8)
        first = here.iloc[0]
        left.set(xlabel="explained variance", ylabel=f"MCC at {first.token_class}", ylim=(min(-0.05, left.get_ylim()[0]), 1.06))
        left.set_title(f"{run}, {place}\nmean of {first.n_connections} connections, deepest tree", fontsize=10)
        right.set(xlabel="active latents per token", ylabel="points of solved lost", xscale="log")
        right.set_xticks(l0 := sorted(here.l0.round().astype(int).unique()), list(map(str, l0)))
        right.minorticks_off()
        right.set_title(
            f"{first.n_mazes:,} validation mazes, {first.solved_clean:.1%} solved\nlost when the SAE is spliced in; dashed: tolerated",
            fontsize=10,
        )
    keys = [Line2D([], [], marker=marker[w], color="black", linestyle="none", label=f"{w:,} latents") for w in widths]
    keys += [Line2D([], [], marker="o", color=colour[s], linestyle="none", label=f"sparsity {s:g}") for s in sparsities]
    keys += [Line2D([], [], marker="o", color=VERMILION, fillstyle="none", markersize=12, linestyle="none", label="chosen")]
    figure.legend(handles=keys, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.suptitle("The SAE sweep, with 95 % intervals", fontsize=11)
    return figure


def _lost(n_lost: int, n_gained: int, n: int) -> tuple[float, float]:
    """Percentage points of mazes lost to the splice, and half of the 95 % interval of this difference of paired shares."""
    lost = (n_lost - n_gained) / n
    variance = (n_lost + n_gained) / n - lost**2
    return 100 * lost, 196 * (variance / n) ** 0.5


def taxonomy(counts: pd.DataFrame) -> Figure:
    """How many latents are of each kind: a bar for each run, place and SAE (columns run, place, sae, kind, n)."""
    groups = list(_groups(counts, "run", "place", "sae"))
    totals = [int(here.n.sum()) for _, here in groups]
    figure, axis = plt.subplots(figsize=(WIDTH, 1.5 + 0.5 * len(groups)), layout="constrained")
    left = np.zeros(len(groups))
    for kind, colour in COLOURS.items():
        n = np.array([here.n[here.kind == kind].sum() for _, here in groups])
        axis.barh(range(len(groups)), n, left=left, color=colour, edgecolor="white", linewidth=0.5, label=kind)
        ink = "white" if kind in ("connection", "path", "dense", "dead") else "black"
        for y in np.flatnonzero(n >= 0.035 * max(totals)):
            axis.text(left[y] + n[y] / 2, float(y), str(n[y]), ha="center", va="center", fontsize=9, color=ink)
        left += n
    said = {"trained": "SAE", "untrained_model": "SAE of the untrained model"}
    names = [f"{run}, {place}\n{said[sae]}, {total:,} latents" for ((run, place, sae), _), total in zip(groups, totals, strict=True)]
    axis.set_yticks(range(len(groups)), names, fontsize=9)
    axis.invert_yaxis()
    axis.set(xlabel="latents")
    axis.set_title("What latents stand for on test mazes (F1 of at least 0.7 as a detector)", fontsize=11)
    figure.legend(loc="outside lower center", ncols=len(COLOURS), frameon=False, fontsize=9)
    return figure


def early_late(rows: pd.DataFrame) -> Figure:
    """F1 early and late in the sequence of the latents that are the best early, and of those that are the best late (PositionRow)."""
    groups = list(_groups(rows, "run", "site"))
    height = 0.9 + 2.6 * -(-len(groups) // 2)
    figure, axes = plt.subplots(-(-len(groups) // 2), 2, figsize=(WIDTH, height), layout="constrained", squeeze=False, sharey=True)
    halves = ["early", "late"]
    for axis, ((run, site), here) in zip(axes.flat, groups, strict=False):
        for nth, (found_on, colour) in enumerate(zip(halves, (BLUE, VERMILION), strict=True)):
            mine = here[here.found_on == found_on].pivot(index="connection", columns="measured_on", values="f1")[halves]
            at = np.arange(2) + 0.14 * (nth - 0.5)
            axis.plot(at, mine.to_numpy().T, color=colour, alpha=0.18, linewidth=0.8)
            means = [bootstrap(mine[half].to_numpy()) for half in halves]
            spread = np.array([[mean.value - mean.low for mean in means], [mean.high - mean.value for mean in means]])
            axis.errorbar(
                at, [mean.value for mean in means], yerr=spread, color=colour, marker="o", capsize=3, label=f"the best {found_on}"
            )
        n = here.groupby("measured_on").n_tokens.first()
        axis.set_xticks([0, 1], [f"early\n{n['early']:,} tokens", f"late\n{n['late']:,} tokens"])
        axis.set(xlim=(-0.4, 1.4), ylim=(-0.02, 1.02), ylabel="F1 on test mazes")
        axis.set_title(f"{run}, {site}, {here.connection.nunique()} connections", fontsize=10)
    for axis in axes.flat[len(groups) :]:
        axis.axis("off")
    axes.flat[0].legend(title="each connection's latent", frameon=False, fontsize=9)
    figure.suptitle("Does a latent mean the same connection early and late? Mean over connections with 95 % interval", fontsize=11)
    return figure
