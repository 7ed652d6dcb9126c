"""Figures of SAEs: what width and sparsity achieve, what latents stand for, and whether they mean
the same early and late in the sequence."""

from collections.abc import Iterator, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mazewm.claims.statistics import mean
from mazewm.figures.style import (
    GREY,
    MARKERS,
    SERIES,
    SILVER,
    VERMILION,
    WIDTH,
    Style,
    grid,
    legend_below,
    x_label,
)
from mazewm.localize.halves import EARLY, LATE
from mazewm.sae.operating_point import TOLERANCE

TOLERATED = 100 * TOLERANCE  # percentage points that the operating point may lose
COLOURS = {
    "connection": SERIES[0],
    "cell": SERIES[5],
    "special": SERIES[7],
    "position": SERIES[3],
    "path": SERIES[6],
    "dense": SERIES[4],
    "other": SILVER,
    "dead": "#4D4D4D",
}
NAMES = {"special": "special token"}
HALVES = (EARLY, LATE)
SWEPT = ("What it explains", "What it detects", "What splicing it in loses")
RING: Style = {"marker": "o", "markersize": 12, "fillstyle": "none", "color": VERMILION}
RING |= {"linestyle": "none"}


def _groups(rows: pd.DataFrame, *keys: str) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """Each combination of the keys' values with its rows, in order of first appearance."""
    for values in dict.fromkeys(rows[list(keys)].itertuples(index=False, name=None)):
        yield values, rows[(rows[list(keys)] == list(values)).all(axis=1)]


def frontier(rows: pd.DataFrame) -> Figure:
    """Each SAE of the sweep, over its number of active latents per token: explained variance, MCC
    of connections, and solved mazes lost to the splice; a row for each run and place.

    ``rows`` are those of ``claims.saes.frontier`` with a column ``run``."""
    groups = list(_groups(rows, "run", "place"))
    widths = sorted(map(int, rows.width.unique()))
    size = (WIDTH, 1.2 + 2.1 * len(groups))
    figure, axes = plt.subplots(
        len(groups), 3, figsize=size, layout="constrained", squeeze=False, sharex=True
    )
    for ((run, place), here), line in zip(groups, axes, strict=True):
        for nth, width in enumerate(widths):
            _sweep(line, here[here.width == width].sort_values("l0"), nth)
        first = here.iloc[0]
        lost_of = f"{first.solved_clean:.1%}"
        line[0].set_ylabel(f"{run}, {place}\nexplained variance")
        line[1].set_ylabel(f"MCC at {first.token_class}, {first.n_connections} connections")
        line[2].set_ylabel(f"points of solved lost\n({lost_of} of {first.n_mazes:,} mazes)")
        line[2].axhline(TOLERATED, color=GREY, linestyle="--", linewidth=0.8)
        line[2].axhline(0, color=GREY, linewidth=0.8)
    for axis, title in zip(axes[0], SWEPT, strict=True):
        axis.set_title(title)
    _active(axes[0, 0], rows)
    for column in (0, 1):
        _one_scale(axes[:, column])
    x_label(figure, "active latents per token")
    _sweep_legend(figure, widths)
    figure.suptitle("The SAE sweep on validation mazes, with 95 % intervals")
    return figure


def _sweep_legend(figure: Figure, widths: Sequence[int]) -> None:
    keys = []
    for nth, width in enumerate(widths):
        style: Style = {"marker": MARKERS[nth % len(MARKERS)], "color": SERIES[nth % len(SERIES)]}
        keys.append(Line2D([], [], label=f"{width:,} latents", **style))
    keys.append(Line2D([], [], label="chosen", **RING))
    keys.append(Line2D([], [], color=GREY, linestyle="--", label="loss that is tolerated"))
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys), frameon=False)


def _sweep(line: np.ndarray, rows: pd.DataFrame, nth: int) -> None:
    """The SAEs of the nth width in the three panels of one place; the chosen one has a ring."""
    colour, marker = SERIES[nth % len(SERIES)], MARKERS[nth % len(MARKERS)]
    at = rows.l0.to_numpy() * 1.05**nth  # shifted, so that intervals do not overlap
    lost, half = np.array(
        [_lost(row.n_lost, row.n_gained, row.n_mazes) for row in rows.itertuples()]
    ).T
    style: Style = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.0}
    line[0].plot(at, rows.explained_variance, **style)
    spread = np.stack([rows.mcc - rows.mcc_low, rows.mcc_high - rows.mcc]).clip(0)
    line[1].errorbar(at, rows.mcc, yerr=spread, capsize=2, elinewidth=0.8, **style)
    line[2].errorbar(at, lost, yerr=half, capsize=2, elinewidth=0.8, **style)
    ring = rows.is_chosen.to_numpy(bool)
    shown = (rows.explained_variance.to_numpy(), rows.mcc.to_numpy(), lost)
    for axis, values in zip(line, shown, strict=True):
        if ring.any():
            axis.plot(at[ring], values[ring], zorder=5, **RING)


