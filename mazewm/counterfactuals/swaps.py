"""Pairs of mazes that differ in one connection, and so in the shortest path, for activation
patching (docs/science.md#activation-patching).

A swap closes a connection on the unique shortest path and opens an absent one between two cells of
the maze, such that the same origin and target again have exactly one shortest path. Both mazes have
equally many connections, and their encodings can be equal except for one connection. So any
difference between the model's activations on the two is due to that connection. The swapped maze
may be a training maze.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from mazewm.counterfactuals.examples import steps_of
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
    """``n`` swaps drawn at random, or all if there are fewer. At most MOST_PER_MAZE are of the same
    maze, and a second swap of a maze is used only after the first swaps of all mazes."""
    grid = mazes.grid
    on_path = (steps_of(mazes)[:, :, None] == np.arange(grid.n_connections)).any(axis=1)
    maze, removed, added = np.nonzero(
        on_path[:, :, None] & openable(grid, mazes.connections)[:, None, :]
    )
    rows = np.arange(len(maze))
    connections = mazes.connections[maze]
    connections[rows, removed], connections[rows, added] = False, True
    # The path of the swapped maze differs, since it cannot use the removed connection.
    after = shortest_paths(grid, connections, mazes.origin[maze], mazes.target[maze])
    found = rng.permutation(np.flatnonzero(after.is_unique))
    nth = _nth_of_its_kind(maze[found])
    first = np.argsort(nth, kind="stable")[: min(n, int((nth < MOST_PER_MAZE).sum()))]
    kept = np.sort(found[first])
    before = mazes[maze[kept]]
    swapped = Mazes(
        grid,
        before.maze_id,
        before.family,
        connections[kept],
        before.origin,
        before.target,
        after.cells[kept],
    )
    return Swaps(before, removed[kept], added[kept], swapped)


def _nth_of_its_kind(values: np.ndarray) -> np.ndarray:
    """For each value, how many equal values come before it."""
    order = np.argsort(values, kind="stable")
    sorted_values = values[order]
    nth = np.empty(len(values), int)
    nth[order] = np.arange(len(values)) - np.searchsorted(sorted_values, sorted_values)
    return nth
