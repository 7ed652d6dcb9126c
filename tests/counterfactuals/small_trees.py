"""Trees on a 4 x 4 lattice, with room around them."""

import numpy as np
from circuits import planted_circuit

from mazewm.counterfactuals.pairs import Pairs, corridors, moves, singles, trees_of, twins
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


def every_kind(n_mazes: int, n_each: int, n: int) -> dict[str, Pairs]:
    """Pairs of all kinds: up to ``n_each`` for each connection, made of the trees among some mazes,
    or ``n`` to which several connections are added."""
    trees, larger = trees_of(planted_circuit.trees(n_mazes), 8), small_trees()
    made = twins(trees, np.random.default_rng(0), n_each)
    return {
        "add": made,
        "remove": made.backwards(),
        "move": moves(trees, np.random.default_rng(0), n_each),
        "corridor": corridors(larger, np.random.default_rng(0), 3, n),
        "single": singles(larger, np.random.default_rng(0), 4, n),
    }
