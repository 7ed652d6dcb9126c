"""Mazes in which one connection can be added or removed, and what a model that uses its world model must then do.

* **add e**: e is absent, both its cells are present, and opening e makes the unique shortest path strictly shorter.
* **remove e**: a tree with one connection more, so with one cycle, whose unique shortest path uses e; without e there is
  still one and only one shortest path. It has no more connections than the longest training maze.

The predicted path, that of the edited maze, is fixed here, before any model runs.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int

from mazewm.maze.datasets import random_ends
from mazewm.maze.mazes import Mazes, solve
from mazewm.maze.truths import shortest_paths, touched_cells

Kind = Literal["add", "remove"]


@dataclass(frozen=True)
class Examples:
    """Mazes as they are spelled, the connection that is edited in each, and the mazes as edited."""

    kind: Kind
    mazes: Mazes
    connection: Int[np.ndarray, " maze"]
    edited: Mazes  # the same mazes with the connection added or removed; its ``path`` is the prediction

    def __len__(self) -> int:
        return len(self.mazes)


def flip(mazes: Mazes, connection: np.ndarray) -> np.ndarray:
    """The connection sets with one connection of each maze opened or closed."""
    connections = mazes.connections.copy()
    rows = np.arange(len(mazes))
    connections[rows, connection] ^= True
    return connections


def with_new_ends(mazes: Mazes, rng: np.random.Generator, times: int) -> Mazes:
    """Each maze ``times`` over, with origin and target drawn anew: more questions about the same connection sets."""
    again = mazes[np.tile(np.arange(len(mazes)), times)]
    origin, target = random_ends(rng, touched_cells(again.grid, again.connections))
    return solve(again.grid, again.connections, origin, target, again.family, again.maze_id)


def additions(mazes: Mazes, rng: np.random.Generator, n_per_connection: int) -> Examples:
    """Up to ``n_per_connection`` examples of adding each connection."""
    touched = touched_cells(mazes.grid, mazes.connections)
    a, b = mazes.grid.ends.T
    maze, connection = np.nonzero(~mazes.connections & touched[:, a] & touched[:, b])
    return _choose("add", mazes[maze], connection, rng, n_per_connection, shorter=True)


def removals(mazes: Mazes, rng: np.random.Generator, n_per_connection: int, max_connections: int) -> Examples:
    """Up to ``n_per_connection`` examples of removing each connection, from trees given one connection more."""
    trees = mazes[mazes.n_connections < max_connections]
    touched = touched_cells(trees.grid, trees.connections)
    a, b = trees.grid.ends.T
    maze, extra = np.nonzero(~trees.connections & touched[:, a] & touched[:, b])
    chosen = trees[maze]
    cyclic = solve(trees.grid, flip(chosen, extra), chosen.origin, chosen.target, chosen.family, chosen.maze_id)
    on_path = [cyclic.grid.connection_of[cyclic.path[:, i], cyclic.path[:, i + 1]] for i in range(cyclic.path.shape[1] - 1)]
    step = np.where(cyclic.path[:, 1:] >= 0, np.stack(on_path, axis=1), -1)
    which, nth = np.nonzero(step >= 0)
    return _choose("remove", cyclic[which], step[which, nth], rng, n_per_connection, shorter=False)


def _choose(kind: Kind, mazes: Mazes, connection: np.ndarray, rng: np.random.Generator, n_per_connection: int, shorter: bool) -> Examples:
    """Those candidates whose edited maze has one shortest path (and a shorter one, if asked), shuffled, so many of each connection."""
    after = shortest_paths(mazes.grid, flip(mazes, connection), mazes.origin, mazes.target)
    fits = np.flatnonzero(after.is_unique & ((after.length < mazes.path_length) | (not shorter)))
    fits = rng.permutation(fits)
    kept = np.sort(np.concatenate([fits[connection[fits] == e][:n_per_connection] for e in range(mazes.grid.n_connections)]))
    before = mazes[kept]
    edited = Mazes(
        before.grid, before.maze_id, before.family, flip(before, connection[kept]), before.origin, before.target, after.cells[kept]
    )
    return Examples(kind, before, connection[kept], edited)
