"""One maze: its path, what can be added and removed, its text, and its place in a batch."""

import matplotlib
import numpy as np
import pytest

from mazewm.io.errors import BadInput
from mazewm.maze import mazes
from mazewm.maze.maze import Maze
from mazewm.maze.mazes import Mazes

matplotlib.use("Agg")
HOOK = [((0, 0), (0, 1)), ((0, 1), (1, 1)), ((1, 1), (2, 1)), ((2, 1), (2, 0)), ((2, 0), (1, 0))]
MAZE = Maze.of(3, HOOK, origin=(1, 0), target=(0, 0))


def test_the_path_goes_around_and_a_new_connection_cuts_it_short():
    assert MAZE.path == ((1, 0), (2, 0), (2, 1), (1, 1), (0, 1), (0, 0)) and MAZE.has_one_path
    short = MAZE.add((0, 0), (1, 0))
    assert short.path == ((1, 0), (0, 0)) and MAZE.path != short.path, "the maze itself stays"
    assert (
        short.remove((1, 0), (0, 0)) == MAZE
        and hash(short.remove((0, 0), (1, 0))) == hash(MAZE)
        and short != MAZE
    )
    assert set(short.connections) == {tuple(sorted(pair)) for pair in HOOK} | {((0, 0), (1, 0))}


def test_a_target_out_of_reach_has_no_path():
    cut = MAZE.remove((0, 1), (1, 1))
    assert cut.path == () and not cut.has_one_path


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: MAZE.add((0, 0), (0, 1)), "has it"),
        (lambda: MAZE.remove((0, 0), (1, 0)), "does not have it"),
        (lambda: MAZE.add((0, 0), (1, 1)), "next to each other"),
        (lambda: MAZE.has((0, 0), (0, 3)), "from 0 to 2"),
        (lambda: Maze.of(3, HOOK, (3, 0), (0, 0)), "from 0 to 2"),
        (lambda: Mazes.of([MAZE, MAZE.remove((0, 1), (1, 1))]), "one and only one shortest path"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(call, says):
    with pytest.raises(BadInput, match=says):
        call()


def test_it_is_drawn_as_it_is():
    assert str(MAZE).splitlines() == ["T═══o   ·", "    ║", "S   o   ·", "║   ║", "o═══o   ·"]
    assert repr(MAZE) == "<Maze 3x3, 5 connections, from (1, 0) to (0, 0)>"


def test_the_picture_shows_every_connection_and_the_path():
    ax = MAZE.plot()
    assert len(ax.lines) == len(HOOK) + 1
    assert np.array_equal(ax.lines[-1].get_xydata()[:, ::-1], MAZE.path)
    assert {text.get_text() for text in ax.texts} == {"origin", "target"}
    matplotlib.pyplot.close("all")


def test_a_batch_hands_out_the_mazes_that_it_was_made_of(tmp_path):
    given = [MAZE, MAZE.add((0, 0), (1, 0)), Maze.of(3, HOOK, (0, 0), (2, 0))]
    batch = Mazes.of(given)
    assert list(batch) == given and batch[2] == given[2] and batch[np.int64(1)] == given[1]
    assert [
        tuple(map(tuple, np.stack(np.divmod(row[row >= 0], 3), axis=1))) for row in batch.path
    ] == [one.path for one in given]
    mazes.write(tmp_path / "given.parquet", batch)
    assert list(mazes.read(tmp_path / "given.parquet")) == given
    assert list(batch[np.array([2, 0])]) == [given[2], given[0]] and len(batch[:2]) == 2
    with pytest.raises(IndexError):
        batch[3]
    changed = batch[0]
    changed.bits[:] = False
    assert batch[0] == MAZE, "what is handed out is a copy"
