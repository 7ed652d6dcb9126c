"""One style for every picture: colours that all kinds of colour vision tell apart, and a width that reads at 900 pixels."""

from pathlib import Path

import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito 2008.
BLUE, VERMILION, GREEN, ORANGE, SKY, PURPLE, YELLOW = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#F0E442"
GREY = "#767676"
SEQUENTIAL, DIVERGING = "cividis", "PuOr"
WIDTH = 9.0  # inches; 900 pixels at 100 dots per inch
PALETTE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, YELLOW)


def use_style() -> None:
    """Set the style for all figures drawn from here on."""
    sns.set_theme(
        style="ticks", palette=list(PALETTE), rc={"axes.spines.right": False, "axes.spines.top": False, "font.size": 10, "figure.dpi": 100}
    )


def empty(reason: str) -> Figure:
    """A picture that says why there is none."""
    figure, axis = plt.subplots(figsize=(WIDTH, 1.2), layout="constrained")
    axis.axis("off")
    axis.text(0.5, 0.5, reason, ha="center", va="center", color=GREY)
    return figure


def save(figure: Figure, path: Path) -> None:
    """A PNG that has the same bytes every time, closed afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.set_dpi(100)
    FigureCanvasAgg(figure).print_png(path, metadata={"Software": None})  # as savefig does, which lays it out twice
    plt.close(figure)
