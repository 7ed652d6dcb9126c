"""Walkers without a map of the maze, with which answers are compared
(docs/science.md#walkers): how likely each is to take a given path, and how one of them walks.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mazewm.maze.lattice import Lattice
from mazewm.maze.routes import NO_WAY

TELLING = 0.5  # a question tells if each walker takes its path less often

Paths = Int[np.ndarray, "maze question step"]  # cells, padded with -1
Chance = Float[np.ndarray, "maze question"]


def _ends(paths: Paths) -> tuple[np.ndarray, np.ndarray]:
    last = (paths >= 0).sum(axis=2)[:, :, None] - 1
    return paths[:, :, 0], np.take_along_axis(paths, last, axis=2)[:, :, 0]


def _apart(grid: Lattice, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns between cells."""
    return np.abs(a // grid.n - b // grid.n), np.abs(a % grid.n - b % grid.n)


def blind_chance(grid: Lattice, paths: Paths) -> Chance:
    """The probability that the blind walker takes a path: it ignores walls and takes a uniformly
    random shortest path of the lattice. So it is one among all of those between the path's ends, or
    0 if the path is longer."""
    rows, cols = _apart(grid, *_ends(paths))
    choose = np.array([[math.comb(r + c, r) for c in range(grid.n)] for r in range(grid.n)])
    n_steps = (paths >= 0).sum(axis=2) - 1
    return np.where(n_steps == rows + cols, 1 / choose[rows, cols], 0.0)


class NearSighted(NamedTuple):
    """The near-sighted walker, on many walks at once: it sees the walls of the cell on which it
    stands and no others, steps to the connected cell nearest to the target (by rows and columns,
    evenly at random among equally near ones) and to none twice."""

    grid: Lattice
    connections: Bool[np.ndarray, "maze connection"]
    maze: Int[np.ndarray, "*walk"]  # of each walk
    target: Int[np.ndarray, "*walk"]

    def nearest(
        self, here: Int[np.ndarray, "*walk"], is_visited: Bool[np.ndarray, "*walk cell"]
    ) -> tuple[Int[np.ndarray, "*walk 4"], Bool[np.ndarray, "*walk 4"]]:
        """The cells around the one on which each walk stands (-1 outside the lattice), and to which
        of them it may step."""
        there = self.grid.neighbours[here]
        connection = self.grid.connection_of[here[..., None], there]
        is_open = (there >= 0) & self.connections[self.maze[..., None], connection]
        is_open &= ~np.take_along_axis(is_visited, np.maximum(there, 0), axis=-1)
        away = np.where(is_open, sum(_apart(self.grid, there, self.target[..., None])), np.inf)
        return there, is_open & (away == away.min(axis=-1, keepdims=True))

    def n_steps(
        self, origin: Int[np.ndarray, " walk"], rng: np.random.Generator
    ) -> Int[np.ndarray, " walk"]:
        """Draw one walk each from ``origin``, and count its steps to the target; NO_WAY if it comes
        to a cell where it cannot go on."""
        n_steps = np.where(origin == self.target, 0, NO_WAY)
        here, walking = origin.copy(), np.flatnonzero(n_steps == NO_WAY)
        is_visited = np.zeros((len(origin), self.grid.n_cells), bool)
        for step in range(1, self.grid.n_cells):
            is_visited[walking, here[walking]] = True
            ahead = NearSighted(
                self.grid, self.connections, self.maze[walking], self.target[walking]
            )
            there, is_nearest = ahead.nearest(here[walking], is_visited[walking])
            side = np.where(is_nearest, rng.random(there.shape), -1).argmax(axis=1)
            can_go = is_nearest.any(axis=1)
            walking, there = walking[can_go], there[can_go, side[can_go]]
            here[walking] = there
            n_steps[walking[there == self.target[walking]]] = step
            walking = walking[there != self.target[walking]]
        return n_steps


def near_sighted_chance(
    grid: Lattice, connections: Bool[np.ndarray, "maze connection"], paths: Paths
) -> Chance:
    """The probability that the near-sighted walker takes a path."""
    origin, target = _ends(paths)
    maze = np.broadcast_to(np.arange(len(paths))[:, None], origin.shape)
    walker = NearSighted(grid, connections, maze, target)
    chance, is_visited = np.ones(origin.shape), np.zeros((*origin.shape, grid.n_cells), bool)
    np.put_along_axis(is_visited, origin[:, :, None].astype(int), True, axis=2)
    for step in range(paths.shape[2] - 1):
        here, following = paths[:, :, step], paths[:, :, step + 1]
        is_walking = following >= 0
        there, is_nearest = walker.nearest(np.where(is_walking, here, 0), is_visited)
        share = (is_nearest & (there == following[:, :, None])).sum(axis=2)
        chance *= np.where(is_walking, share / np.maximum(1, is_nearest.sum(axis=2)), 1.0)
        seen = np.where(is_walking, following, origin)[:, :, None]
        np.put_along_axis(is_visited, seen.astype(int), True, axis=2)
    return chance
