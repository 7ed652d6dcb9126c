"""Figures of room 8: what happens when more connections are added at once, as tokens and as latents.

Both take a long table with the columns run, kind, method, where, dose, n_changed, follows_edit, low, high and n; of every method at one
place and dose, those that are to be shown.
"""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mazewm.figures.style import BLUE, GREEN, GREY, VERMILION, WIDTH

# method: what it is called, colour, line style, line width, marker
LINES = {
    "tokens": ("added as tokens", VERMILION, "-", 2.2, "s"),
    "latents": ("added as latents", BLUE, "-", 2.2, "o"),
    "mean_difference": ("added as mean differences", GREEN, "-", 1.0, "o"),
    "repeated": ("own path: longer prompt, connections spelled twice", VERMILION, "--", 1.2, "^"),
    "shifted": ("own path: same prompt at later positions", VERMILION, ":", 1.2, "v"),
    "other_connection": ("control: other connections' latents", GREY, "-", 1.0, "D"),
    "random_latents": ("control: random latents", GREY, "--", 1.0, "D"),
    "random_direction": ("control: random direction", GREY, ":", 1.0, "D"),
}
# ``repeated`` and ``shifted`` have no edit to follow; what is predicted is the maze's own path.
FROM_UNEDITED = ("latents", "mean_difference")  # where nothing is added, these are the model as it is


def overload(curves: pd.DataFrame) -> Figure:
    """The longest training mazes with 0, 1, 2, … connections more than any training maze had: a panel for each run."""
    figure = _panels(curves[curves.kind == "overload"], "connections beyond training")
    figure.suptitle("Connections beyond the longest training maze, as tokens and as latents (bands: 95 %)", fontsize=11)
    return figure


def several(curves: pd.DataFrame) -> Figure:
    """1, 2, 3, … connections added at once to mazes which stay within the lengths of training: a panel for each run."""
    figure = _panels(curves[curves.kind == "several"], "connections added at once")
    figure.suptitle("Several connections added at once, within the lengths seen in training (bands: 95 %)", fontsize=11)
    return figure


def _panels(rows: pd.DataFrame, xlabel: str) -> Figure:
    runs = list(dict.fromkeys(rows.run))
    n_cols = min(3, max(1, len(runs)))
    n_rows = -(-max(1, len(runs)) // n_cols)
    figure, axes = plt.subplots(n_rows, n_cols, figsize=(WIDTH, 3.2 * n_rows + 1.2), layout="constrained", sharey=True, squeeze=False)
    entries: dict[str, Line2D] = {}
    for axis, run in zip(axes.flat, runs, strict=False):
        entries |= _draw(axis, rows[rows.run == run])
        axis.set_title(f"{run}\n{_setting(rows[rows.run == run])}", fontsize=9)
        axis.set(xlabel=xlabel, ylim=(-0.02, 1.02))
    for axis in list(axes.flat)[len(runs) :]:
        axis.axis("off")
    for line in axes:
        line[0].set_ylabel("share of rollouts on the\npredicted path")
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def _draw(axis: Axes, rows: pd.DataFrame) -> dict[str, Line2D]:
    """One run's lines, by what they are called."""
    entries = {}
    unedited = rows[(rows.method == "no_op") & (rows.n_changed == 0)]
    for method, (label, colour, style, width, marker) in LINES.items():
        line = rows[rows.method == method]
        if line.empty:
            continue
        line = (pd.concat([unedited, line]) if method in FROM_UNEDITED else line).sort_values("n_changed")
        [entries[label]] = axis.plot(line.n_changed, line.follows_edit, style, color=colour, linewidth=width, marker=marker, markersize=4)
        axis.fill_between(line.n_changed, line.low, line.high, color=colour, alpha=0.12, linewidth=0)
    axis.set_xticks(sorted(int(k) for k in rows.n_changed.unique()))
    return entries


def _setting(rows: pd.DataFrame) -> str:
    """Where and how strongly one run's latents are edited, and in how many mazes."""
    settings = rows[rows.method == "latents"][["where", "dose"]].drop_duplicates().itertuples(index=False)
    counts = rows[rows.method.isin(list(LINES))].n
    range_ = f"{counts.min():,}" if counts.min() == counts.max() else f"{counts.min():,} to {counts.max():,}"
    return "".join(f"latents at {where}, dose {dose:g}; " for where, dose in settings) + f"n = {range_}"
