"""Pairs of mazes that differ in one connection, and so in the way from origin to target.

A swap closes a connection on the unique shortest path and opens an absent one between two cells
that the maze touches, so that the same ends have one and only one shortest path again. Both mazes
have equally many connections and can be encoded alike but for one connection: what is different in
a model that reads one and not the other is due to that connection. The swapped maze may be one that
the model was trained on.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from mazewm.counterfactuals.examples import flip, steps_of, with_connections
from mazewm.maze.mazes import Mazes
from mazewm.maze.truths import openable

MOST_PER_MAZE = 3  # swaps, so that no few mazes stand for many


@dataclass(frozen=True)
class Swaps:
    """Mazes, the connection that is closed and the one that is opened in each, and the mazes with
    the two swapped."""

    mazes: Mazes
    removed: Int[np.ndarray, " maze"]
    added: Int[np.ndarray, " maze"]
    swapped: Mazes  # with their own shortest paths

    def __len__(self) -> int:
        return len(self.mazes)

    def __getitem__(self, index: np.ndarray | slice) -> "Swaps":
        """The swaps that a slice, a mask or an index array picks."""
        return Swaps(self.mazes[index], self.removed[index], self.added[index], self.swapped[index])


def swaps(mazes: Mazes, rng: np.random.Generator, n: int) -> Swaps:
    """``n`` swaps drawn at random, or as many as there are, in the order of their mazes: a second
    one of a maze only when all mazes have given a first."""
    possible, maze = _all_swaps(mazes)
    drawn = rng.permutation(len(possible))
    turn = _turn(maze[drawn])
    in_turn = drawn[np.argsort(turn, kind="stable")]
    n_allowed = int((turn < MOST_PER_MAZE).sum())
    return possible[np.sort(in_turn[: min(n, n_allowed)])]


def _all_swaps(mazes: Mazes) -> tuple[Swaps, Int[np.ndarray, " swap"]]:
    """Every swap of every maze, and which maze each is of."""
    on_path = (steps_of(mazes)[:, :, None] == np.arange(mazes.grid.n_connections)).any(axis=1)
    is_open = openable(mazes.grid, mazes.connections)
    maze, removed, added = np.nonzero(on_path[:, :, None] & is_open[:, None, :])
    before = mazes[maze]
    connections = flip(before, np.stack([removed, added], axis=1))
    # The path of the swapped maze is another one, for it cannot use what was removed.
    kept, swapped = with_connections(before, connections)
    return Swaps(before[kept], removed[kept], added[kept], swapped), maze[kept]


def _turn(values: np.ndarray) -> Int[np.ndarray, " value"]:
    """How many equal values stand before each one.

    >>> _turn(np.array([5, 3, 5, 5, 3])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(values, kind="stable")
    in_order = values[order]
    turn = np.empty(len(values), int)
    turn[order] = np.arange(len(values)) - np.searchsorted(in_order, in_order)
    return turn
