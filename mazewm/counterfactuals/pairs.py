"""Mazes before and after an edit of their connections, asked about from all sides
(docs/science.md#twins).

* **twins**: a held-out tree T, and L = T + e, where e connects two cells of T. Adding e to T
  predicts the answers of L; removing e from L predicts those of T. The same pairs serve both.
* **moves**: L = T + e, of which e is taken and another connection f of the same tree added.
* **corridors**: k connections in a row, from a cell that the list mentions through cells that it
  does not. The question is the way to the end from every mentioned cell, so each of the k is used.
* **single additions**: k absent connections at once, no two to the same new cell. The questions
  are the ways to adjacent cells: across those of the prompt, those that are added, and walls.

What the edited maze predicts is fixed here, before any model runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from mazewm.maze.lattice import Lattice
from mazewm.maze.mazes import Mazes
from mazewm.maze.truths import UNREACHABLE, distances, openable, touched_cells

Kind = Literal["add", "remove", "move", "corridor", "single"]
Connections = Bool[np.ndarray, "maze connection"]


@dataclass(frozen=True)
class Pairs:
    """Mazes before and after an edit. In a batch equally many connections are added to all mazes,
    and equally many removed from all."""

    kind: Kind
    grid: Lattice
    maze_id: Int[np.ndarray, " maze"]  # of the maze that the pair was made from
    before: Connections  # what the prompt says
    added: Int[np.ndarray, "maze n"]
    removed: Int[np.ndarray, "maze m"]
    end: Int[np.ndarray, " maze"]  # the cell that is asked for; -1: every question is asked

    def __len__(self) -> int:
        return len(self.before)

    def __getitem__(self, index: np.ndarray | slice) -> "Pairs":
        """The pairs that a slice, a mask or an index array picks."""
        parts = (self.maze_id, self.before, self.added, self.removed, self.end)
        return Pairs(self.kind, self.grid, *(part[index] for part in parts))

    @classmethod
    def joined(cls, parts: Sequence["Pairs"]) -> "Pairs":
        """The pairs of all parts, which are of one kind."""
        names = ("maze_id", "before", "added", "removed", "end")
        columns = (np.concatenate([getattr(one, name) for one in parts]) for name in names)
        return cls(parts[0].kind, parts[0].grid, *columns)

    @property
    def after(self) -> Connections:
        """The connections of the edited mazes."""
        return flip(self.before, np.concatenate([self.added, self.removed], axis=1))

    def backwards(self) -> "Pairs":
        """The edit undone: of twins that were to be added to, those to remove from."""
        return replace(
            self, kind="remove", before=self.after, added=self.removed, removed=self.added
        )

    def batches(self, size: int) -> Iterator[Int[np.ndarray, " row"]]:
        """Batches of at most ``size`` pairs as index arrays; in a batch all prompts have equally
        many connections and mention equally many cells."""
        n_cells = touched_cells(self.grid, self.before).sum(axis=1)
        shape = np.stack([self.before.sum(axis=1), n_cells], axis=1)
        for one in np.unique(shape, axis=0):
            index = np.flatnonzero((shape == one).all(axis=1))
            yield from (index[start : start + size] for start in range(0, len(index), size))

    def ends(self) -> tuple[Int[np.ndarray, "maze question"], Int[np.ndarray, "maze question"]]:
        """Origin and target of every question about the pairs of one batch: all pairs of cells that
        the prompt mentions, or with ``end`` the ways to this cell; for single additions every pair
        of adjacent cells, in both directions, of which ``is_posed`` says which are asked about."""
        if self.kind == "single":
            both = np.concatenate([self.grid.ends, self.grid.ends[:, ::-1]])
            shape = (len(self), len(both))
            return np.broadcast_to(both[:, 0], shape), np.broadcast_to(both[:, 1], shape)
        cells = np.nonzero(touched_cells(self.grid, self.before))[1].reshape(len(self), -1)
        if (self.end >= 0).all():
            return cells, np.broadcast_to(self.end[:, None], cells.shape)
        first, second = np.nonzero(~np.eye(cells.shape[1], dtype=bool))
        return cells[:, first], cells[:, second]

    def is_posed(self) -> Bool[np.ndarray, "maze question"]:
        """Which of the questions of ``ends`` are asked: those between cells that the maze has
        before or after the edit. Only of single additions are there others."""
        cells = touched_cells(self.grid, self.before | self.after)
        if self.kind != "single":
            return np.ones(self.ends()[0].shape, bool)
        maze, (origin, target) = np.arange(len(self))[:, None], self.ends()
        return cells[maze, origin] & cells[maze, target]


def flip(before: Connections, changed: Int[np.ndarray, "maze n"]) -> Connections:
    """The connection sets with the listed connections of each toggled: open ones closed, closed
    ones opened. A connection must not be listed twice for a maze."""
    connections = before.copy()
    connections[np.arange(len(before))[:, None], changed] ^= True
    return connections


def trees_of(mazes: Mazes, n_most: int) -> Mazes:
    """One maze for each different connection set that is a tree of at most ``n_most``
    connections."""
    _, first = np.unique(mazes.connections, axis=0, return_index=True)
    one = mazes[np.sort(first)]
    touched = touched_cells(one.grid, one.connections)
    reached = distances(one.grid, one.connections, touched.argmax(axis=1)) < UNREACHABLE
    is_tree = (reached == touched).all(axis=1) & (one.n_connections == touched.sum(axis=1) - 1)
    return one[is_tree & (one.n_connections <= n_most)]


def twins(trees: Mazes, rng: np.random.Generator, n_per_connection: int) -> Pairs:
    """Up to ``n_per_connection`` pairs (T, T + e) for every connection e of the lattice.

    >>> from mazewm.maze.maze import Maze
    >>> around = [((0, 0), (1, 0)), ((1, 0), (1, 1)), ((1, 1), (0, 1))]
    >>> trees = Mazes.of([Maze.of(2, around, origin=(0, 0), target=(0, 1))])
    >>> pairs = twins(trees, np.random.default_rng(0), n_per_connection=1)
    >>> pairs.after.sum(axis=1), pairs.ends()[0].shape
    (array([4]), (1, 12))
    """
    maze, e = np.nonzero(openable(trees.grid, trees.connections))
    return _some_of_each(_pairs("add", trees[maze], e[:, None]), e, rng, n_per_connection)


def moves(trees: Mazes, rng: np.random.Generator, n_per_connection: int) -> Pairs:
    """Up to ``n_per_connection`` pairs (T + e, T + f) for every e."""
    openings = openable(trees.grid, trees.connections)
    maze, e = np.nonzero(openings)
    openings = openings[maze]
    openings[np.arange(len(maze)), e] = False
    nth, f = np.nonzero(openings)
    before = flip(trees.connections[maze[nth]], e[nth, None])
    found = _pairs("move", trees[maze[nth]], f[:, None])
    found = replace(found, before=before, removed=e[nth, None])
    return _some_of_each(found, e[nth], rng, n_per_connection)


def corridors(trees: Mazes, rng: np.random.Generator, k: int, n: int) -> Pairs:
    """Up to ``n`` pairs with a corridor of ``k`` connections, one for each of ``n`` trees."""
    grid, rows, ways = trees.grid, list[int](), list[list[int]]()
    mentioned = touched_cells(grid, trees.connections)
    for row in rng.permutation(len(trees)):
        way = _way_outside(grid, mentioned[row], rng, k)
        if way:
            rows.append(row)
            ways.append(way)
        if len(rows) == n:
            break
    cells = np.array(ways, int).reshape(len(rows), k + 1)
    found = _pairs("corridor", trees[np.array(rows, int)], _across(grid, cells))
    return replace(found, end=cells[:, -1])


def singles(trees: Mazes, rng: np.random.Generator, k: int, n: int) -> Pairs:
    """Up to ``n`` pairs with ``k`` absent connections added at once, each of which has a cell that
    the prompt mentions; no two lead to the same new cell."""
    grid, rows, chosen = trees.grid, list[int](), list[list[int]]()
    mentioned = touched_cells(grid, trees.connections)
    for row in rng.permutation(len(trees)):
        if len(rows) == n:
            break
        found, new_cells = list[int](), set[int]()
        for e in rng.permutation(np.flatnonzero(~trees.connections[row])):
            outside = [int(cell) for cell in grid.ends[e] if not mentioned[row, cell]]
            if len(outside) < 2 and len(found) < k and not new_cells.intersection(outside):
                found.append(int(e))
                new_cells.update(outside)
        if len(found) == k:
            rows.append(row)
            chosen.append(found)
    return _pairs("single", trees[np.array(rows, int)], np.array(chosen, int).reshape(len(rows), k))


def steps_of(grid: Lattice, path: Int[np.ndarray, "maze cell"]) -> Int[np.ndarray, "maze step"]:
    """The connections along paths of cells, padded with -1."""
    here, there = path[:, :-1], path[:, 1:]
    return np.where(there >= 0, grid.connection_of[here, there], -1)


def _way_outside(
    grid: Lattice, mentioned: Bool[np.ndarray, " cell"], rng: np.random.Generator, k: int
) -> list[int]:
    """A random path of ``k`` steps that starts on a mentioned cell and goes on through others;
    empty if there is none. Depth-first search."""
    stack = [[int(cell)] for cell in rng.permutation(np.flatnonzero(mentioned))]
    while stack:
        way = stack.pop()
        if len(way) == k + 1:
            return way
        around = [int(c) for c in grid.neighbours[way[-1]] if c >= 0 and not mentioned[c]]
        stack += [[*way, cell] for cell in rng.permutation(around).tolist() if cell not in way]
    return []


def _across(
    grid: Lattice, cells: Int[np.ndarray, "maze step"]
) -> Int[np.ndarray, "maze connection"]:
    return grid.connection_of[cells[:, :-1], cells[:, 1:]]


def _pairs(kind: Kind, trees: Mazes, added: Int[np.ndarray, "maze n"]) -> Pairs:
    nothing, everything = np.zeros((len(trees), 0), int), np.full(len(trees), -1)
    return Pairs(kind, trees.grid, trees.maze_id, trees.connections, added, nothing, everything)


def _some_of_each(
    found: Pairs, connection: Int[np.ndarray, " maze"], rng: np.random.Generator, n: int
) -> Pairs:
    """Up to ``n`` pairs for each value of ``connection``, drawn at random, in their original
    order."""
    shuffled = rng.permutation(len(found))
    kept = [shuffled[connection[shuffled] == e][:n] for e in range(found.grid.n_connections)]
    return found[np.sort(np.concatenate(kept))]
