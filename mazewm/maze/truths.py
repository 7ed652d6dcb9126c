"""Ground truth about mazes: distances, the shortest path and whether it is unique, and the cells
and connections that a maze has or could have.

All functions take batches: connections as bits ``[maze, connection]``, cells as numbers.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from mazewm.maze.lattice import Lattice

UNREACHABLE = np.iinfo(np.int16).max  # more than any number of steps, one for each cell at most


def distances(
    grid: Lattice,
    connections: Bool[np.ndarray, "maze connection"],
    source: Int[np.ndarray, " maze"],
) -> Int[np.ndarray, "maze cell"]:
    """The number of steps from ``source`` to every cell, by breadth-first search; UNREACHABLE where
    there is no path.

    >>> from mazewm.maze.lattice import lattice
    >>> corner = np.array([[True, False, True, False]])  # (0,0)-(1,0) and (0,0)-(0,1)
    >>> distances(lattice(2), corner, np.array([2])).tolist()  # from (1,0)
    [[1, 2, 0, 32767]]
    """
    n, n_mazes = grid.n, len(connections)
    # Mazes are the last axis, so that one step of all searches is a few operations on whole rows
    # and columns of cells.
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
    """The shortest paths of a batch of mazes, with origin and target."""

    cells: Int[np.ndarray, "maze step"]  # padded with -1
    length: Int[np.ndarray, " maze"]  # cells on the path; 0 if the target cannot be reached
    is_unique: Bool[np.ndarray, " maze"]


def shortest_paths(
    grid: Lattice,
    connections: Bool[np.ndarray, "maze connection"],
    origin: Int[np.ndarray, " maze"],
    target: Int[np.ndarray, " maze"],
) -> Paths:
    """One shortest path of each maze, and whether it is the only one. Where several steps lead on
    shortest paths, the first side of ``grid.neighbours`` (up, down, left, right) is taken."""
    n_mazes, every = len(connections), np.arange(len(connections))
    distance = np.concatenate(
        [distances(grid, connections, target), np.full((n_mazes, 1), UNREACHABLE, np.int16)], axis=1
    )
    # The last column, a closed connection, is what -1 (a side outside the lattice) points to.
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
    """The cells with at least one connection: those that the maze's adjacency list mentions."""
    touched = np.zeros((len(connections), grid.n_cells), bool)
    for e, (a, b) in enumerate(grid.ends):
        touched[:, a] |= connections[:, e]
        touched[:, b] |= connections[:, e]
    return touched


def openable(
    grid: Lattice, connections: Bool[np.ndarray, "maze connection"]
) -> Bool[np.ndarray, "maze connection"]:
    """The absent connections between two cells that the maze mentions: those that can be added
    without a new cell.

    >>> from mazewm.maze.lattice import lattice
    >>> corner = np.array([[True, False, True, False]])  # cell (1,1) is not mentioned
    >>> openable(lattice(2), corner | np.array([[False, False, False, True]])).tolist()
    [[False, True, False, False]]
    """
    touched = touched_cells(grid, connections)
    a, b = grid.ends.T
    return ~connections & touched[:, a] & touched[:, b]
