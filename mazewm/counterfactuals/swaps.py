"""Pairs of mazes that differ in one connection, and so in the shortest path, for activation
patching (docs/science.md#activation-patching).

A swap closes a connection on the unique shortest path and opens an absent one between two cells of
the maze, such that the same origin and target again have exactly one shortest path. Both mazes have
equally many connections, and their encodings can be equal except for one connection. So any
difference between the model's activations on the two is due to that connection. The swapped maze
may be a training maze.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from mazewm.counterfactuals.pairs import flip, steps_of
from mazewm.maze.mazes import Mazes
from mazewm.maze.truths import openable, shortest_paths

MOST_PER_MAZE = 3  # swaps of one maze, so that a few mazes do not dominate


@dataclass(frozen=True)
class Swaps:
    """Mazes, the connections that are closed (``removed``) and opened (``added``) in each, and the
    resulting mazes."""

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
    """``n`` swaps drawn at random, or all that are allowed if there are fewer, in the order of
    their mazes. At most MOST_PER_MAZE are of the same maze, and a second swap of a maze is used
    only after the first swaps of all mazes."""
    possible, maze = _all_swaps(mazes)
    drawn = rng.permutation(len(possible))
    turn = _turn(maze[drawn])
    in_turn = drawn[np.argsort(turn, kind="stable")]
    n_allowed = int((turn < MOST_PER_MAZE).sum())
    return possible[np.sort(in_turn[: min(n, n_allowed)])]


def _all_swaps(mazes: Mazes) -> tuple[Swaps, Int[np.ndarray, " swap"]]:
    """Every possible swap of every maze, and the index of its maze in ``mazes``."""
    on_path = (
        steps_of(mazes.grid, mazes.path)[:, :, None] == np.arange(mazes.grid.n_connections)
    ).any(axis=1)
    is_open = openable(mazes.grid, mazes.connections)
    maze, removed, added = np.nonzero(on_path[:, :, None] & is_open[:, None, :])
    before = mazes[maze]
    connections = flip(before.connections, np.stack([removed, added], axis=1))
    # The path of the swapped maze differs, since it cannot use the removed connection.
    after = shortest_paths(mazes.grid, connections, before.origin, before.target)
    kept = np.flatnonzero(after.is_unique)
    swapped = replace(before[kept], connections=connections[kept], path=after.cells[kept])
    return Swaps(before[kept], removed[kept], added[kept], swapped), maze[kept]


def _turn(values: np.ndarray) -> Int[np.ndarray, " value"]:
    """For each value, how many equal values come before it.

    >>> _turn(np.array([5, 3, 5, 5, 3])).tolist()
    [0, 0, 1, 2, 1]
    """
    order = np.argsort(values, kind="stable")
    in_order = values[order]
    turn = np.empty(len(values), int)
    turn[order] = np.arange(len(values)) - np.searchsorted(in_order, in_order)
    return turn
