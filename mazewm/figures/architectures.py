"""Figure of SAEs of several architectures, side by side."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mazewm.figures.style import METHODS, RULE, SMALL, WIDTH, Style, span

CONTROL = "frozen_decoder"
NAMES = {
    "topk": "TopK",
    "batch_topk": "BatchTopK",
    "matryoshka": "Matryoshka",
    "relu": "ReLU, L1 penalty",
    CONTROL: "control: random decoder",
}
# The name and the format of each measure.
PANELS = {
    "mcc": ("MCC of the best\nsingle latents", ".3f"),
    "board_f1": ("boards, F1", ".3f"),
    "explained_variance": ("explained variance", ".3f"),
    "l0": ("active latents\nper token", ".1f"),
    "n_dead": ("dead latents", ".0f"),
}
COUNTS = ("l0", "n_dead")


def architectures(rows: pd.DataFrame) -> Figure:
    """A line of panels for each run, and in each a point for every architecture; ``rows`` are those
    of ``claims.architectures`` with a column ``run``."""
    runs = list(dict.fromkeys(rows.run))
    most = int(rows.groupby("run").size().max())
    figure, axes = plt.subplots(
        len(runs), len(PANELS), figsize=(WIDTH, 1.3 + (0.5 + 0.34 * most) * len(runs)),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for line, run in zip(axes, runs, strict=True):
        here = rows[rows.run == run]
        for axis, (measure, (_, shown_as)) in zip(line, PANELS.items(), strict=True):
            _panel(axis, here, measure, shown_as)
        line[0].set_yticks(range(len(here)), [_name(row) for row in here.itertuples()])
        # beside the names, where there is room for it
        line[0].set_title(f"{run}, {here.width.iloc[0]:,} latents", loc="right")
    for axis, (label, _) in zip(axes[-1], PANELS.values(), strict=True):
        axis.set_xlabel(label)
    figure.suptitle(
        f"SAEs of several architectures, where connections are read "
        f"({span(rows.n)} connections, 95 % intervals)\n"
        "Grey bars: single SAEs, lowest to highest; of random decoders the best draw counts"
    )
    return figure


def _name(row: Any) -> str:
    """The architecture, and how many SAEs of it there are if several."""
    kind = "draws" if row.architecture == CONTROL else "seeds"
    return NAMES[row.architecture] + (f", {row.n_draws} {kind}" if row.n_draws > 1 else "")


def _panel(axis: Axes, rows: pd.DataFrame, measure: str, shown_as: str) -> None:
    """The values of one measure, from top to bottom, each with its number above it."""
    for y, row in enumerate(rows.itertuples()):
        look = METHODS[CONTROL if row.architecture == CONTROL else "latents"]
        value, fill = getattr(row, measure), "none" if row.n_draws == 1 else "full"
        style: Style = {"color": look.colour, "marker": look.marker, "markersize": 5}
        sides = None
        if measure == "mcc":
            axis.plot([row.lowest, row.highest], [y, y], color=RULE, linewidth=5, zorder=1)
            sides = np.maximum([[value - row.mcc_low], [row.mcc_high - value]], 0)
        axis.errorbar(value, y, xerr=sides, fillstyle=fill, capsize=2, **style)
        above: Style = {"textcoords": "offset points", "size": SMALL, "ha": "center"}
        axis.annotate(format(value, shown_as), (value, y), (0, 5), **above)
    axis.set_ylim(len(rows) - 0.5, -0.8)
    axis.set_yticks([])
    values = rows[measure]
    if measure in COUNTS:  # from zero, so that small differences look small
        axis.set_xlim(-0.15 * values.max(), max(1.0, 1.3 * values.max()))
    else:
        axis.margins(x=0.25)
    axis.xaxis.set_major_locator(MaxNLocator(3))
