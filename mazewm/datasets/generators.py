"""Maze generators: each draws a batch of connection sets on a size x size lattice.

* ``dfs``: trees over ``n_visit`` cells, by randomised depth-first search that stops once so many
  cells have been reached. This is the paper's family ("constrained randomised depth-first search").
* ``loop``: such a tree and one more connection between two of its cells, so exactly one cycle.
* ``wilson``: uniform spanning trees of all cells, by loop-erased random walks (Wilson 1996).
* ``percolation``: every connection is open with probability ``p``, independently. There can be
  cycles and disconnected parts.

All mazes of a batch advance together, as arrays; a maze that is finished waits for the others.
"""

import numpy as np
from jaxtyping import Bool, Int

from mazewm.maze.lattice import lattice
from mazewm.maze.truths import openable

Connections = Bool[np.ndarray, "maze connection"]


def dfs(rng: np.random.Generator, size: int, n_visit: Int[np.ndarray, " maze"]) -> Connections:
    """Trees over ``n_visit[i]`` cells each, grown by randomised depth-first search from a random
    cell.

    >>> trees = dfs(np.random.default_rng(0), size=3, n_visit=np.array([5, 9]))
    >>> trees.shape, trees.sum(axis=1)  # a tree has one connection fewer than cells
    ((2, 12), array([4, 8]))
    """
    grid, n_mazes = lattice(size), len(n_visit)
    every = np.arange(n_mazes)
    connections = np.zeros((n_mazes, grid.n_connections), bool)
    current = rng.integers(grid.n_cells, size=n_mazes)
    # The extra last column is "outside the lattice" (neighbour -1), which always counts as visited.
    visited = np.zeros((n_mazes, grid.n_cells + 1), bool)
    visited[:, -1] = True
    visited[every, current] = True
    n_visited = np.ones(n_mazes, int)
    stack = np.zeros((n_mazes, grid.n_cells), int)
    depth = np.zeros(n_mazes, int)
    growing = n_visited < n_visit
    while growing.any():
        at = every[growing]
        around = grid.neighbours[current[at]]
        draw = rng.random(around.shape) * ~visited[at[:, None], around]
        side = draw.argmax(axis=1)
        free = draw[np.arange(len(at)), side] > 0
        ahead, step = at[free], around[free, side[free]]
        connections[ahead, grid.connection_of[current[ahead], step]] = True
        stack[ahead, depth[ahead]] = current[ahead]
        depth[ahead] += 1
        current[ahead] = step
        visited[ahead, step] = True
        n_visited[ahead] += 1
        stuck = at[~free]
        depth[stuck] -= 1
        current[stuck] = stack[stuck, depth[stuck]]
        growing = n_visited < n_visit
    return connections


def loop(rng: np.random.Generator, size: int, n_visit: Int[np.ndarray, " maze"]) -> Connections:
    """Trees as from ``dfs``, each with one more connection, drawn evenly from those that could be
    added between two of its cells.

    A tree to which none can be added is drawn again with the same number of cells. ``n_visit`` must
    be at least 4: smaller trees cannot have a cycle.
    """
    connections = np.zeros((len(n_visit), lattice(size).n_connections), bool)
    todo = np.arange(len(n_visit))
    while len(todo):
        trees = dfs(rng, size, n_visit[todo])
        could = openable(lattice(size), trees)
        extra = (rng.random(could.shape) * could).argmax(axis=1)
        trees[np.arange(len(todo)), extra] = True
        done = could.any(axis=1)
        connections[todo[done]] = trees[done]
        todo = todo[~done]
    return connections


def wilson(rng: np.random.Generator, size: int, n_mazes: int) -> Connections:
    """Uniform spanning trees: from each cell in turn, a loop-erased random walk until it meets the
    tree (Wilson 1996)."""
    grid = lattice(size)
    every = np.arange(n_mazes)
    in_tree = np.zeros((n_mazes, grid.n_cells), bool)
    in_tree[every, rng.integers(grid.n_cells, size=n_mazes)] = True
    # For each cell, the last direction in which the walk left it: these remain once its loops are
    # erased.
    leaves_to = np.zeros((n_mazes, grid.n_cells), int)
    connections = np.zeros((n_mazes, grid.n_connections), bool)
    for start in range(grid.n_cells):
        current = np.full(n_mazes, start)
        walking = every[~in_tree[every, current]]
        while len(walking):
            around = grid.neighbours[current[walking]]
            side = (rng.random(around.shape) * (around >= 0)).argmax(axis=1)
            step = around[np.arange(len(walking)), side]
            leaves_to[walking, current[walking]] = step
            current[walking] = step
            walking = walking[~in_tree[walking, step]]
        current = np.full(n_mazes, start)
        adding = every[~in_tree[every, current]]
        while len(adding):
            step = leaves_to[adding, current[adding]]
            in_tree[adding, current[adding]] = True
            connections[adding, grid.connection_of[current[adding], step]] = True
            current[adding] = step
            adding = adding[~in_tree[adding, step]]
    return connections


def percolation(rng: np.random.Generator, size: int, n_mazes: int, p: float) -> Connections:
    """Connection sets in which every connection is open with probability ``p``, independently."""
    return rng.random((n_mazes, lattice(size).n_connections)) < p
