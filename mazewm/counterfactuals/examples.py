"""Mazes in which connections can be added, removed or moved, and what a model that uses its world
model must then do.

* **add e**: e is absent, both its cells are present, and opening e makes the unique shortest path
  strictly shorter.
* **remove e**: a tree with one connection more, so with one cycle, whose unique shortest path uses
  e; without e there is still one and only one shortest path. It has no more connections than the
  longest training maze.
* **move e to f**: e lies on the unique shortest path, f is absent and both its cells are present;
  with f open and e closed there is one and only one shortest path, and it uses f. The edited maze
  has as many connections as the spelled one.
* **several**: k absent connections between present cells are added at once, and the unique shortest
  path of the maze with all k is strictly shorter, so at least one of them is on it. The edited maze
  has no more connections than the longest training maze.
* **overload**: the same, but the maze as spelled has exactly as many connections as the longest
  training maze, so the edited one has k more than the model has ever seen. With k = 0 nothing is
  edited.

The predicted path, that of the edited maze, is fixed here, before any model runs.
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
    """Mazes as they are encoded, the connections that are edited in each, and the mazes as
    edited."""

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
    """The connection sets with the listed connections of each maze opened or closed; none may be
    listed twice."""
    connections = mazes.connections.copy()
    connections[np.arange(len(mazes))[:, None], changed] ^= True
    return connections


def with_connections(
    mazes: Mazes, connections: Bool[np.ndarray, "maze connection"]
) -> tuple[Int[np.ndarray, " kept"], Mazes]:
    """Which of the mazes have one and only one shortest path with other connections, and these
    mazes with them."""
    after = shortest_paths(mazes.grid, connections, mazes.origin, mazes.target)
    kept = np.flatnonzero(after.is_unique)
    return kept, replace(mazes[kept], connections=connections[kept], path=after.cells[kept])


def with_new_ends(mazes: Mazes, rng: np.random.Generator, times: int) -> Mazes:
    """Each maze ``times`` over, with origin and target drawn anew: more questions about the same
    connection sets."""
    again = mazes[np.tile(np.arange(len(mazes)), times)]
    origin, target = random_ends(rng, touched_cells(again.grid, again.connections))
    return solve(again.grid, again.connections, origin, target, again.family, again.maze_id)


def additions(mazes: Mazes, rng: np.random.Generator, n_per_connection: int) -> Examples:
    """Up to ``n_per_connection`` examples of adding each connection."""
    maze, connection = np.nonzero(openable(mazes.grid, mazes.connections))
    found = _that_fit("add", mazes[maze], connection[:, None], _none(maze))
    shorter = found[found.edited.path_length < found.mazes.path_length]
    return _some_of_each(shorter, shorter.added[:, 0], rng, n_per_connection)


def removals(
    mazes: Mazes, rng: np.random.Generator, n_per_connection: int, max_connections: int
) -> Examples:
    """Up to ``n_per_connection`` examples of removing each connection, from trees given one
    connection more."""
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
    """Up to ``n_per_connection`` examples of moving each connection to another place."""
    maze, added = np.nonzero(openable(mazes.grid, mazes.connections))
    steps = steps_of(mazes)[maze]
    which, nth = np.nonzero(steps >= 0)
    found = _that_fit("move", mazes[maze[which]], added[which][:, None], steps[which, nth][:, None])
    through = found[(steps_of(found.edited) == found.added).any(axis=1)]
    return _some_of_each(through, through.removed[:, 0], rng, n_per_connection)


def several(
    mazes: Mazes, rng: np.random.Generator, k: int, n: int, max_connections: int
) -> Examples:
    """Up to ``n`` examples of adding ``k`` connections at once, to no more in all than the longest
    training maze has."""
    return _together("several", mazes[mazes.n_connections + k <= max_connections], rng, k, n)


def overload(
    mazes: Mazes, rng: np.random.Generator, k: int, n: int, max_connections: int
) -> Examples:
    """Up to ``n`` examples of adding ``k`` connections at once to mazes that are as long as the
    longest training maze."""
    return _together("overload", mazes[mazes.n_connections == max_connections], rng, k, n)


def steps_of(mazes: Mazes) -> Int[np.ndarray, "maze step"]:
    """The connections along the shortest path, padded with -1."""
    here, there = mazes.path[:, :-1], mazes.path[:, 1:]
    return np.where(there >= 0, mazes.grid.connection_of[here, there], -1)


def _none(like: np.ndarray) -> Int[np.ndarray, "maze 0"]:
    """No connection for each maze."""
    return np.zeros((len(like), 0), int)


def _together(kind: Kind, mazes: Mazes, rng: np.random.Generator, k: int, n: int) -> Examples:
    """``k`` of each maze's openable connections, drawn at random, where the path becomes shorter;
    up to ``n`` of those."""
    is_open = openable(mazes.grid, mazes.connections)
    enough = is_open.sum(axis=1) >= k
    mazes, is_open = mazes[enough], is_open[enough]
    added = np.argsort(-rng.random(is_open.shape) * is_open, axis=1)[:, :k]
    found = _that_fit(kind, mazes, added, _none(added))
    if k:
        found = found[found.edited.path_length < found.mazes.path_length]
    return found[np.sort(rng.permutation(len(found))[:n])]


def _that_fit(kind: Kind, mazes: Mazes, added: np.ndarray, removed: np.ndarray) -> Examples:
    """Those candidates whose edited maze has one and only one shortest path."""
    connections = flip(mazes, np.concatenate([added, removed], axis=1))
    kept, edited = with_connections(mazes, connections)
    return Examples(kind, mazes[kept], added[kept], removed[kept], edited)


def _some_of_each(
    found: Examples, connection: Int[np.ndarray, " maze"], rng: np.random.Generator, n: int
) -> Examples:
    """Up to ``n`` examples for each value of ``connection``, drawn at random, in the order in which
    they were found."""
    shuffled = rng.permutation(len(found))
    kept = [shuffled[connection[shuffled] == e][:n] for e in range(found.mazes.grid.n_connections)]
    return found[np.sort(np.concatenate(kept))]
