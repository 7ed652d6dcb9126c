"""Figures of room 8: dose curves, and mazes with the model's path before and after an edit."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mazewm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, WIDTH
from mazewm.maze.lattice import Lattice, lattice

COLOURS = {
    "latents": BLUE,
    "mean_difference": GREEN,
    "probe_direction": "black",
    "fixed_value": SKY,
    "latents_and_cells": SKY,
    "other_connection": ORANGE,
    "other_latents": ORANGE,
    "random_latents": PURPLE,
    "random_direction": VERMILION,
}
CONTROLS = ("other_connection", "other_latents", "random_latents", "random_direction")
KINDS = ("add", "remove", "move")
PER_KIND = 5  # mazes in a row


def dose_curves(dose: pd.DataFrame, site: str) -> Figure:
    """follows_edit against dose at one site, for adding and removing: a panel for each kind and place, a line for each method.

    Of latents, the largest set is drawn and, thinner, the smaller ones; dashed are controls.
    """
    rows = dose[(dose.site == site) & dose.kind.isin(["add", "remove"])]
    panels = list(rows[rows.method == "latents"].groupby(["kind", "where"]).groups)
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 4.3), layout="constrained", sharey=True, squeeze=False)
    entries: dict[str, Line2D] = {}
    for axis, (kind, where) in zip(axes[0], panels, strict=True):
        here = rows[(rows.kind == kind) & (rows["where"] == where)]
        largest = here[here.method == "latents"].n_latents.max()
        for (method, n_latents), line in here[here.method.isin(list(COLOURS))].groupby(["method", "n_latents"]):
            line = line.sort_values("dose")
            is_smaller = method == "latents" and n_latents < largest
            label = f"latents, {n_latents} of e" if method == "latents" else method.replace("_", " ")
            style = "--" if method in CONTROLS else (":" if is_smaller else "-")
            width = 0.8 + 0.3 * sorted(here[here.method == method].n_latents.unique()).index(n_latents) if is_smaller else 1.8
            [entries[label]] = axis.plot(
                line.dose, line.follows_edit, style, color=COLOURS[method], linewidth=width, marker="o", markersize=3, label=label
            )
            if not is_smaller:
                axis.fill_between(line.dose, line.low, line.high, color=COLOURS[method], alpha=0.1, linewidth=0)
        ceiling = rows[(rows.kind == kind) & (rows.method == "tokens")].follows_edit
        if len(ceiling):
            label = "the tokens edited"
            entries[label] = axis.axhline(float(ceiling.iloc[0]), color=GREY, linestyle="-.", linewidth=1.2, label=label)
        axis.set(xscale="log", xlabel="dose", title=f"{kind}, at {where} (n = {int(here.n.max()):,})", ylim=(0, 1))
        axis.set_xticks(sorted(here.dose.unique()), [f"{d:g}" for d in sorted(here.dose.unique())])
        axis.minorticks_off()
    axes[0, 0].set_ylabel("share of rollouts that follow the edit")
    entries = dict(sorted(entries.items(), key=lambda entry: (entry[1].get_linestyle(), entry[0])))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.suptitle(f"{site}: among mazes solved unedited. Dashed: controls. Bands: 95 %", fontsize=11)
    return figure


def example_mazes(rows: pd.DataFrame, caption: str) -> Figure:
    """The first mazes of each kind with the edited connections, the path before the edit and the path that the model took after it.

    ``rows``: ledger rows of solved examples, joined with their ExampleRow (``connections`` as spelled, ``origin``, ``target``).
    """
    kinds = [kind for kind in KINDS if (rows.kind == kind).any()]
    shape = (max(1, len(kinds)), PER_KIND)
    figure, axes = plt.subplots(*shape, figsize=(WIDTH, 1.85 * shape[0] + 1.1), layout="constrained", squeeze=False)
    for line, kind in zip(axes, kinds, strict=False):
        for axis, row in zip(line, rows[rows.kind == kind].head(PER_KIND).itertuples(), strict=False):
            outcome = "follows" if row.follows_edit else ("keeps its path" if row.keeps_original else "does neither")
            connections = np.asarray(row.connections, bool)
            grid = lattice(round((1 + (1 + 2 * len(connections)) ** 0.5) / 2))
            _draw_maze(axis, grid, connections, np.asarray(row.added, int), np.asarray(row.removed, int))
            _draw_paths(axis, grid, np.asarray(row.original), np.asarray(row.measured), int(row.origin), int(row.target))
            axis.set_title(f"{kind}: {outcome}", fontsize=9, color="black" if row.follows_edit else VERMILION)
    for axis in axes.flat:
        axis.axis("off")
    entries = [
        Line2D([], [], color="#D0D0D0", linewidth=6, label="connection as spelled"),
        Line2D([], [], color=GREEN, linewidth=4, linestyle=(0, (1, 1)), label="added"),
        Line2D([], [], color=VERMILION, linewidth=0, marker="x", markersize=8, markeredgewidth=2, label="removed"),
        Line2D([], [], color=GREY, linewidth=1.6, label="path before"),
        Line2D([], [], color=BLUE, linewidth=2.2, label="path after"),
        Line2D([], [], color="black", linewidth=0, marker="o", markersize=7, label="origin"),
        Line2D([], [], color=ORANGE, linewidth=0, marker="s", markersize=7, label="target"),
    ]
    figure.legend(handles=entries, loc="outside lower center", ncols=len(entries), fontsize=8, frameon=False, handletextpad=0.4)
    figure.suptitle(caption, fontsize=10)
    return figure


def _draw_maze(axis: Axes, grid: Lattice, connections: np.ndarray, added: np.ndarray, removed: np.ndarray) -> None:
    rows, cols = np.divmod(np.arange(grid.n_cells), grid.n)
    axis.scatter(cols, rows, s=6, color="#B0B0B0", zorder=0)
    for e in np.flatnonzero(connections):
        ends = grid.ends[e]
        axis.plot(cols[ends], rows[ends], color="#D0D0D0", linewidth=7, solid_capstyle="round", zorder=0)
    for e in added:
        ends = grid.ends[e]
        axis.plot(cols[ends], rows[ends], color=GREEN, linewidth=4, linestyle=(0, (1, 1)), zorder=1)
    for e in removed:
        ends = grid.ends[e]
        axis.scatter(cols[ends].mean(), rows[ends].mean(), s=70, marker="x", color=VERMILION, linewidth=2.4, zorder=5)
    axis.set(xlim=(-0.5, grid.n - 0.5), ylim=(grid.n - 0.5, -0.5), aspect="equal")


def _draw_paths(axis: Axes, grid: Lattice, before: np.ndarray, after: np.ndarray, origin: int, target: int) -> None:
    rows, cols = np.divmod(np.arange(grid.n_cells), grid.n)
    walked = after[after >= 0]
    axis.plot(cols[before] - 0.08, rows[before] - 0.08, color=GREY, linewidth=1.6, zorder=2)
    axis.plot(cols[walked] + 0.08, rows[walked] + 0.08, color=BLUE, linewidth=2.2, zorder=3)
    axis.scatter(cols[origin], rows[origin], s=60, color="black", zorder=4)
    axis.scatter(cols[target], rows[target], s=70, marker="s", color=ORANGE, zorder=4)
