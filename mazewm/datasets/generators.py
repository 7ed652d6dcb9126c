"""Families of mazes: each generator draws a batch of connection sets on a size x size lattice.

* ``dfs``: randomised depth-first search, stopped once ``n_visit`` cells have been reached: the
  paper's family ("constrained randomised depth-first search"). Acyclic; a tree over ``n_visit``
  cells.
* ``loop``: a tree of that kind and one connection more between two of its cells. One cycle.
* ``wilson``: uniform spanning trees by loop-erased random walks (Wilson 1996). Acyclic, all cells.
* ``percolation``: every connection is open with probability ``p``, independently. Has cycles and
  islands.

Batches are advanced in lockstep as arrays; a maze that is finished waits for the others.
"""

import numpy as np
from jaxtyping import Bool, Int

from mazewm.maze.lattice import lattice
from mazewm.maze.truths import openable

Connections = Bool[np.ndarray, "maze connection"]


def dfs(rng: np.random.Generator, size: int, n_visit: Int[np.ndarray, " maze"]) -> Connections:
    """Trees over ``n_visit[i]`` cells grown by randomised depth-first search from a random cell."""
    grid, n_mazes = lattice(size), len(n_visit)
    every = np.arange(n_mazes)
    connections = np.zeros((n_mazes, grid.n_connections), bool)
    current = rng.integers(grid.n_cells, size=n_mazes)
    # One extra column stands for "outside the lattice" and counts as visited for ever.
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
    """Trees of ``dfs``, each with one of the connections that could be added to it, drawn evenly.

    A tree to which none can be added is grown again, to as many cells; at least 4 are needed.
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
    """Uniform spanning trees: loop-erased random walks from each cell in turn until they meet the
    tree."""
    grid = lattice(size)
    every = np.arange(n_mazes)
    in_tree = np.zeros((n_mazes, grid.n_cells), bool)
    in_tree[every, rng.integers(grid.n_cells, size=n_mazes)] = True
    # The last direction taken out of a cell is what remains of the walk once its loops are erased.
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
    """Independent open connections with probability ``p``."""
    return rng.random((n_mazes, lattice(size).n_connections)) < p
