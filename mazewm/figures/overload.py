"""Figures of several connections added at once, as tokens and as latents.

Both figures take a long table with the columns run, kind, method, where, dose, n_changed,
follows_edit, low, high and n, in which every method has one ``where`` and dose (that which is to be
shown).
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mazewm.figures.style import (
    METHODS,
    Style,
    grid,
    is_control,
    legend_below,
    recipes,
    span,
    x_label,
)

# Methods in the order of the legend. ``repeated`` and ``shifted`` have no edit to follow; their
# prediction is the original path.
LABELS = {
    "tokens": "added as tokens",
    "latents": "added as SAE latents",
    "mean_difference": "added as mean differences",
    "repeated": "nothing added, connections spelled twice",
    "shifted": "nothing added, prompt at later positions",
    "other_connection": METHODS["other_connection"].label,
    "random_latents": METHODS["random_latents"].label,
    "random_direction": METHODS["random_direction"].label,
}
# methods whose line starts at the unedited model, with no connection added
FROM_UNEDITED = (
    "latents",
    "mean_difference",
)
DODGE = 0.03  # horizontal shift between methods, so that their intervals do not overlap


def overload(curves: pd.DataFrame) -> Figure:
    """C6: 0, 1, 2, … connections added to mazes that already have as many as the longest training
    maze."""
    figure = _panels(
        curves[curves.kind == "overload"], "connections beyond the most of any training maze"
    )
    figure.suptitle("C6  More connections than in training, as tokens and as latents  (bars: 95 %)")
    return figure


def several(curves: pd.DataFrame) -> Figure:
    """1, 2, 3, … connections added at once to mazes that stay within the lengths of training."""
    figure = _panels(curves[curves.kind == "several"], "connections added at once")
    figure.suptitle(
        "Several connections added at once, within the lengths seen in training  (bars: 95 %)"
    )
    return figure


def _panels(rows: pd.DataFrame, xlabel: str) -> Figure:
    """A panel for each recipe, with its seeds in the same panel; all on one scale that spans the
    data."""
    parted = recipes(rows.run)
    figure, axes = grid(len(parted), 3, 3.3, 1.2, sharex=True, sharey=True)
    for axis, (recipe, runs) in zip(axes, parted.items(), strict=True):
        for run in runs:
            _draw(axis, rows[rows.run == run])
        here = rows[rows.run.isin(runs)]
        name = runs[0] if len(runs) == 1 else f"{recipe}, {len(runs)} seeds"
        axis.set_title(f"{name}\n{_setting(here)}")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    shown = rows[rows.method.isin(list(LABELS))]
    margin = 0.03 * (shown.high.max() - shown.low.min())
    axes[0].set_ylim(shown.low.min() - margin, shown.high.max() + margin)
    x_label(figure, xlabel)
    figure.supylabel("share of rollouts on the predicted path", fontsize=9)
    legend_below(figure, axes, 3)
    return figure


def _draw(axis: Axes, rows: pd.DataFrame) -> None:
    """The lines of one run."""
    unedited = rows[(rows.method == "no_op") & (rows.n_changed == 0)]
    for nth, (method, label) in enumerate(LABELS.items()):
        line, look = rows[rows.method == method], METHODS[method]
        if line.empty:
            continue
        line = pd.concat([unedited, line]) if method in FROM_UNEDITED else line
        line = line.sort_values("n_changed")
        at = line.n_changed + DODGE * (nth - (len(LABELS) - 1) / 2)
        spread = np.stack([line.follows_edit - line.low, line.high - line.follows_edit]).clip(0)
        is_main = not is_control(method) and method not in ("repeated", "shifted")
        style: Style = {"color": look.colour, "linestyle": look.line, "marker": look.marker}
        style |= {
            "linewidth": 1.8 if is_main else 1.0,
            "markersize": 6 if look.marker == "*" else 4,
        }
        axis.errorbar(at, line.follows_edit, yerr=spread, elinewidth=0.8, label=label, **style)


def _setting(rows: pd.DataFrame) -> str:
    """``where`` and dose of the latents, and the number of mazes, in words."""
    settings = rows[rows.method == "latents"][["where", "dose"]].drop_duplicates()
    n = span(rows[rows.method.isin(list(LABELS))].n)
    return (
        "".join(f"latents at {where}, dose {dose:g}; " for where, dose in settings.to_numpy())
        + f"n = {n}"
    )
