"""The adjacency lists of pairs of mazes. Both lists of a pair have the same order and directions:
that of the larger maze is the other with a connection inserted at a random place."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from mazewm.counterfactuals.pairs import Pairs
from mazewm.maze.tokens import encode_lists


class Lists(NamedTuple):
    """The lists of a batch of pairs, before and after the edit."""

    before: Int[np.ndarray, "maze pos"]
    after: Int[np.ndarray, "maze pos"]
    order: Int[np.ndarray, "maze nth"]  # which connection is n-th in the list before the edit

    @property
    def n_connections(self) -> int:
        """The number of connections in each list before the edit."""
        return self.order.shape[1]

    def nth(self, connections: Int[np.ndarray, "maze n"]) -> Int[np.ndarray, "maze n"]:
        """At which place in the list before the edit each connection stands; it must be there."""
        return (self.order[:, None, :] == connections[:, :, None]).argmax(axis=2)


def lists_of(pairs: Pairs, rng: np.random.Generator) -> Lists:
    """Encode the pairs of one batch (see ``Pairs.batches``), in random order and directions.

    >>> from mazewm.maze.maze import Maze
    >>> from mazewm.maze.mazes import Mazes
    >>> from mazewm.counterfactuals.pairs import twins
    >>> around = [((0, 0), (1, 0)), ((1, 0), (1, 1)), ((1, 1), (0, 1))]
    >>> trees = Mazes.of([Maze.of(2, around, origin=(0, 0), target=(0, 1))])
    >>> lists = lists_of(twins(trees, np.random.default_rng(0), 1), np.random.default_rng(0))
    >>> lists.before.shape, lists.after.shape
    ((1, 14), (1, 18))
    """
    grid, rows = pairs.grid, np.arange(len(pairs))[:, None]
    both = pairs.before.copy()
    both[rows, pairs.added] = True
    n = int(both[0].sum())
    order = np.argsort(np.where(both, rng.random(both.shape), 2), axis=1)[:, :n]
    is_flipped = rng.random(order.shape) < 0.5

    def spelled(connections: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        is_there = connections[rows, order]
        return tuple(all_[is_there].reshape(len(pairs), -1) for all_ in (order, is_flipped))

    before, after = spelled(pairs.before), spelled(pairs.after)
    return Lists(encode_lists(grid, *before), encode_lists(grid, *after), before[0])
