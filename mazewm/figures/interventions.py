"""Figures of room 8: dose curves, and mazes with the model's path before and after an edit."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mazewm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, WIDTH
from mazewm.maze.mazes import Mazes

COLOURS = {
    "latents": BLUE,
    "mean_difference": GREEN,
    "fixed_value": SKY,
    "other_connection": ORANGE,
    "other_latents": ORANGE,
    "random_latents": PURPLE,
    "random_direction": VERMILION,
}


def dose_curves(dose: pd.DataFrame, site: str) -> Figure:
    """follows_edit against dose at one site: a panel for each kind and place, a line for each method; dashed are controls."""
    rows = dose[dose.site == site]
    panels = list(rows[rows.method == "latents"].groupby(["kind", "where"]).groups)
    figure, axes = plt.subplots(1, len(panels), figsize=(WIDTH, 3.9), layout="constrained", sharey=True, squeeze=False)
    for axis, (kind, where) in zip(axes[0], panels, strict=True):
        here = rows[(rows.kind == kind) & (rows["where"] == where)]
        for (method, n_latents), line in here[~here.method.isin(["tokens", "no_op"])].groupby(["method", "n_latents"]):
            line = line.sort_values("dose")
            style = "-" if method in ("latents", "mean_difference", "fixed_value") else "--"
            size = {1: 0.8, 4: 1.4}.get(n_latents, 2.0) if method == "latents" else 1.6
            label = f"latents, {n_latents} of e" if method == "latents" else method.replace("_", " ")
            axis.plot(line.dose, line.follows_edit, style, color=COLOURS[method], linewidth=size, marker="o", markersize=3, label=label)
            axis.fill_between(line.dose, line.low, line.high, color=COLOURS[method], alpha=0.12, linewidth=0)
        ceiling = rows[(rows.kind == kind) & (rows.method == "tokens")].follows_edit
        if len(ceiling):
            axis.axhline(float(ceiling.iloc[0]), color=GREY, linestyle=":", label="the tokens edited")
        axis.set(xscale="log", xlabel="dose", title=f"{kind}, at {where} (n = {int(here.n.max()):,})", ylim=(0, 1))
        axis.set_xticks(sorted(here.dose.unique()), [f"{d:g}" for d in sorted(here.dose.unique())])
        axis.minorticks_off()
    axes[0, 0].set_ylabel("rollouts that follow the edit")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    more = [pair for pair in zip(*axes[0, -1].get_legend_handles_labels(), strict=True) if pair[1] not in labels]
    figure.legend(
        [*handles, *(h for h, _ in more)],
        [*labels, *(text for _, text in more)],
        loc="outside lower center",
        ncols=5,
        fontsize=8,
        frameon=False,
    )
    figure.suptitle(f"{site}: among mazes solved unedited. Solid: the edited connection, dashed: controls; bands: 95 %", fontsize=11)
    return figure


def example_mazes(mazes: Mazes, rows: pd.DataFrame, caption: str) -> Figure:
    """Up to ten mazes with an added connection (dotted), the path without the edit and the path that the model took."""
    n = min(10, len(rows))
    figure, axes = plt.subplots(2, 5, figsize=(WIDTH, 4.5), layout="constrained")
    place = {int(maze): nth for nth, maze in enumerate(mazes.maze_id)}
    for axis, row in zip(axes.flat, rows.head(n).itertuples(), strict=False):
        followed = "follows" if row.follows_edit else ("keeps" if row.keeps_original else "other")
        _draw(axis, mazes, place[int(row.maze_id)], int(row.connection), np.array(row.original), np.array(row.measured))
        axis.set_title(followed, fontsize=9, color=BLUE if row.follows_edit else VERMILION)
    for axis in axes.flat:
        axis.axis("off")
    figure.suptitle(caption, fontsize=10)
    return figure


def _draw(axis: Axes, mazes: Mazes, nth: int, added: int, original: np.ndarray, measured: np.ndarray) -> None:
    rows, cols = np.divmod(np.arange(mazes.grid.n_cells), mazes.grid.n)
    axis.scatter(cols, rows, s=6, color="#B0B0B0", zorder=0)
    for e in np.flatnonzero(mazes.connections[nth]):
        a, b = mazes.grid.ends[e]
        axis.plot(cols[[a, b]], rows[[a, b]], color="#D0D0D0", linewidth=7, solid_capstyle="round", zorder=0)
    a, b = mazes.grid.ends[added]
    axis.plot(cols[[a, b]], rows[[a, b]], color=GREEN, linewidth=4, linestyle=(0, (1, 1)), zorder=1)
    walked = measured[measured >= 0]
    axis.plot(cols[original] - 0.07, rows[original] - 0.07, color=GREY, linewidth=1.6, zorder=2)
    axis.plot(cols[walked] + 0.07, rows[walked] + 0.07, color=BLUE, linewidth=2.2, zorder=3)
    axis.scatter(cols[original[0]], rows[original[0]], s=60, color="black", zorder=4)
    axis.scatter(cols[original[-1]], rows[original[-1]], s=70, marker="s", color=ORANGE, zorder=4)
    axis.set(xlim=(-0.5, mazes.grid.n - 0.5), ylim=(mazes.grid.n - 0.5, -0.5), aspect="equal")
