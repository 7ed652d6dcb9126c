"""Figures of claim C6: corridors of several connections, and connections believed at once."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mazewm.figures.style import GREY, METHODS, WIDTH, empty, legend_below, span, x_label

METHODS_SHOWN = ("tokens", "latents", "mean_difference", "random_direction", "none")


def capacity(corridors: pd.DataFrame, held: pd.DataFrame) -> Figure:
    """C6: the share of ways through a whole corridor, on the longest prompts and on short ones, and
    how many connections are believed at once, less walls; a row for each run."""
    runs = list(dict.fromkeys([*corridors.run, *held.run]))
    if not runs:
        return empty("C6  No maze has room for more connections")
    figure, axes = plt.subplots(
        len(runs), 3, figsize=(WIDTH, 1.3 + 2.5 * len(runs)), layout="constrained", squeeze=False
    )
    for line, run in zip(axes, runs, strict=True):
        here = corridors[corridors.run == run]
        for axis, is_long in zip(line[:2], (True, False), strict=True):
            some = here[here.is_long == is_long]
            _lines(axis, some.rename(columns={"share": "value"}))
            _title(axis, f"{run}: {'longest prompts' if is_long else 'short prompts'}", some)
            axis.set_ylim(-0.03, 1.03)
        some = held[held.run == run]
        _lines(line[2], some.rename(columns={"held": "value"}))
        _title(line[2], f"{run}: believed at once", some)
        if len(some):
            line[2].axhline(
                some.n_connections.max(), color=GREY, linewidth=0.8, linestyle=":",
                label="the most in training",
            )  # fmt: skip
        line[0].set_ylabel("ways through the whole corridor")
        line[2].set_ylabel("connections believed, less walls")
        for axis in line:
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    x_label(
        figure, "connections added (left: in a row, all of which must be used; right: anywhere)"
    )
    legend_below(figure, list(axes.flat), 3)
    figure.suptitle("C6  More connections than any training maze has?  Bars: 95 %")
    return figure


def _title(axis: Axes, what: str, rows: pd.DataFrame) -> None:
    axis.set_title(f"{what}\n" + (f"n = {span(rows.n_mazes)} mazes each" if len(rows) else "none"))


def _lines(axis: Axes, rows: pd.DataFrame) -> None:
    for nth, method in enumerate(METHODS_SHOWN):
        line = rows[rows.method == method]
        line = line[line.n_units == line.n_units.max()].sort_values("k")
        if line.empty:
            continue
        look = METHODS[method]
        spread = np.stack([line.value - line.low, line.high - line.value]).clip(0)
        axis.errorbar(
            line.k + 0.05 * (nth - 2), line.value, yerr=spread, elinewidth=0.8, color=look.colour,
            marker=look.marker, linestyle=look.line, markersize=4, label=look.label,
        )  # fmt: skip
