"""Figures of the path of a connection: the edges along which it comes to the path token that it
decides, and the heads that bind its cells."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path as Curve

from mazewm.circuits.edges import NODES
from mazewm.figures.style import (
    BAND,
    BLACK,
    BLUE,
    GREY,
    ORANGE,
    SILVER,
    SMALL,
    WIDTH,
    Style,
    empty,
    grid,
    legend_below,
    x_label,
)

FEET = 0.08  # height of the ends of arrows
DRAWN = 0.02  # the smallest loss whose edge is drawn
NAMED = 0.25  # the smallest loss by one head whose number is printed
# which of two sets of heads is drawn how, and called what
SETS = {
    "binding": ("o", BLUE, "binding heads (chosen on validation mazes)"),
    "others": ("s", BLACK, "control: all other heads"),
    "random": ("X", ORANGE, "control: as many heads at random"),
}
SHORT = {
    "<ADJLIST_END>": "list\nend",
    "<PATH_START>": "path\nstart",
    "later, all": "later\nconnections",
    "last path": "last path\ntoken",
    "earlier path": "earlier\npath",
}


def graph(edges: pd.DataFrame) -> Figure:
    """The edges between groups of tokens, in reading order, as arrows whose width is what is lost
    without them; a panel for each run. ``edges`` has the rows of all runs."""
    runs = list(dict.fromkeys(edges.run)) if len(edges) else []
    if not runs:
        return empty("no pair of mazes is read right before and after the swap")
    figure, axes = plt.subplots(
        len(runs), 1, figsize=(WIDTH, 0.9 + 3.1 * len(runs)), layout="constrained", squeeze=False
    )
    for axis, run in zip(axes[:, 0], runs, strict=True):
        _graph(axis, edges[edges.run == run], run)
    axes[-1, 0].set_xlabel("tokens in reading order (own: of the connection that differs)")
    handles = [
        Line2D([], [], color=BLUE, linewidth=3, label="the circuit (chosen on validation mazes)"),
        Line2D([], [], color=SILVER, linewidth=3, label="other edges"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle(
        "Along which edges does a connection come to the path?\n"
        f"Width and number: share of the effect lost without the edge, from {DRAWN:.0%} on"
    )
    return figure


def _graph(axis: Axes, rows: pd.DataFrame, run: str) -> None:
    at = {name: x for x, name in enumerate(NODES)}
    cuts = rows[rows.kind == "cut"].sort_values("value")
    for row in cuts[cuts.value >= DRAWN].itertuples():
        source, to = (at[name] for name in str(row.of).split(" > "))
        height, colour = 0.12 * (to - source), BLUE if row.is_in_circuit else SILVER
        # a curve whose control point lies twice as high as its middle
        ends = [(source, FEET), ((source + to) / 2, FEET + 2 * height), (to, FEET)]
        arrow = FancyArrowPatch(
            path=Curve(ends, [Curve.MOVETO, Curve.CURVE3, Curve.CURVE3]),
            arrowstyle="-|>",
            mutation_scale=10,
            linewidth=0.6 + 7 * row.value,
            color=colour,
            zorder=2 if row.is_in_circuit else 1,
        )
        axis.add_patch(arrow)
        axis.text(
            (source + to) / 2, FEET + height, f"{row.value:.0%}", ha="center", va="center",
            fontsize=SMALL, color=BLACK, zorder=3,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
        )  # fmt: skip
    axis.plot(list(at.values()), np.zeros(len(at)), "o", color=GREY, markersize=5, zorder=4)
    axis.set_xticks(list(at.values()), [SHORT.get(name, name.replace(" ", "\n")) for name in at])
    axis.set_ylim(-0.1, FEET + 0.12 * len(at))
    axis.set_xlim(-0.5, len(at) - 0.5)
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.tick_params(left=False, labelleft=False, bottom=False)
    sums = rows[rows.kind.isin(["circuit", "complement", "random"])].set_index("kind")
    said = ", ".join(
        f"{name} {sums.value[kind]:.2f} [{sums.low[kind]:.2f}, {sums.high[kind]:.2f}]"
        for kind, name in {
            "circuit": "effect of the circuit alone",
            "complement": "of all other edges",
            "random": "of as many at random",
        }.items()
    )
    n = int(sums.n.max())
    axis.set_title(f"{run} ({n} pairs of mazes)\n{said}")


def binding(shares: pd.DataFrame) -> Figure:
    """C2: what is lost of a connection's direction if only some heads read another first cell; a
    panel for each run, a row for each site."""
    runs = list(dict.fromkeys(shares.run)) if len(shares) else []
    if not runs:
        return empty("no head brings the first cell to a later token")
    sites = {run: list(dict.fromkeys(shares[shares.run == run].site)) for run in runs}
    n_rows = max(len(some) for some in sites.values())
    figure, axes = grid(len(runs), 2, 0.4 + 0.75 * n_rows, 1.2, sharex=True)
    for axis, run in zip(axes, runs, strict=True):
        mine = shares[shares.run == run]
        for y, site in enumerate(sites[run]):
            here = mine[mine.site == site]
            if y % 2:
                axis.axhspan(y - 0.5, y + 0.5, color=BAND, zorder=0)
            single = here[here.heads.str.contains(".", regex=False)]
            look: Style = {"color": GREY, "markersize": 8, "label": "one head alone"}
            axis.plot(single.lost, np.full(len(single), y + 0.3), "|", **look)
            for row in single[single.lost.abs() > NAMED].itertuples():
                text: Style = {"textcoords": "offset points", "va": "center", "color": GREY}
                axis.annotate(str(row.heads), (row.lost, y + 0.3), (3, 0), size=SMALL, **text)
            for nth, (name, (marker, colour, label)) in enumerate(SETS.items()):
                for row in here[here.heads == name].itertuples():
                    sides = [[row.lost - row.low], [row.high - row.lost]]
                    axis.errorbar(
                        row.lost, y - 0.25 + 0.2 * nth, xerr=np.maximum(sides, 0), fmt=marker,
                        color=colour, markersize=5, linewidth=1.2, label=label,
                    )  # fmt: skip
        axis.set_yticks(range(len(sites[run])), sites[run])
        axis.set_ylim(n_rows - 0.5, -0.5)
        axis.set_title(f"{run} (n = {int(mine.n.max())} mazes)")
    x_label(figure, "share of the loss if only these heads read another first cell")
    legend_below(figure, axes, 2)
    figure.suptitle("Which heads bring a connection's first cell to its later tokens?")
    return figure
