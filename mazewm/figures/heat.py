"""Heat maps with numbers in their cells."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from mazewm.figures.style import SEQUENTIAL, SMALL


def heat_map(
    axis: Axes,
    table: np.ndarray,
    text: np.ndarray | None = None,
    *,
    bounds: tuple[float, float] = (0.0, 1.0),
    cmap: str = SEQUENTIAL,
    bold: np.ndarray | None = None,
    size: float = SMALL,
) -> AxesImage:
    """Draw ``table`` as a heat map with ``text`` in its cells (by default the numbers), white on
    dark cells and black on light ones. ``bounds`` are the ends of the colour scale."""
    image = axis.imshow(
        table, vmin=bounds[0], vmax=bounds[1], cmap=cmap, aspect="auto", interpolation="nearest"
    )
    for (y, x), value in np.ndenumerate(table):
        words = f"{value:.2f}" if text is None else str(text[y, x])
        if not words or np.isnan(value):
            continue
        red, green, blue, _ = image.cmap(image.norm(value))
        ink = "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"
        weight = "bold" if bold is not None and bold[y, x] else "normal"
        axis.text(
            x, y, words, ha="center", va="center", color=ink, fontsize=size, fontweight=weight
        )
    axis.tick_params(length=0)
    return image
