"""Figures of edits of single connections: what every method does at its own best dose (C4, C9), at
every dose, and adding beside removing (C5)."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mazewm.figures.style import (
    GREY,
    MARKERS,
    METHODS,
    RULE,
    SMALL,
    WIDTH,
    grid,
    legend_below,
    x_label,
)

KINDS = {"add": "adding", "remove": "removing", "move": "moving"}
# methods in the order of rows; where there are several sets of units, each has a row
ROWS = (
    "tokens",
    "latents",
    "mean_difference",
    "probe_pattern",
    "probe_direction",
    "residual_dimensions",
    "frozen_decoder",
    "untrained_model",
    "other_connection",
    "random_direction",
    "add_only",
    "remove_only",
    "add_and_random",
)


def edits(table: pd.DataFrame) -> Figure:
    """C4: hit and spill of every method at its own best dose at the writing site. A row of panels
    for each run, a column for each kind of edit."""
    rows = table[table.is_main & table.method.isin(ROWS)]
    names = _rows_of(rows)
    runs = list(dict.fromkeys(rows.run))
    figure, axes = plt.subplots(
        len(runs), len(KINDS), figsize=(WIDTH, 0.9 + len(runs) * (0.4 + 0.15 * len(names))),
        layout="constrained", sharex=True, sharey=True, squeeze=False,
    )  # fmt: skip
    for line, run in zip(axes, runs, strict=True):
        for axis, kind in zip(line, KINDS, strict=True):
            here = rows[(rows.run == run) & (rows.kind == kind)]
            for y, (method, n_units, _) in enumerate(names):
                _effect(axis, here[(here.method == method) & (here.n_units == n_units)], y)
            n = here.n.max() if len(here) else 0
            axis.set_title(f"{run}: {KINDS[kind]} ({n})")
            axis.tick_params(axis="y", length=0)
            axis.grid(axis="y", color=RULE, linewidth=0.6)
    axes[0, 0].set(xlim=(-0.03, 1.03), ylim=(len(names) - 0.5, -0.5))
    for axis in axes[:, 0]:
        axis.set_yticks(range(len(names)), [label for *_, label in names], fontsize=SMALL)
    x_label(figure, "share of questions; the bar from spill to hit is the selectivity")
    legend_below(figure, list(axes.flat), 2)
    figure.suptitle(
        "C4, C9  What does an edit change?  All questions about held-out pairs (n), each method at "
        "its own best dose"
    )
    return figure


def _rows_of(rows: pd.DataFrame) -> list[tuple[str, int, str]]:
    """Method, number of units, and label of every row."""
    found = []
    for method in ROWS:
        sizes = sorted(rows[rows.method == method].n_units.unique())
        label = METHODS[method].label.removeprefix("control: ")
        for n in sizes:
            found.append((method, int(n), f"{label}, {n}" if len(sizes) > 1 else label))
    return found


def _effect(axis: Axes, rows: pd.DataFrame, y: int) -> None:
    """One method: its hit, its spill and what lies between."""
    for row in rows.itertuples():
        look = METHODS[str(row.method)]
        axis.plot([row.spill, row.hit], [y, y], color=look.colour, linewidth=2.2, alpha=0.45)
        axis.plot(row.hit, y, "o", color=look.colour, markersize=5)
        axis.plot(row.spill, y, "|", color=look.colour, markersize=8, markeredgewidth=1.6)
    # for the legend, once in grey
    axis.plot([], [], "o", color=GREY, label="hit: affected questions with the predicted path")
    axis.plot([], [], "|", color=GREY, markersize=8, label="spill: other questions that change")


DOSED = ("latents", "mean_difference", "random_direction")


def by_dose(table: pd.DataFrame) -> Figure:
    """Hit against spill along the doses, on validation mazes: a panel for each run, a line for each
    set of tokens at which the mean difference is added."""
    rows = table[(table.split == "validation") & (table.kind == "add")]
    rows = rows[rows.method == "mean_difference"]
    runs = list(dict.fromkeys(rows.run))
    figure, axes = grid(len(runs), 2, 2.7, 1.0, sharex=True, sharey=True)
    for axis, run in zip(axes, runs, strict=True):
        here = rows[rows.run == run]
        for nth, (where, line) in enumerate(here.groupby(["place", "tokens"], sort=False)):
            line = line.sort_values("dose")
            axis.plot(
                line.spill, line.hit, marker=MARKERS[nth % len(MARKERS)], markersize=4,
                label=f"{where[0]} at {where[1]}",
            )  # fmt: skip
        axis.set_title(run)
        axis.legend(fontsize=SMALL, loc="lower right")
        axis.set(xlim=(-0.02, 0.72), ylim=(-0.03, 1.03))
    axes[0].set_ylabel("hit: affected questions\nwith the predicted path")
    x_label(figure, "spill: other questions that change")
    figure.suptitle(
        "Where can a connection be written, and nothing else?\n"
        "Mean difference, doses from weak to strong, validation pairs"
    )
    return figure


def asymmetry(table: pd.DataFrame) -> Figure:
    """C5: selectivity of adding and removing along the length of the edit, of the best latent, the
    mean difference and random pushes of equal length."""
    rows = table[(table.split == "test") & table.is_main & table.method.isin(DOSED)]
    least = rows[rows.method == "latents"].groupby(["run", "kind"]).n_units.transform("min")
    rows = rows[(rows.method != "latents") | (rows.n_units == least.reindex(rows.index))]
    runs, kinds = list(dict.fromkeys(rows.run)), ["add", "remove"]
    figure, axes = plt.subplots(
        len(runs), 2, figsize=(WIDTH, 1.2 + 2.3 * len(runs)), layout="constrained",
        sharex="row", sharey=True, squeeze=False,
    )  # fmt: skip
    for line, run in zip(axes, runs, strict=True):
        for axis, kind in zip(line, kinds, strict=True):
            here = rows[(rows.run == run) & (rows.kind == kind)]
            _along_length(axis, here, DOSED)
            axis.set_title(f"{run}: {KINDS[kind]}")
        line[0].set_ylabel("selectivity: hit - spill")
    x_label(figure, "length of what is added to each edited token")
    legend_below(figure, list(axes.flat), 3)
    figure.suptitle(
        "C5  Adding needs the direction, removing the place?  All questions about held-out pairs"
    )
    return figure


def _along_length(axis: Axes, rows: pd.DataFrame, methods: Sequence[str]) -> None:
    for method in methods:
        line, look = rows[rows.method == method].sort_values("length"), METHODS[method]
        axis.plot(
            line.length, line.hit - line.spill, color=look.colour, marker=look.marker,
            linestyle=look.line, markersize=4, label=look.label,
        )  # fmt: skip
    axis.axhline(0, color=GREY, linewidth=0.6)
    axis.set_xscale("log")
    axis.set_ylim(top=1.05)
