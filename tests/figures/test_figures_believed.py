"""The picture of mazes as they are and as a model believes them to be."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from toys import BRIDGE, batch, draw

from mazewm.figures import believed
from mazewm.figures.believed import Belief, draw_beliefs
from mazewm.figures.style import BLACK, VERMILION

pytestmark = pytest.mark.usefixtures("style")
HOOK = draw("""
    O-o-o
        |
    o-T o
    |   |
    o-o-o
""")


def rows_of(mazes, wrong=()):
    """A perfect map of each maze, except that the first pair of those ``wrong`` is believed to be
    what it is not, in one direction."""
    parts = []
    for maze, bits in zip(mazes.maze_id, mazes.connections, strict=True):
        n = np.where(bits, 2, 0)
        if maze in wrong:
            n[0] = 1
        columns = {"maze_id": maze, "connection": np.arange(len(bits)), "n_straight": n}
        parts.append(pd.DataFrame(columns | {"belief": n / 2, "split": "test", "model": "trained"}))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("n_straight", "is_open", "is_wrong"),
    [(2, True, False), (1, True, True), (0, True, True), (0, False, False), (1, False, True)],
)
def test_what_is_wrong(n_straight, is_open, is_wrong):
    belief = Belief(np.array([3]), np.array([0.5]), np.array([n_straight]))
    connections = np.zeros(12, bool)
    connections[3] = is_open
    assert belief.is_wrong(connections).tolist() == [is_wrong]


def test_lines_are_where_the_pairs_are_and_as_dark_as_believed():
    mazes = batch(HOOK)
    belief = Belief(np.array([0, 6]), np.array([0.3, 0.9]), np.array([2, 2]))
    _, axis = plt.subplots()
    draw_beliefs(axis, mazes.grid, mazes.connections[0], belief)
    one, other = axis.lines
    assert one.get_xydata().tolist() == [[0, 0], [0, 1]]  # (0,0)-(1,0), a wall
    assert other.get_xydata().tolist() == [[0, 0], [1, 0]]  # (0,0)-(0,1), a connection
    assert to_hex(one.get_color()).upper() == VERMILION and one.get_alpha() == 1
    assert to_hex(other.get_color()).upper() == BLACK and other.get_alpha() == 0.9


def test_the_first_mazes_and_the_first_mistake_are_chosen():
    mazes = batch(*[HOOK] * 9)
    assert believed.choose(mazes, rows_of(mazes)) == [0, 1, 2, 3]
    assert believed.choose(mazes, rows_of(mazes, wrong=[6, 8])) == [0, 1, 2, 6]
    assert believed.choose(mazes, rows_of(mazes, wrong=[1, 7])[lambda r: r.maze_id > 0]) == [
        1,
        2,
        3,
        7,
    ]
    large = batch(BRIDGE)
    assert large.n_connections[0] not in believed.SIZES
    assert believed.choose(large, rows_of(large)) == []


@pytest.mark.parametrize("wrong", [(), (5,)])
def test_the_figure_can_be_read(wrong, unreadable):
    mazes = batch(*[HOOK] * 6)
    figure = believed.believed_mazes(mazes, rows_of(mazes, wrong))
    titles = [axis.get_title() for axis in figure.axes]
    assert sum("12 of 12" in title for title in titles) == 4 - len(wrong)
    assert sum("11 of 12" in title for title in titles) == len(wrong)
    assert not unreadable(figure)


def test_no_maze_of_the_size_is_said(unreadable):
    mazes = batch(BRIDGE)
    assert not unreadable(believed.believed_mazes(mazes, rows_of(mazes)))