def _active(axis: Axes, rows: pd.DataFrame) -> None:
    """A logarithmic axis with a tick for each sparsity."""
    axis.set_xscale("log")
    ticks = rows.groupby("sparsity").l0.median().sort_values()
    axis.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    axis.minorticks_off()


def _one_scale(axes: np.ndarray) -> None:
    """Put all axes on one scale, which spans the data of all."""
    low, high = (pick(axis.get_ylim()[end] for axis in axes) for end, pick in ((0, min), (1, max)))
    margin = 0.04 * (high - low)
    for axis in axes:
        axis.set_ylim(low - margin, high + margin)
        axis.yaxis.set_major_locator(MaxNLocator(5))


def _lost(n_lost: int, n_gained: int, n: int) -> tuple[float, float]:
    """Solved mazes lost to the splice, in percentage points, and half the width of the 95 %
    interval of this difference of paired shares."""
    lost = (n_lost - n_gained) / n
    variance = (n_lost + n_gained) / n - lost**2
    return 100 * lost, 196 * (variance / n) ** 0.5


def taxonomy(counts: pd.DataFrame) -> Figure:
    """The share of latents of each kind: a bar for each run, place and SAE. ``counts`` has the
    columns run, place, sae, kind and n."""
    groups = list(_groups(counts, "run", "place", "sae"))
    totals = np.array([int(here.n.sum()) for _, here in groups])
    figure, axis = plt.subplots(figsize=(WIDTH, 1.5 + 0.46 * len(groups)), layout="constrained")
    left = np.zeros(len(groups))
    for kind, colour in COLOURS.items():
        n = np.array([here.n[here.kind == kind].sum() for _, here in groups])
        style: Style = {"color": colour, "edgecolor": "white", "linewidth": 0.5}
        axis.barh(
            range(len(groups)), 100 * n / totals, left=left, label=NAMES.get(kind, kind), **style
        )
        ink = "white" if kind in ("connection", "path", "dense", "dead") else "black"
        for y in np.flatnonzero(n >= 0.04 * totals):
            inside: Style = {"ha": "center", "va": "center", "fontsize": 8.5, "color": ink}
            axis.text(left[y] + 50 * n[y] / totals[y], float(y), str(n[y]), **inside)
        left += 100 * n / totals
    beside: Style = {"va": "center", "fontsize": 8.5, "color": COLOURS["connection"]}
    for row, (_, here) in enumerate(groups):
        axis.text(101, row, f"connection: {here.n[here.kind == 'connection'].sum()}", **beside)
    said = {"trained": "SAE", "untrained_model": "SAE of the untrained model"}
    names = [
        f"{run}, {place}\n{said[sae]}, {n:,} latents"
        for ((run, place, sae), _), n in zip(groups, totals, strict=True)
    ]
    axis.set_yticks(range(len(groups)), names, fontsize=8.5)
    axis.set_ylim(len(groups) - 0.5, -0.5)
    axis.set(xlabel="share of latents (%); in the bars: how many", xlim=(0, 100))
    axis.tick_params(axis="y", length=0)
    legend_below(figure, [axis], len(COLOURS))
    figure.suptitle("What latents stand for on test mazes (detectors with an F1 of at least 0.7)")
    return figure


def early_late(rows: pd.DataFrame) -> Figure:
    """F1 early and late in the sequence, of the latents that are best early and of those that are
    best late; ``rows`` are those of PositionRow with a column ``run``."""
    groups = list(_groups(rows, "run", "site"))
    figure, axes = grid(len(groups), 2, 2.8, 1.0, sharey=True)
    for axis, ((run, site), here) in zip(axes, groups, strict=True):
        for nth, chosen_on in enumerate(HALVES):
            _early_late(axis, here[here.found_on == chosen_on], chosen_on, nth)
        n = here.groupby("measured_on").n_tokens.first()
        axis.set_xticks(
            [0, 1], [f"{half} in the sequence\n({n[half]:,} tokens)" for half in HALVES]
        )
        axis.set(xlim=(-0.3, 1.3), ylabel="F1 on test mazes")
        axis.set_title(f"{run}, {site}, {here.connection.nunique()} connections")
    axes[0].set_ylim(max(0, rows.f1.min() - 0.03), 1.02)
    legend_below(figure, axes, 2)
    figure.suptitle(
        "Does a latent mean the same early and late?  Thin: connections; thick: mean, 95 % interval"
    )
    return figure


def _early_late(axis: Axes, rows: pd.DataFrame, chosen_on: str, nth: int) -> None:
    """A thin line for each connection, and their mean with its interval."""
    f1 = rows.pivot(index="connection", columns="measured_on", values="f1")[list(HALVES)]
    at = np.arange(2) + 0.14 * (nth - 0.5)
    axis.plot(at, f1.to_numpy().T, color=SERIES[nth], alpha=0.22, linewidth=0.8)
    value, low, high, _ = np.array([mean(f1[half]) for half in HALVES]).T
    style: Style = {"color": SERIES[nth], "marker": MARKERS[nth], "capsize": 3, "linewidth": 1.8}
    spread = np.stack([value - low, high - value])
    axis.errorbar(at, value, yerr=spread, label=f"the latent that is best {chosen_on}", **style)
