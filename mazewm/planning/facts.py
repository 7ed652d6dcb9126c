"""Facts of a maze that no single token states, one value for each unit: a cell or a connection
(docs/science.md#facts).

* ``distance``: steps from a cell to the target.
* ``on_path``: whether a cell is on the unique shortest path (1) or not (0).
* ``toward_target``, for an open connection with an end at a fork (a cell with at least three open
  connections): whether its second end, the lower or right one, is nearer to the target (1), or its
  first end (0).

Left out is what a token states or what the model is about to write: cells less than two steps from
the origin or from the target, and connections that touch either. At the first token of the path,
where the model writes the next step, no fact is therefore about that step, and a direction found
for a cell cannot be the direction of writing that cell next.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from mazewm.counterfactuals.forks import FORK, degrees
from mazewm.maze.mazes import Mazes
from mazewm.maze.truths import UNREACHABLE, distances

FACTS = ("distance", "on_path", "toward_target")
MIN_STEPS = 2  # least distance of a cell that counts from the origin and from the target


class Fact(NamedTuple):
    """One fact of a batch of mazes; where ``counts`` is False, ``value`` is meaningless."""

    name: str
    value: Float[np.ndarray, "maze unit"]  # a unit is a cell or a connection
    counts: Bool[np.ndarray, "maze unit"]

    @property
    def is_number(self) -> bool:
        """Whether values are numbers of steps, rather than yes (1) or no (0)."""
        return self.name == "distance"

    def holds(self) -> Bool[np.ndarray, "maze unit"]:
        """The fact as yes or no; for a distance: whether it is at most the cell's median over the
        mazes that count."""
        if not self.is_number:
            return self.value > 0.5
        known = np.ma.masked_array(self.value, ~self.counts)
        return self.value <= np.ma.median(known, axis=0).filled(0)


def facts(mazes: Mazes) -> dict[str, Fact]:
    """Every fact of a batch, by name.

    >>> from mazewm.maze.maze import Maze
    >>> steps = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2)]
    >>> maze = Maze.of(3, zip(steps, steps[1:]), origin=(0, 0), target=(2, 2))
    >>> distance = facts(Mazes.of([maze]))["distance"]
    >>> distance.value[distance.counts]  # only (0, 2) is two steps from both ends
    array([2.])
    """
    rows, (first, second) = np.arange(len(mazes))[:, None], mazes.grid.ends.T
    to_target = distances(mazes.grid, mazes.connections, mazes.target)
    to_origin = distances(mazes.grid, mazes.connections, mazes.origin)
    is_reached = to_target < UNREACHABLE
    cell_counts = is_reached & (to_target >= MIN_STEPS) & (to_origin >= MIN_STEPS)
    # Paths are padded with -1, which falls into an extra last column.
    on_path = np.zeros((len(mazes), mazes.grid.n_cells + 1), bool)
    on_path[rows, mazes.path] = True
    is_fork = degrees(mazes) >= FORK
    is_end = (to_target == 0) | (to_origin == 0)
    counts = mazes.connections & (is_fork[:, first] | is_fork[:, second]) & is_reached[:, first]
    counts &= ~(is_end[:, first] | is_end[:, second])
    second_is_nearer = to_target[:, second] < to_target[:, first]
    values = ((to_target, cell_counts), (on_path[:, :-1], cell_counts), (second_is_nearer, counts))
    return {
        name: Fact(name, value.astype(float), known)
        for name, (value, known) in zip(FACTS, values, strict=True)
    }
