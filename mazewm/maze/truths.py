"""What is true of a maze: distances, the shortest path and whether it is the only one, the cells
that can be reached.

All functions take batches: connections as bits ``[maze, connection]``, cells as numbers.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from mazewm.maze.lattice import Lattice

UNREACHABLE = np.iinfo(
    np.int16
).max  # more than any number of steps: a lattice of 400 cells has at most 399


def distances(
    grid: Lattice,
    connections: Bool[np.ndarray, "maze connection"],
    source: Int[np.ndarray, " maze"],
) -> Int[np.ndarray, "maze cell"]:
    """Steps from ``source`` to every cell by breadth-first search; UNREACHABLE where there is no
    way."""
    n, n_mazes = grid.n, len(connections)
    # Mazes are the last axis, so that a step of all searches is a few operations on whole rows and
    # columns of cells.
    down, right = np.split(np.ascontiguousarray(connections.T), [n * (n - 1)])
    down, right = down.reshape(n - 1, n, n_mazes), right.reshape(n, n - 1, n_mazes)
    distance = np.full((n, n, n_mazes), UNREACHABLE, np.int16)
    front = np.zeros((n, n, n_mazes), bool)
    front[source // n, source % n, np.arange(n_mazes)] = True
    is_new = np.ones_like(front)
    steps = 0
    while front.any():
        distance[front] = steps
        is_new &= ~front
        ahead = np.zeros_like(front)
        ahead[1:] |= front[:-1] & down
        ahead[:-1] |= front[1:] & down
        ahead[:, 1:] |= front[:, :-1] & right
        ahead[:, :-1] |= front[:, 1:] & right
        front = ahead & is_new
        steps += 1
    return distance.reshape(grid.n_cells, n_mazes).T


class Paths(NamedTuple):
    """Shortest paths of a batch, from origin to target, both included."""

    cells: Int[np.ndarray, "maze step"]  # padded with -1
    length: Int[np.ndarray, " maze"]  # cells on the path; 0 where the target cannot be reached
    is_unique: Bool[np.ndarray, " maze"]


def shortest_paths(
    grid: Lattice,
    connections: Bool[np.ndarray, "maze connection"],
    origin: Int[np.ndarray, " maze"],
    target: Int[np.ndarray, " maze"],
) -> Paths:
    """One shortest path of each maze (the lowest-numbered step wherever there is a choice) and
    whether it is the only one."""
    n_mazes, every = len(connections), np.arange(len(connections))
    distance = np.concatenate(
        [distances(grid, connections, target), np.full((n_mazes, 1), UNREACHABLE, np.int16)], axis=1
    )
    # A column of closed connections answers for the sides that lie outside the lattice.
    is_open = np.concatenate([connections, np.zeros((n_mazes, 1), bool)], axis=1)
    leads = np.where(
        grid.neighbours >= 0,
        np.take_along_axis(grid.connection_of, np.maximum(grid.neighbours, 0), axis=1),
        -1,
    )
    current = origin.copy()
    to_go = distance[every, origin]
    reachable = to_go < UNREACHABLE
    cells = np.full((n_mazes, grid.n_cells), -1, np.int16)
    cells[reachable, 0] = origin[reachable]
    is_unique = reachable.copy()
    walking = every[reachable & (to_go > 0)]
    step = 1
    while len(walking):
        around = grid.neighbours[current[walking]]
        nearer = is_open[walking[:, None], leads[current[walking]]]
        nearer &= (
            distance[walking[:, None], around] == distance[walking, current[walking]][:, None] - 1
        )
        is_unique[walking] &= nearer.sum(axis=1) == 1
        current[walking] = around[np.arange(len(walking)), nearer.argmax(axis=1)]
        cells[walking, step] = current[walking]
        walking = walking[current[walking] != target[walking]]
        step += 1
    return Paths(cells, np.where(reachable, to_go.astype(np.int64) + 1, 0), is_unique)


def touched_cells(
    grid: Lattice, connections: Bool[np.ndarray, "maze connection"]
) -> Bool[np.ndarray, "maze cell"]:
    """The cells that at least one connection touches: those that the spelled maze mentions."""
    touched = np.zeros((len(connections), grid.n_cells), bool)
    for e, (a, b) in enumerate(grid.ends):
        touched[:, a] |= connections[:, e]
        touched[:, b] |= connections[:, e]
    return touched


def openable(
    grid: Lattice, connections: Bool[np.ndarray, "maze connection"]
) -> Bool[np.ndarray, "maze connection"]:
    """The absent connections between cells that the maze mentions."""
    touched = touched_cells(grid, connections)
    a, b = grid.ends.T
    return ~connections & touched[:, a] & touched[:, b]
