"""How often the list mentions each cell, and gradient-boosted trees that read it
(docs/science.md#whole-maze).

That is all that a sum over the list's tokens, without binding, can give. In a small maze it says
much: a cell mentioned once is a dead end, and if one of its neighbours is mentioned, too, the two
are connected.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mazewm.maze.mazes import Mazes
from mazewm.planning.facts import Fact
from mazewm.planning.fitting import units, usual

MENTIONS, BOOSTED = "mentions", "mentions_boosted"
N_TREES = 200  # at most, of the boosted reader of a connection; with many mazes it stops early
MOST_MENTIONS = 4  # a cell has at most four neighbours


def mentions(mazes: Mazes) -> Int[np.ndarray, "maze cell"]:
    """How often the list mentions each cell.

    >>> from mazewm.maze.maze import Maze
    >>> corner = Maze.of(2, [((0, 0), (0, 1)), ((0, 1), (1, 1))], (0, 0), (1, 1))
    >>> mentions(Mazes.of([corner])).tolist()
    [[1, 2, 0, 1]]
    """
    times = np.zeros((len(mazes), mazes.grid.n_cells), int)
    for end in mazes.grid.ends.T:
        np.add.at(times.T, end, mazes.connections.T)
    return times


def one_hot(mazes: Mazes) -> Float[np.ndarray, "maze count"]:
    """For a linear reader: whether each cell is mentioned no times, once, and so on."""
    is_so_often = mentions(mazes)[:, :, None] == np.arange(MOST_MENTIONS + 1)
    return is_so_often.reshape(len(mazes), -1).astype(np.float32)


class Boosted(NamedTuple):
    """Gradient-boosted trees for each unit of a fact."""

    trees: dict[int, Any]  # sklearn's regressors, by unit
    is_fitted: Bool[np.ndarray, " unit"]
    usual: Float[np.ndarray, " unit"]

    @classmethod
    def of(cls, times: Int[np.ndarray, "maze cell"], fact: Fact) -> "Boosted":
        """Fit trees for each unit on the mazes in which it counts."""
        # imported here because it is slow, and most users of this module fit nothing
        from sklearn.ensemble import HistGradientBoostingRegressor
        from threadpoolctl import threadpool_limits

        made = {int(unit): HistGradientBoostingRegressor(max_iter=N_TREES, random_state=0)
                for unit in units(fact)}  # fmt: skip
        with threadpool_limits(1):
            for unit, trees in made.items():
                known = fact.counts[:, unit]
                trees.fit(times[known], fact.value[known, unit])
        is_fitted = np.isin(np.arange(fact.value.shape[1]), list(made))
        return cls(made, is_fitted, usual(fact))

    def predict(self, x: Int[np.ndarray, "maze cell"]) -> Float[np.ndarray, "maze unit"]:
        """The value of every unit; of one that was not fitted, what is usual."""
        found = np.tile(self.usual, (len(x), 1))
        for unit, trees in self.trees.items():
            found[:, unit] = trees.predict(x)
        return found
