"""Mazes with the model's path before and after an edit, chosen by a rule that does not depend on
whether the model follows the edit."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mazewm.figures.style import BLUE, GREEN, GREY, ORANGE, SMALL, VERMILION, WIDTH, Style
from mazewm.maze.lattice import Lattice, lattice

KINDS = ("add", "remove", "move")
PER_KIND = 5  # mazes in a row
RULE = "of each kind the longest predicted paths, no connection and no maze twice"
SPELLED = "#D0D0D0"
DOTTED = (0, (1, 1))
LEGEND: dict[str, Style] = {
    "connection as spelled": {"color": SPELLED, "linewidth": 6},
    "added": {"color": GREEN, "linewidth": 4, "linestyle": DOTTED},
    "removed": {"color": VERMILION, "linewidth": 0, "marker": "x", "markersize": 8, "mew": 2},
    "path before": {"color": GREY, "linewidth": 1.6},
    "path after": {"color": BLUE, "linewidth": 2.2},
    "origin": {"color": "black", "linewidth": 0, "marker": "o", "markersize": 7},
    "target": {"color": ORANGE, "linewidth": 0, "marker": "s", "markersize": 7},
}


def choose(rows: pd.DataFrame) -> pd.DataFrame:
    """At most PER_KIND examples of one kind, from ledger rows of one condition: those with the
    longest predicted paths, the first of equally long ones, with no maze and no edited connection
    twice."""
    ordered = rows.assign(length=rows.predicted.map(len)).sort_values(
        ["length", "example"], ascending=[False, True]
    )
    mazes: set[int] = set()
    connections: set[int] = set()
    kept = []
    for index, row in zip(ordered.index, ordered.itertuples(), strict=True):
        edited = {*row.added, *row.removed}
        if row.maze_id not in mazes and not edited & connections:
            mazes.add(row.maze_id)
            connections |= edited
            kept.append(index)
    return rows.loc[kept[:PER_KIND]]


def example_mazes(rows: pd.DataFrame, caption: str) -> Figure:
    """Mazes with the edited connections, and the model's path before and after the edit; a row for
    each kind.

    ``rows``: ledger rows of solved examples, joined with their ExampleRow (``connections`` as
    encoded, ``origin``, ``target``).
    """
    kinds = [kind for kind in KINDS if (rows.kind == kind).any()]
    shape = (max(1, len(kinds)), PER_KIND)
    size = (WIDTH, 1.95 * shape[0] + 1.2)
    figure, axes = plt.subplots(*shape, figsize=size, layout="constrained", squeeze=False)
    for line, kind in zip(axes, kinds, strict=False):
        shown = rows[rows.kind == kind].head(PER_KIND)
        for axis, (_, row) in zip(line, shown.iterrows(), strict=False):
            _example(axis, row)
    for axis in axes.flat:
        axis.axis("off")
    entries = [Line2D([], [], label=label, **look) for label, look in LEGEND.items()]
    style: Style = {"fontsize": SMALL, "frameon": False, "handletextpad": 0.5}
    figure.legend(handles=entries, loc="outside lower center", ncols=len(entries), **style)
    figure.suptitle(caption, fontsize=10)
    return figure


def _example(axis: Axes, row: pd.Series) -> None:
    """One maze, with the outcome above it."""
    connections = np.asarray(row.connections, bool)
    grid = lattice(round((1 + (1 + 2 * len(connections)) ** 0.5) / 2))
    edited = np.asarray(row.added, int), np.asarray(row.removed, int)
    paths = np.asarray(row.original), np.asarray(row.measured)
    _draw_maze(axis, grid, connections, *edited)
    _draw_paths(axis, grid, *paths, int(row.origin), int(row.target))
    outcome = "keeps its path" if row.keeps_original else "does neither"
    outcome, ink = ("follows", "black") if row.follows_edit else (outcome, VERMILION)
    axis.set_title(f"{row.kind}: {outcome}", fontsize=9, color=ink)


def _draw_maze(
    axis: Axes, grid: Lattice, connections: np.ndarray, added: np.ndarray, removed: np.ndarray
) -> None:
    rows, cols = np.divmod(np.arange(grid.n_cells), grid.n)
    axis.scatter(cols, rows, s=6, color="#B0B0B0", zorder=0)
    for e in np.flatnonzero(connections):
        ends = grid.ends[e]
        axis.plot(
            cols[ends], rows[ends], color=SPELLED, linewidth=7, solid_capstyle="round", zorder=0
        )
    for e in added:
        ends = grid.ends[e]
        axis.plot(cols[ends], rows[ends], color=GREEN, linewidth=4, linestyle=DOTTED, zorder=1)
    for e in removed:
        ends = grid.ends[e]
        axis.scatter(
            cols[ends].mean(),
            rows[ends].mean(),
            s=70,
            marker="x",
            color=VERMILION,
            linewidth=2.4,
            zorder=5,
        )
    axis.set(xlim=(-0.5, grid.n - 0.5), ylim=(grid.n - 0.5, -0.5), aspect="equal")


def _draw_paths(
    axis: Axes, grid: Lattice, before: np.ndarray, after: np.ndarray, origin: int, target: int
) -> None:
    rows, cols = np.divmod(np.arange(grid.n_cells), grid.n)
    walked = after[after >= 0]
    axis.plot(cols[before] - 0.08, rows[before] - 0.08, color=GREY, linewidth=1.6, zorder=2)
    axis.plot(cols[walked] + 0.08, rows[walked] + 0.08, color=BLUE, linewidth=2.2, zorder=3)
    axis.scatter(cols[origin], rows[origin], s=60, color="black", zorder=4)
    axis.scatter(cols[target], rows[target], s=70, marker="s", color=ORANGE, zorder=4)
