"""Figure of the tokens after the list: what can be read there of the whole maze, and written."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mazewm.figures.heat import heat_map
from mazewm.figures.style import METHODS, SMALL, WIDTH, Style, empty, legend_below
from mazewm.planning.frame_writing import OWN, RANDOM

SETS = {"list end": "list end", "question": "the question's\ntokens", "frame": "both"}


def frame(whole: pd.DataFrame, written: pd.DataFrame) -> Figure:
    """C2c and C2d: explained variance of probes for all connections by token and depth, and the
    selectivity of what is written at these tokens; a row for each run."""
    runs = list(dict.fromkeys(whole.run)) if len(whole) else []
    if not runs:
        return empty("too few mazes to read connections at the tokens after the list")
    figure, axes = plt.subplots(
        len(runs), 2, figsize=(WIDTH, 1.2 + 2.9 * len(runs)), layout="constrained", squeeze=False,
        width_ratios=(3, 2),
    )  # fmt: skip
    for (left, right), run in zip(axes, runs, strict=True):
        _read(left, whole[whole.run == run], run)
        _written(right, written[written.run == run] if len(written) else written)
    axes[-1, 0].set_xlabel("blocks passed (0: the embedding)")
    axes[-1, 1].set_xlabel("selectivity: hit − spill")
    legend_below(figure, list(axes[:, 1]), 2)
    figure.suptitle("C2c, C2d  Does one token after the list hold the whole maze?")
    return figure


def _read(axis: Axes, rows: pd.DataFrame, run: str) -> None:
    own = rows[rows.readout == "model"]
    tokens = list(dict.fromkeys(own.token))
    table = own.pivot(index="token", columns="depth", values="value").loc[tokens]
    heat_map(axis, table.to_numpy().clip(0))
    axis.set_yticks(range(len(tokens)), tokens)
    axis.set_xticks(range(table.shape[1]), [str(depth) for depth in table.columns])
    best = rows[rows.readout != "model"].groupby("readout").value.max()
    axis.set_title(
        f"{run}: explained variance of “connected” (n = {int(own.n.max()):,} connection sets)\n"
        f"from how often each cell is mentioned: linear {best['mentions']:.2f}, boosted trees "
        f"{best['mentions_boosted']:.2f}; untrained model {best['untrained_model']:.2f}"
    )


def _written(axis: Axes, rows: pd.DataFrame) -> None:
    for nth, method in enumerate((OWN, RANDOM)):
        look, mine = METHODS[method], rows[rows.method == method]
        for row in mine.itertuples():
            y = list(SETS).index(str(row.tokens)) + 0.24 * nth - 0.12
            sides = np.maximum([[row.value - row.low], [row.high - row.value]], 0)
            style: Style = {"color": look.colour, "markersize": 6, "label": look.label}
            axis.errorbar(row.value, y, xerr=sides, fmt=look.marker, **style)
            if method == OWN:
                words = f"hit {row.hit:.2f}, spill {row.spill:.2f}"
                side = "left" if row.value < 0.5 else "right"
                axis.annotate(
                    words, (row.value, y), (0, 6), size=SMALL, textcoords="offset points", ha=side
                )
    axis.axvline(0, color="black", linewidth=0.6)
    axis.set_yticks(range(len(SETS)), list(SETS.values()))
    axis.set_ylim(len(SETS) - 0.4, -0.6)
    axis.set_xlim(-0.05, 1.05)
    n = int(rows.n.max()) if len(rows) else 0
    axis.set_title(f"a connection written there\n(n = {n} twins)")
