"""Figures of the claims that compare runs: C7, between positional encodings, and C10, between
training objectives. Every run is a point."""

import textwrap
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mazewm.circuits.directions import EMBEDDING, WHOLE
from mazewm.claims.geometry import square
from mazewm.claims.pooling import over_seeds
from mazewm.figures.style import (
    BLACK,
    GREY,
    MARKERS,
    RULE,
    SEQUENTIAL,
    SERIES,
    SILVER,
    SMALL,
    WIDTH,
    empty,
    grid,
    legend_below,
    span,
    x_label,
)

SOURCES = {WHOLE: "connections", EMBEDDING: "embeddings of their cells (control)"}


def code(numbers: pd.DataFrame) -> Figure:
    """C7: each number that it compares, by encoding: a point for each run, a marker for each
    objective, and of several seeds the mean with Student's interval over seeds. A single run has
    no bar: its own interval, over mazes or connections, would look like one over seeds."""
    shown = numbers[numbers.id.str.startswith("C7")]
    if shown.empty:
        return empty("C7: nothing is measured that encodings could change")
    encodings, objectives = (list(dict.fromkeys(shown[name])) for name in ("encoding", "objective"))
    keys = list(dict.fromkeys(shown.key))
    height = 0.75 + 0.2 * len(encodings) * max(1, len(objectives) * 0.8)
    figure, axes = grid(len(keys), 4, height, 0.9, sharey=True)
    for axis, key in zip(axes, keys, strict=True):
        here = shown[shown.key == key]
        reach = _reach(here)
        for nth, objective in enumerate(objectives):
            mine = here[here.objective == objective]
            shift = 0.7 * ((nth + 0.5) / len(objectives) - 0.5)
            for y, encoding in enumerate(encodings):
                _seeds(axis, mine[mine.encoding == encoding], y + shift, nth, SERIES[y], reach)
        axis.set_title(f"{here.id.iloc[0]}  " + textwrap.fill(here.measure.iloc[0], 22))
        axis.set_xlim(*reach)
        axis.xaxis.set_major_locator(MaxNLocator(3))
        for y in np.arange(len(encodings) - 1) + 0.5:
            axis.axhline(y, color=RULE, linewidth=0.6, zorder=0)
        axis.set_yticks(range(len(encodings)), encodings)
        axis.tick_params(axis="y", length=0)
    axes[0].set_ylim(len(encodings) - 0.5, -0.5)
    for nth, objective in enumerate(objectives):
        axes[0].plot([], [], MARKERS[nth], color=GREY, label=f"objective {objective}")
    legend_below(figure, axes[:1], 2)
    n = shown.groupby(["encoding", "objective"]).seed.nunique()
    figure.suptitle(
        f"C7  Does the encoding change the code?\nPoints: runs (seeds of each kind: {span(n)}); "
        "bars: mean of seeds, 95 %; arrowheads: beyond the panel"
    )
    return figure


def _reach(rows: pd.DataFrame) -> tuple[float, float]:
    """Where an axis begins and ends: with room for the runs and their own intervals. Student's
    interval over two or three seeds may be so wide that nothing else could be told apart."""
    low, high = rows[["value", "low"]].min(axis=None), rows[["value", "high"]].max(axis=None)
    room = 0.12 * (high - low) or 0.5
    return low - room, high + room


def _seeds(
    axis: Axes, rows: pd.DataFrame, y: float, nth: int, colour: str, reach: tuple[float, float]
) -> None:
    """The runs of one kind, and their mean with its interval; an arrowhead where the interval goes
    on beyond the panel."""
    axis.scatter(
        rows.value, np.full(len(rows), y), s=20, color=colour, marker=MARKERS[nth], alpha=0.75,
        linewidths=0, zorder=3,
    )  # fmt: skip
    if len(rows) < 2:
        return
    middle, low, high = over_seeds(*(rows[end].tolist() for end in ("value", "low", "high")))
    axis.plot([low, high], [y, y], color=BLACK, linewidth=1.1, zorder=2)
    axis.plot([middle], [y], "|", color=BLACK, markersize=9, mew=1.4, zorder=2)
    cut = {"<": (low < reach[0], reach[0]), ">": (high > reach[1], reach[1])}
    for head, (goes_on, end) in cut.items():
        if goes_on:
            axis.plot([end], [y], head, color=BLACK, markersize=5, clip_on=False, zorder=2)


