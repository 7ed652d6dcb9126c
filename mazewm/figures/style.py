"""One style for all figures: size, fonts, and the meaning of colours, markers and lines.

A method, control or readout looks the same in every figure, as set in ``METHODS``. Runs, heads,
layers, widths and kinds of latents take their colours from ``SERIES``, which no method uses.
Verdicts and drawn mazes have a few colours and a legend of their own.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

WIDTH, DPI = 9.0, 200  # inches, dots per inch
N_COLOURS = 256  # of a picture
SMALL = 8  # points, the smallest text

# The palette of Okabe and Ito (2008), safe for colour blindness, and darker shades of some.
BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE, BLACK, GREY = "#56B4E9", "#CC79A7", "#000000", "#767676"
NAVY, DARK_GREEN, BROWN, SILVER = "#1B3A5C", "#00543D", "#8C510A", "#A8A8A8"
BAND, RULE = "#F2F2F2", "#D8D8D8"  # behind every second row; lines that part panels
# Tol's muted scheme.
SERIES = ("#332288", "#999933", "#44AA99", "#CC6677", "#882255", "#88CCEE", "#117733", "#DDCC77")
MARKERS, LINES = "osD^vPX*", ("-", "--", ":", "-.")
SEQUENTIAL, DIVERGING = "cividis", "PuOr"
VERDICTS = {
    "supported": GREEN,
    "refuted": VERMILION,
    "not beyond the control": ORANGE,
    "depends": PURPLE,
    "undecided": GREY,
    "unmeasured": SILVER,
}


Style = dict[str, Any]  # of a matplotlib artist


class Look(NamedTuple):
    """How something is drawn, and what it is called."""

    label: str
    colour: str
    marker: str = "o"
    line: str = "-"
    fill: str = "full"  # of the marker: full or none


# In the order of legends: what is studied, what it is compared with, controls.
METHODS = {
    "latents": Look("SAE latents", BLUE, "o"),
    "mean_difference": Look("mean difference", GREEN, "s"),
    "given_target": Look("mean difference, equal targets", DARK_GREEN, "^"),
    "linear_probe": Look("linear probe", PURPLE, "D"),
    "probe": Look("probe's direction", PURPLE, "D"),
    "probe_direction": Look("probe's direction", PURPLE, "D"),
    "probe_pattern": Look("probe's pattern", DARK_GREEN, "^"),
    "residual_dimensions": Look("residual dimensions", BROWN, "h"),
    "neurons": Look("residual dimensions", BROWN, "h"),
    "tokens": Look("in the prompt", BLACK, "*"),
    "none": Look("no edit", SILVER, "", ":"),
    "add_only": Look("latents, adding only", SKY, "P"),
    "remove_only": Look("latents, removing only", NAVY, "p"),
    "add_and_random": Look("latents, adding; random push", SKY, "X"),
    "input": Look("input's bits", BLACK, "", "--"),
    "input_pairs": Look("input's bits and their products", BLACK, "", "-"),
    "other_connection": Look("control: another connection's latents", ORANGE, "X", "--"),
    "other_units": Look("control: another cell's or connection's", ORANGE, "X", "--"),
    "other_units_given_target": Look("control: the same, given the target", SKY, "P", "--"),
    "random_direction": Look("control: random direction", GREY, ">", "--"),
    "frozen_decoder": Look("control: SAE with a random decoder", GREY, ">", "--"),
    "untrained_model": Look("control: untrained model", SILVER, "v", "--"),
    "shuffled_labels": Look("control: shuffled labels", VERMILION, "d", ":"),
    "shuffled": Look("control: another connection's coordinates", VERMILION, "d", ":"),
    "uniform": Look("control: uniform attention", SILVER, "", "--"),
}


def recipes(runs: Iterable[str]) -> dict[str, list[str]]:
    """Runs by recipe (the name without the seed), in order of first appearance.

    >>> recipes(["rotary-all-0", "rotary-all-1", "learned-all-0"])
    {'rotary-all': ['rotary-all-0', 'rotary-all-1'], 'learned-all': ['learned-all-0']}
    """
    parted: dict[str, list[str]] = {}
    for run in dict.fromkeys(runs):
        parted.setdefault(run.rpartition("-")[0] or run, []).append(run)
    return parted


def run_looks(runs: Iterable[str]) -> dict[str, Look]:
    """A look for each run: the colour is the encoding's, the marker the seed's; line and fill are
    the objective's. Seeds of one recipe share a label, so that a legend names each recipe once."""
    parted = recipes(runs)
    encodings, objectives = (
        list(dict.fromkeys(recipe.partition("-")[part] for recipe in parted)) for part in (0, 2)
    )
    looks = dict[str, Look]()
    for recipe, same in parted.items():
        encoding, _, objective = recipe.partition("-")
        colour = SERIES[encodings.index(encoding) % len(SERIES)]
        nth = objectives.index(objective)
        line, fill = LINES[nth % len(LINES)], "none" if nth else "full"
        for seed, run in enumerate(same):
            label = run if len(same) == 1 else f"{recipe}, {len(same)} seeds"
            looks[run] = Look(label, colour, MARKERS[seed % len(MARKERS)], line, fill)
    return looks


