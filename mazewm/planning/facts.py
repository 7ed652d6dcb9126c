"""Facts of a maze that no single token states, one value for each unit: a cell or a connection
(docs/science.md#facts).

* ``distance``: steps from a cell to the target.
* ``on_path``: whether a cell is on the unique shortest path (1) or not (0).
* ``step_1`` to ``step_6``: whether a cell is exactly k steps from the target. It counts if it is
  not nearer, and if the lattice allows it: if it is at most k away across walls, by as much as is
  even or odd as k is. So each tests one step of a search that starts at the target, given the steps
  before it. Cells next to the target or the origin count here.
* ``toward_target``, for an open connection with an end at a fork (a cell with at least three open
  connections): whether its second end, the lower or right one, is nearer to the target (1), or its
  first end (0).

Of all but the steps left out is what a token states or what the model is about to write: cells less
than two steps from the origin or from the target, and connections that touch either. At the first
token of the path, where the model writes the next step, no fact is therefore about that step, and a
direction found for a cell cannot be the direction of writing that cell next.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from mazewm.counterfactuals.forks import FORK, degrees
from mazewm.maze.mazes import Mazes
from mazewm.maze.truths import UNREACHABLE, distances

FACTS = ("distance", "on_path", "toward_target")
STEPS = tuple(f"step_{k}" for k in range(1, 7))
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
    """Every one of FACTS of a batch, by name.

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


def unstated(mazes: Mazes) -> dict[str, Fact]:
    """Every fact that no single token states: FACTS and STEPS."""
    return facts(mazes) | steps(mazes)


def steps(mazes: Mazes) -> dict[str, Fact]:
    """Every one of STEPS of a batch, by name.

    >>> from mazewm.maze.maze import Maze
    >>> way = [(0, 0), (0, 1), (1, 1), (1, 0)]
    >>> maze = Maze.of(2, zip(way, way[1:]), origin=(0, 0), target=(1, 0))
    >>> one = steps(Mazes.of([maze]))["step_1"]  # (0, 0) is next to the target, behind a wall
    >>> one.counts[0].tolist(), one.value[0].tolist()
    ([True, False, False, True], [0.0, 0.0, 0.0, 1.0])
    """
    grid = mazes.grid
    to_target = distances(grid, mazes.connections, mazes.target)
    row, col = np.divmod(np.arange(grid.n_cells), grid.n)
    across = np.abs(row - row[mazes.target][:, None]) + np.abs(col - col[mazes.target][:, None])
    found = {}
    for k, name in enumerate(STEPS, start=1):
        can_be = (across <= k) & (across % 2 == k % 2)
        counts = can_be & (to_target >= k) & (to_target < UNREACHABLE)
        found[name] = Fact(name, (to_target == k).astype(float), counts)
    return found