def objectives(numbers: pd.DataFrame) -> Figure:
    """C10: the share of binding at ``;``, of the two runs of each encoding and seed, joined by a
    line; a panel for each encoding."""
    rows = numbers[numbers.id == "C10"]
    if rows.empty:
        return empty("C10: no head brings a connection to any of the tokens")
    names, encodings = (list(dict.fromkeys(rows[name])) for name in ("objective", "encoding"))
    figure, axes = grid(len(encodings), 5, 2.0, 0.9, sharex=True, sharey=True)
    for nth, (axis, encoding) in enumerate(zip(axes, encodings, strict=True)):
        mine = rows[rows.encoding == encoding]
        for _, pair in mine.groupby("seed", sort=False):
            at = [names.index(name) for name in pair.objective]
            axis.plot(at, pair.value, "o-", color=SERIES[nth], markersize=4.5, linewidth=1)
        axis.set_xticks(range(len(names)), names)
        axis.set_xlim(-0.5, len(names) - 0.5)
        axis.set_title(encoding)
    axes[0].set_ylabel("share of binding at ;")
    low, high = min(0.0, rows.value.min()), max(1.0, rows.value.max())
    axes[0].set_ylim(low - 0.03, high + 0.03)
    x_label(figure, "training objective")
    figure.suptitle("C10  Share at ; of what heads bring to <-->, c2 and ;  Lines: seeds")
    return figure


def geometry(similarities: pd.DataFrame, numbers: pd.DataFrame) -> Figure:
    """C7f: how similar the geometries of every two runs are, as a matrix of runs; and all pairs by
    whether the encoding and the objective are the same, beside the same of embeddings alone."""
    if similarities.rsa.isna().all():
        return empty("C7f: there are no two runs whose geometry can be compared")
    kinds = numbers.drop_duplicates("run").set_index("run")
    runs = list(kinds.sort_values("objective", kind="stable").index)  # encodings as elsewhere
    figure, axes = plt.subplots(
        1, 2, figsize=(WIDTH, 3.9), layout="constrained", width_ratios=(1.05, 1)
    )
    _matrix(figure, axes[0], similarities, runs)
    _pairs(axes[1], similarities, kinds)
    legend_below(figure, [axes[1]], 2)
    figure.suptitle(
        "C7f  Do the directions of connections lie to each other alike?  "
        "Correlation of cosines, each pair of runs"
    )
    return figure


def _matrix(figure: Figure, axis: Axes, rows: pd.DataFrame, runs: Sequence[str]) -> None:
    """The similarities of connections; kinds of runs named beside their first run."""
    found = square(rows, WHOLE, runs)
    image = axis.imshow(found, cmap=SEQUENTIAL, vmax=1.0, vmin=min(0.0, float(np.nanmin(found))))
    kinds = [run.rpartition("-")[0] for run in runs]
    first = [nth for nth, kind in enumerate(kinds) if kind not in kinds[:nth]]
    for edge in first[1:]:
        for line in (axis.axhline, axis.axvline):
            line(edge - 0.5, color="white", linewidth=0.8)
    ends = [*first[1:], len(runs)]
    middle = [(a + b - 1) / 2 for a, b in zip(first, ends, strict=True)]
    named = [kinds[nth] for nth in first]
    axis.set_xticks(middle, named, rotation=90, fontsize=SMALL)
    axis.set_yticks(middle, named, fontsize=SMALL)
    axis.tick_params(length=0)
    axis.set_title("connections")
    figure.colorbar(image, ax=axis, shrink=0.8)


def _pairs(axis: Axes, rows: pd.DataFrame, kinds: pd.DataFrame) -> None:
    """Every pair of runs, by what they have in common; the mean as a bar."""
    both = rows.dropna()
    same = {
        name: kinds[name].loc[both.run].to_numpy() == kinds[name].loc[both.other].to_numpy()
        for name in ("encoding", "objective")
    }
    groups = {
        "same encoding,\nsame objective": same["encoding"] & same["objective"],
        "other encoding,\nsame objective": ~same["encoding"] & same["objective"],
        "same encoding,\nother objective": same["encoding"] & ~same["objective"],
        "both others": ~same["encoding"] & ~same["objective"],
    }
    drawn = {name: mask for name, mask in groups.items() if mask.any()}
    for y, mask in enumerate(drawn.values()):
        for nth, (source, label) in enumerate(SOURCES.items()):
            values = both[mask & (both.source == source)].rsa.to_numpy()
            at = y + (-0.17, 0.17)[nth]
            jitter = np.random.default_rng(0).uniform(-0.09, 0.09, len(values))
            axis.plot(
                values, at + jitter, MARKERS[nth], color=(SERIES[0], SILVER)[nth], markersize=3.5,
                markeredgewidth=0, alpha=0.6, label=label,
            )  # fmt: skip
            axis.plot([values.mean()], [at], "|", color=BLACK, markersize=12, mew=1.5)
    axis.set_yticks(range(len(drawn)), list(drawn), fontsize=SMALL)
    axis.set_ylim(len(drawn) - 0.5, -0.5)
    axis.set_xlabel("similarity of two runs (1: equal up to rotation and lengths)")
