"""What a visitor can choose."""

import numpy as np
import pytest

from mazewm.explore.scene import Scene, as_batch
from mazewm.io.errors import BadInput
from mazewm.maze.maze import Maze
from mazewm.maze.mazes import Mazes

CORNER = [((0, 0), (0, 1)), ((0, 1), (1, 1))]
MAZE = Maze.of(3, CORNER, (0, 0), (1, 1))
THERE, ABSENT = MAZE.connection(*CORNER[0]), MAZE.connection((0, 0), (1, 0))


def test_a_change_is_an_addition_or_a_removal_by_what_the_prompt_says():
    scene = Scene(MAZE).toggle(ABSENT).toggle(THERE)
    assert scene.added.tolist() == [ABSENT] and scene.removed.tolist() == [THERE]
    assert scene.maze == MAZE and scene.edited == MAZE.add((0, 0), (1, 0)).remove(*CORNER[0])
    assert scene.toggle(ABSENT).toggle(THERE) == Scene(MAZE)


def test_what_is_redrawn_in_the_prompt_is_not_changed_inside():
    scene = Scene(MAZE).toggle(ABSENT).redraw(ABSENT)
    assert scene.maze == MAZE.add((0, 0), (1, 0)) and scene.changed == ()
    assert scene.redraw(ABSENT) == Scene(MAZE)
    one = Scene(MAZE).redraw(THERE)
    with pytest.raises(BadInput, match=r"at least one connection\.$"):
        one.redraw(MAZE.connection(*CORNER[1]))


@pytest.mark.parametrize(
    ("end", "cell", "origin", "target"),
    [
        ("origin", 8, (2, 2), (1, 1)),
        ("target", 8, (0, 0), (2, 2)),
        ("origin", 4, (1, 1), (0, 0)),
        ("target", 0, (1, 1), (0, 0)),
    ],
)
def test_ends_move_and_change_places(end, cell, origin, target):
    maze = Scene(MAZE).move(end, cell).maze
    assert (maze.origin, maze.target) == (origin, target) and (maze.bits == MAZE.bits).all()


def test_a_corridor_leads_through_cells_that_the_prompt_does_not_mention():
    mentioned = {cell for pair in CORNER for cell in pair}
    for seed in range(20):
        scene = Scene(MAZE).corridor(np.random.default_rng(seed))
        maze, edited = scene.maze, scene.edited
        assert (maze.bits == MAZE.bits).all() and len(scene.removed) == 0
        assert maze.target not in mentioned and maze.origin in mentioned
        assert not maze.path and edited.has_one_path
        new = [cell for cell in edited.path if cell not in mentioned]
        assert len(new) == len(scene.added) == 4 and edited.path[-4:] == tuple(new)
        every = [Maze(maze.grid, edited.bits, cell, maze.target) for cell in mentioned]
        assert len(edited.path) == max(len(one.path) for one in every if one.has_one_path)


def test_a_maze_that_mentions_every_cell_has_no_room():
    ring = [((r, c), (r, c + 1)) for r in range(3) for c in range(2)]
    with pytest.raises(BadInput, match=r"no room for a new corridor\.$"):
        Scene(Maze.of(3, ring, (0, 0), (0, 2))).corridor(np.random.default_rng(0))


def test_a_batch_of_one_is_that_of_mazes_and_needs_no_path():
    one, same = as_batch(MAZE), Mazes.of([MAZE])
    assert (one.connections == same.connections).all() and one.path[0].tolist() == [0, 1, 4]
    assert (one.origin == same.origin).all() and (one.target == same.target).all()
    assert as_batch(Scene(MAZE).move("target", 8).maze).path.tolist() == [[0]]
