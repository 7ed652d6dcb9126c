"""Figures of attention: how far back heads attend, whether that changes late in the sequence, to
cells of which parity, and what the weights alone predict."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from mazewm.circuits.offsets import KEY_CLASSES, occurs
from mazewm.figures.style import MARKERS, METHODS, SERIES, WIDTH, Style, legend_below, x_label

CLASSES = ("c2", ";")  # where these models bind a connection, and where the paper's models did
UNIFORM = METHODS["uniform"]


def offset_profile(attention: pd.DataFrame) -> Figure:
    """Attention by how many tokens back it goes, at c2 and ``;``, for every head of every layer."""
    figure = _profiles(
        attention, "offset", "tokens back (0: the token itself)", "share of attention"
    )
    _title(figure, attention, "How far back do heads look?")
    return figure


def position_profile(attention: pd.DataFrame) -> Figure:
    """own_mass by the place of the connection in the list; it falls late in the list if a head's
    pattern shifts there."""
    figure = _profiles(
        attention,
        "position",
        "connections spelled before (first of the bin)",
        "attention to own\ncoordinates",
    )
    _title(
        figure,
        attention,
        "Do heads look at their own connection's coordinates early and late alike?",
    )
    return figure


def parity(attention: pd.DataFrame) -> Figure:
    """Attention to own coordinates whose row + col is even and to those where it is odd, for every
    head of every layer."""
    rows = attention[attention.measure == "parity"]

    def draw(axis: Axes, here: pd.DataFrame) -> None:
        for bin, name, shift in ((0, "row + col even", -0.15), (1, "row + col odd", 0.15)):
            one = here[(here.control == "none") & (here["bin"] == bin)].sort_values("head")
            style: Style = {
                "fmt": MARKERS[bin],
                "color": SERIES[bin],
                "markersize": 4.5,
                "capsize": 2,
            }
            axis.errorbar(one["head"] + shift, one["mean"], yerr=_half(one), label=name, **style)
        uniform = here[here.control == "uniform"]["mean"].mean()
        axis.axhline(
            uniform, color=UNIFORM.colour, linestyle=UNIFORM.line, linewidth=1, label=UNIFORM.label
        )
        axis.set_xticks(sorted(here["head"].unique()))

    figure = _grid(rows, draw, "head", "attention per\nown coordinate")
    _title(
        figure, attention, "Do heads specialise in cells of one parity?", "mean with 95 % interval"
    )
    return figure


def qk_profile(qk: pd.DataFrame, query_class: str = "c2") -> Figure:
    """Block 0's attention scores by offset and key class, from the weights alone; a row for each
    run, a panel for each head."""
    rows = qk[qk.query_class == query_class]
    runs, heads = list(dict.fromkeys(rows.run)), sorted(rows["head"].unique())
    size = (WIDTH, 1.4 + 2.0 * len(runs))
    figure, axes = plt.subplots(
        len(runs),
        len(heads),
        figsize=size,
        layout="constrained",
        squeeze=False,
        sharex=True,
        sharey="row",
    )
    for line, run in zip(axes, runs, strict=True):
        for axis, head in zip(line, heads, strict=True):
            _scores(axis, rows[(rows.run == run) & (rows["head"] == head)], query_class)
            axis.set_title(f"{run}: head 0.{head}")
        line[0].set_ylabel("score before the\nsoftmax (nats)")
    axes[0, 0].xaxis.set_major_locator(MultipleLocator(4))
    x_label(figure, "tokens back (0: the token itself)")
    legend_below(figure, list(axes.flat), 3)
    text = (
        f"What does a query at {query_class} ask for?  From the weights, mean over cells, positions"
    )
    figure.suptitle(
        text + "\nmarks: offsets at which such a token can stand; band: sd over positions"
    )
    return figure


def _scores(axis: Axes, rows: pd.DataFrame, query_class: str) -> None:
    """One head's scores, a line for each key class."""
    for nth, key_class in enumerate(KEY_CLASSES):
        one, colour = rows[rows.key_class == key_class].sort_values("offset"), SERIES[nth]
        there = one[[occurs(query_class, key_class, offset) for offset in one.offset]]
        low, high = one.score - one.sd_over_positions, one.score + one.sd_over_positions
        axis.fill_between(one.offset, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.plot(one.offset, one.score, color=colour, linewidth=0.7)
        axis.plot(
            there.offset,
            there.score,
            MARKERS[nth],
            color=colour,
            markersize=4,
            label=f"to {key_class}",
        )


def _profiles(attention: pd.DataFrame, measure: str, xlabel: str, ylabel: str) -> Figure:
    """A line for each head over ``bin``, with the uniform control."""
    rows = attention[(attention.measure == measure) & attention.token_class.isin(CLASSES)]

    def draw(axis: Axes, here: pd.DataFrame) -> None:
        for head, one in here[here.control == "none"].groupby("head"):
            one, nth = one.sort_values("bin"), int(head)
            style: Style = {
                "color": SERIES[nth % len(SERIES)],
                "marker": MARKERS[nth % len(MARKERS)],
            }
            style |= {"markersize": 3.5, "linewidth": 1, "capsize": 1.5, "label": f"head {head}"}
            axis.fill_between(
                one["bin"],
                one["mean"] - one.sd,
                one["mean"] + one.sd,
                color=style["color"],
                alpha=0.12,
                linewidth=0,
            )
            axis.errorbar(one["bin"], one["mean"], yerr=_half(one), **style)
        control = here[here.control == "uniform"].groupby("bin")["mean"].mean()
        axis.plot(
            control.index,
            control,
            color=UNIFORM.colour,
            linestyle=UNIFORM.line,
            linewidth=1,
            label=UNIFORM.label,
        )
        axis.set_xticks(control.index[:: 1 if len(control) < 6 else 2])

    return _grid(rows, draw, xlabel, ylabel)


def _grid(
    rows: pd.DataFrame, draw: Callable[[Axes, pd.DataFrame], None], xlabel: str, ylabel: str
) -> Figure:
    """A row for each run and token class, each on a scale of its own that spans its data; a column
    for each layer; one legend."""
    classes = [c for c in CLASSES if (rows.token_class == c).any()]
    lines, layers = (
        [(run, c) for run in dict.fromkeys(rows.run) for c in classes],
        sorted(rows.layer.unique()),
    )
    size = (WIDTH, 1.4 + 1.7 * len(lines))
    figure, axes = plt.subplots(
        len(lines),
        len(layers),
        figsize=size,
        layout="constrained",
        squeeze=False,
        sharex=True,
        sharey="row",
    )
    for line, (run, token_class) in zip(axes, lines, strict=True):
        for axis, layer in zip(line, layers, strict=True):
            draw(
                axis,
                rows[(rows.run == run) & (rows.token_class == token_class) & (rows.layer == layer)],
            )
            axis.set_title(f"block {layer}, at  {token_class}")
        bottom, top = line[0].get_ylim()
        line[0].set_ylim(max(-0.03, bottom), min(1.03, top))
        line[0].yaxis.set_major_locator(MaxNLocator(4))
        line[0].set_ylabel(f"{run}\n{ylabel}")
    x_label(figure, xlabel)
    legend_below(figure, list(axes.flat), 5)
    return figure


def _half(rows: pd.DataFrame) -> np.ndarray:
    """Half of the 95 % interval of a mean over mazes."""
    return (1.96 * rows.sd / np.sqrt(rows.n)).to_numpy()


def _title(
    figure: Figure,
    attention: pd.DataFrame,
    question: str,
    bands: str = "bars: 95 % interval of the mean; band: sd over mazes",
) -> None:
    figure.suptitle(f"{question}  ({attention.n.max():,} mazes)\n{bands}; rows differ in scale")
