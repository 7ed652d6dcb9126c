"""Trees on a 4 x 4 lattice, with room around them."""

import numpy as np

from mazewm.counterfactuals.pairs import trees_of
from mazewm.datasets import generators
from mazewm.maze.lattice import lattice
from mazewm.maze.mazes import Mazes, solve


def small_trees(n_mazes: int = 43, smallest: int = 4, largest: int = 13) -> Mazes:
    """Different trees of so many cells, each with a question about its first connection."""
    rng = np.random.default_rng(0)
    connections = generators.dfs(rng, 4, rng.integers(smallest, largest + 1, size=n_mazes))
    ends = lattice(4).ends[connections.argmax(axis=1)]
    family = np.full(n_mazes, "tree")
    return trees_of(solve(lattice(4), connections, ends[:, 0], ends[:, 1], family), 15)