def first_seeds(runs: Iterable[str]) -> list[str]:
    """The first run of each recipe, for figures with a panel for each run.

    >>> first_seeds(["rotary-all-0", "rotary-all-1", "learned-all-0"])
    ['rotary-all-0', 'learned-all-0']
    """
    return [same[0] for same in recipes(runs).values()]


def spread_seeds(nth: int, n: int) -> float:
    """The offset of the nth of n seeds from the middle of its row, which is 1 high."""
    return 0.6 * ((nth + 0.5) / n - 0.5)


def span(n: pd.Series) -> str:
    """The number of examples, or the smallest and the largest of several, as text."""
    return f"{int(n.min()):,}" if n.min() == n.max() else f"{int(n.min()):,} to {int(n.max()):,}"


def use_style() -> None:
    """Set the style of all figures drawn from now on."""
    sizes = {"font.size": 9, "axes.titlesize": 9.5, "axes.labelsize": 9, "legend.fontsize": 8.5}
    sizes |= {"xtick.labelsize": 8.5, "ytick.labelsize": 8.5, "figure.titlesize": 11}
    lines = {"axes.linewidth": 0.8, "xtick.major.width": 0.8, "ytick.major.width": 0.8}
    lines |= {"xtick.major.size": 3, "ytick.major.size": 3}
    spines = {"axes.spines.right": False, "axes.spines.top": False}
    sns.set_theme(
        style="ticks", palette=list(SERIES), rc=sizes | lines | spines | {"figure.dpi": DPI}
    )


def grid(
    n_panels: int, most: int, height: float, around: float, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of ``n_panels`` panels, at most ``most`` in a row. Each row is ``height`` inches
    high, and ``around`` inches are added for titles and the legend."""
    n_rows = -(-max(1, n_panels) // most)
    n_cols = -(-max(1, n_panels) // n_rows)  # as even as possible: four panels make two rows of two
    size = (WIDTH, around + height * n_rows)
    figure, axes = plt.subplots(
        n_rows, n_cols, figsize=size, layout="constrained", squeeze=False, **options
    )
    for axis in axes.flat[n_panels:]:
        axis.axis("off")
    for nth, axis in enumerate(axes.flat[:n_panels]):
        if nth + n_cols >= n_panels:
            axis.tick_params(labelbottom=True)
    return figure, list(axes.flat[:n_panels])


def x_label(figure: Figure, text: str) -> None:
    """One label, centred below the lowest row of panels; ``Figure.supxlabel`` would overlap the
    legend."""
    places = [(axis, axis.get_subplotspec()) for axis in figure.axes if axis.axison]
    stops = [(axis, place.rowspan.stop) for axis, place in places if place is not None]
    lowest = [axis for axis, stop in stops if stop == max(stop for _, stop in stops)]
    for axis in lowest:
        axis.set_xlabel(" ")  # reserves room for the label, which is wider than one panel
    middle = lowest[(len(lowest) - 1) // 2]
    middle.set_xlabel(text, x=0.5 if len(lowest) % 2 else 1.0)


def legend_below(figure: Figure, axes: Sequence[Axes], n_cols: int) -> None:
    """One legend for all panels, below them; of entries with the same label, only the first."""
    entries: dict[str, Artist] = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        n_cols = min(n_cols, len(entries))
        figure.legend(
            entries.values(),
            entries.keys(),
            loc="outside lower center",
            ncols=n_cols,
            frameon=False,
        )


def empty(reason: str) -> Figure:
    """A figure without data, which says why."""
    figure, axis = plt.subplots(figsize=(WIDTH, 1.2), layout="constrained")
    axis.axis("off")
    axis.text(0.5, 0.5, reason, ha="center", va="center", color=GREY)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG of few colours, with the same bytes every time, and close it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    # labels wider than their panels change the layout again
    if (engine := figure.get_layout_engine()) is not None:
        engine.execute(figure)
    canvas.draw()
    drawn = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    of_few_colours(drawn).save(path, "PNG", dpi=(DPI, DPI))
    plt.close(figure)


def of_few_colours(picture: Image.Image) -> Image.Image:
    """A picture of N_COLOURS colours: as PNG about a third as large, and the same to the eye."""
    return picture.quantize(N_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
