"""Mazes in which connections can be added, removed or moved, with the path that a model which uses
its world model should then write (docs/science.md#interventions).

* **add e**: e is absent, the maze has both of its cells, and opening e makes the unique shortest
  path strictly shorter.
* **remove e**: the maze is a tree with one extra connection, so it has one cycle. Its unique
  shortest path uses e, and without e exactly one path is shortest. It has at most
  ``max_connections``, the most of any training maze.
* **move e to f**: e is on the unique shortest path; f is absent, and the maze has both of its
  cells. With f open and e closed exactly one path is shortest, and it uses f. So the edited maze
  has as many connections as the encoded one.
* **several**: k absent connections between cells of the maze are added at once. The unique shortest
  path of the edited maze is strictly shorter, so at least one of them is on it. The edited maze has
  at most ``max_connections``.
* **overload**: as several, but the encoded maze has exactly ``max_connections``, so the edited one
  has k more than any training maze. With k = 0 nothing is edited.

The predicted path is the shortest path of the edited maze. It is determined here, before any model
runs.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from mazewm.datasets.draw import random_ends
from mazewm.maze.mazes import Mazes, solve
from mazewm.maze.truths import openable, shortest_paths, touched_cells

Kind = Literal["add", "remove", "move", "several", "overload"]


@dataclass(frozen=True)
class Examples:
    """Mazes as they are encoded, the numbers of the connections to add and to remove in each, and
    the edited mazes."""

    kind: Kind
    mazes: Mazes
    added: Int[np.ndarray, "maze n"]
    removed: Int[np.ndarray, "maze m"]
    edited: Mazes  # the same mazes after the edit; its ``path`` is the prediction

    def __len__(self) -> int:
        return len(self.mazes)

    def __getitem__(self, index: np.ndarray | slice) -> "Examples":
        """The examples that a slice, a mask or an index array picks."""
        return Examples(
            self.kind, self.mazes[index], self.added[index], self.removed[index], self.edited[index]
        )

    @property
    def n_changed(self) -> int:
        """How many connections are added, removed or moved in each maze."""
        return max(self.added.shape[1], self.removed.shape[1])


def flip(mazes: Mazes, changed: Int[np.ndarray, "maze n"]) -> Bool[np.ndarray, "maze connection"]:
    """The connection sets of the mazes, with the listed connections of each toggled: open ones
    closed, closed ones opened. A connection must not be listed twice for a maze."""
    connections = mazes.connections.copy()
    connections[np.arange(len(mazes))[:, None], changed] ^= True
    return connections


def with_connections(
    mazes: Mazes, connections: Bool[np.ndarray, "maze connection"]
) -> tuple[Int[np.ndarray, " kept"], Mazes]:
    """The mazes with their connection sets replaced by ``connections``: the indices of those that
    then have exactly one shortest path, and these mazes themselves."""
    after = shortest_paths(mazes.grid, connections, mazes.origin, mazes.target)
    kept = np.flatnonzero(after.is_unique)
    return kept, replace(mazes[kept], connections=connections[kept], path=after.cells[kept])


def with_new_ends(mazes: Mazes, rng: np.random.Generator, times: int) -> Mazes:
    """More questions about the same connection sets: each maze ``times`` times, with a new origin
    and target. Those without exactly one shortest path are left out."""
    again = mazes[np.tile(np.arange(len(mazes)), times)]
    origin, target = random_ends(rng, touched_cells(again.grid, again.connections))
    return solve(again.grid, again.connections, origin, target, again.family, again.maze_id)


def additions(mazes: Mazes, rng: np.random.Generator, n_per_connection: int) -> Examples:
    """Up to ``n_per_connection`` examples of adding each connection of the lattice.

    >>> from mazewm.maze.maze import Maze
    >>> around = [((0, 0), (1, 0)), ((1, 0), (1, 1)), ((1, 1), (0, 1))]
    >>> mazes = Mazes.of([Maze.of(2, around, origin=(0, 0), target=(0, 1))])
    >>> found = additions(mazes, np.random.default_rng(0), n_per_connection=1)
    >>> found.edited[0].path  # with a connection from origin to target
    ((0, 0), (0, 1))
    """
    maze, connection = np.nonzero(openable(mazes.grid, mazes.connections))
    found = _that_fit("add", mazes[maze], connection[:, None], _none(maze))
    shorter = found[found.edited.path_length < found.mazes.path_length]
    return _some_of_each(shorter, shorter.added[:, 0], rng, n_per_connection)


def removals(
    mazes: Mazes, rng: np.random.Generator, n_per_connection: int, max_connections: int
) -> Examples:
    """Up to ``n_per_connection`` examples of removing each connection of the lattice. The mazes are
    made from those of ``mazes`` that are trees, by adding one connection."""
    # A connected maze is a tree if it has one connection fewer than cells.
    is_tree = mazes.n_connections == touched_cells(mazes.grid, mazes.connections).sum(axis=1) - 1
    trees = mazes[is_tree & (mazes.n_connections < max_connections)]
    maze, extra = np.nonzero(openable(trees.grid, trees.connections))
    chosen = trees[maze]
    _, cyclic = with_connections(chosen, flip(chosen, extra[:, None]))
    steps = steps_of(cyclic)
    which, nth = np.nonzero(steps >= 0)
    found = _that_fit("remove", cyclic[which], _none(which), steps[which, nth][:, None])
    return _some_of_each(found, found.removed[:, 0], rng, n_per_connection)


def moves(mazes: Mazes, rng: np.random.Generator, n_per_connection: int) -> Examples:
    """Up to ``n_per_connection`` examples of moving each connection of the lattice elsewhere."""
    maze, added = np.nonzero(openable(mazes.grid, mazes.connections))
    steps = steps_of(mazes)[maze]
    which, nth = np.nonzero(steps >= 0)
    found = _that_fit("move", mazes[maze[which]], added[which][:, None], steps[which, nth][:, None])
    through = found[(steps_of(found.edited) == found.added).any(axis=1)]
    return _some_of_each(through, through.removed[:, 0], rng, n_per_connection)


def several(
    mazes: Mazes, rng: np.random.Generator, k: int, n: int, max_connections: int
) -> Examples:
    """Up to ``n`` examples of adding ``k`` connections at once, such that the edited maze has at
    most ``max_connections``, the most of any training maze."""
    return _together("several", mazes[mazes.n_connections + k <= max_connections], rng, k, n)


def overload(
    mazes: Mazes, rng: np.random.Generator, k: int, n: int, max_connections: int
) -> Examples:
    """Up to ``n`` examples of adding ``k`` connections at once to mazes that have exactly
    ``max_connections``, the most of any training maze."""
    return _together("overload", mazes[mazes.n_connections == max_connections], rng, k, n)


def steps_of(mazes: Mazes) -> Int[np.ndarray, "maze step"]:
    """The connections along the shortest path, padded with -1."""
    here, there = mazes.path[:, :-1], mazes.path[:, 1:]
    return np.where(there >= 0, mazes.grid.connection_of[here, there], -1)


def _none(like: np.ndarray) -> Int[np.ndarray, "maze 0"]:
    """An empty list of connections for each maze."""
    return np.zeros((len(like), 0), int)


def _together(kind: Kind, mazes: Mazes, rng: np.random.Generator, k: int, n: int) -> Examples:
    """Draw ``k`` openable connections of each maze at random; up to ``n`` of the examples in which
    they make the path shorter."""
    is_open = openable(mazes.grid, mazes.connections)
    enough = is_open.sum(axis=1) >= k
    mazes, is_open = mazes[enough], is_open[enough]
    added = np.argsort(-rng.random(is_open.shape) * is_open, axis=1)[:, :k]
    found = _that_fit(kind, mazes, added, _none(added))
    if k:
        found = found[found.edited.path_length < found.mazes.path_length]
    return found[np.sort(rng.permutation(len(found))[:n])]


def _that_fit(kind: Kind, mazes: Mazes, added: np.ndarray, removed: np.ndarray) -> Examples:
    """The candidates whose edited maze has exactly one shortest path."""
    connections = flip(mazes, np.concatenate([added, removed], axis=1))
    kept, edited = with_connections(mazes, connections)
    return Examples(kind, mazes[kept], added[kept], removed[kept], edited)


def _some_of_each(
    found: Examples, connection: Int[np.ndarray, " maze"], rng: np.random.Generator, n: int
) -> Examples:
    """Up to ``n`` examples for each value of ``connection``, drawn at random, in their original
    order."""
    shuffled = rng.permutation(len(found))
    kept = [shuffled[connection[shuffled] == e][:n] for e in range(found.mazes.grid.n_connections)]
    return found[np.sort(np.concatenate(kept))]
