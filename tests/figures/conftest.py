"""What is wrong with the text of a figure: cut off, too small, or printed over other text."""

from itertools import combinations

import matplotlib.pyplot as plt
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from mazewm.figures.style import DPI, SMALL

SLACK = 2  # pixels by which boxes may overlap; letters do not fill theirs


def faults(figure: Figure) -> list[str]:
    """A sentence for everything that cannot be read where the figure is drawn as for saving."""
    figure.set_dpi(DPI)
    canvas, drawn, draw = FigureCanvasAgg(figure), [], Text.draw
    figure.draw_without_rendering()  # as for saving

    def note(text, renderer, *args, **kwargs):
        if text.get_visible() and text.get_text().strip():
            drawn.append((text.get_text(), text.get_fontsize(), text.get_window_extent(renderer)))
        draw(text, renderer, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", note)
        canvas.draw()
    width, height = canvas.get_width_height()
    said = [f"{text!r} is of {size} points" for text, size, _ in drawn if size < SMALL]
    for text, _, box in drawn:
        if box.x0 < -SLACK or box.y0 < -SLACK or box.x1 > width + SLACK or box.y1 > height + SLACK:
            said.append(f"{text!r} is cut off")
    for (one, _, box), (other, _, there) in combinations(drawn, 2):
        both = Bbox.intersection(box, there)
        if both is not None and both.width > SLACK and both.height > SLACK:
            said.append(f"{one!r} and {other!r} are printed over each other")
    return said


@pytest.fixture(autouse=True)
def closed():
    """No figure outlives its test."""
    yield
    plt.close("all")


@pytest.fixture
def unreadable():
    """The function ``faults``, for tests which cannot import it."""
    return faults
