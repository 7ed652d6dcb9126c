"""Walkers without a map of the maze, with which answers are compared
(docs/science.md#walkers): how likely each is to take a given path.
"""

import math

import numpy as np
from jaxtyping import Bool, Float, Int

from mazewm.maze.lattice import Lattice

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


def near_sighted_chance(
    grid: Lattice, connections: Bool[np.ndarray, "maze connection"], paths: Paths
) -> Chance:
    """The probability that the near-sighted walker takes a path: it sees the walls of the cell on
    which it stands and no others, steps to the connected cell nearest to the target (by rows and
    columns, evenly at random among equally near ones) and to none twice."""
    origin, target = _ends(paths)
    maze = np.arange(len(paths))[:, None]
    chance, is_visited = np.ones(origin.shape), np.zeros((*origin.shape, grid.n_cells), bool)
    np.put_along_axis(is_visited, origin[:, :, None].astype(int), True, axis=2)
    for step in range(paths.shape[2] - 1):
        here, following = paths[:, :, step], paths[:, :, step + 1]
        is_walking = following >= 0
        at = np.where(is_walking, here, 0)
        there = grid.neighbours[at]
        connection = grid.connection_of[at[:, :, None], there]
        is_open = (there >= 0) & connections[maze[:, :, None], connection]
        is_open &= ~np.take_along_axis(is_visited, np.maximum(there, 0), axis=2)
        away = np.where(is_open, sum(_apart(grid, there, target[:, :, None])), np.inf)
        is_nearest = is_open & (away == away.min(axis=2, keepdims=True))
        share = (is_nearest & (there == following[:, :, None])).sum(axis=2)
        chance *= np.where(is_walking, share / np.maximum(1, is_nearest.sum(axis=2)), 1.0)
        seen = np.where(is_walking, following, origin)[:, :, None]
        np.put_along_axis(is_visited, seen.astype(int), True, axis=2)
    return chance
