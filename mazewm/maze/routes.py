"""Shortest paths between all pairs of cells, for a batch of mazes at once: their length, whether
there is more than one, and the next cell on one of them.

Breadth-first search runs from every cell of every maze in lockstep. The frontiers are arrays
``[maze, source, row, col]`` that are shifted along the lattice wherever a connection is open. They
carry the number of shortest paths (1, or 2 for more than one).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from mazewm.maze.lattice import Lattice

NO_WAY = -1


@dataclass(frozen=True)
class Routes:
    """The shortest paths between every two cells of each maze. ``distance`` and ``is_unique`` are
    symmetric in source and target."""

    grid: Lattice
    connections: Bool[np.ndarray, "maze connection"]
    distance: Int[np.ndarray, "maze source target"]  # steps; NO_WAY if there is no path
    is_unique: Bool[np.ndarray, "maze source target"]  # whether exactly one path is shortest

    @cached_property
    def next_cell(self) -> Int[np.ndarray, "maze target cell"]:
        """The cell that follows ``cell`` on a shortest path to ``target``. If several can follow,
        the first of them in ``grid.neighbours``; ``cell`` itself at the target, and where the
        target cannot be reached."""
        found = np.broadcast_to(np.arange(self.grid.n_cells), self.distance.shape).copy()
        for side in reversed(range(4)):  # the first side is written last, so it wins
            there = self.grid.neighbours[:, side]
            here, there = np.flatnonzero(there >= 0), there[there >= 0]
            is_open = self.connections[:, None, self.grid.connection_of[here, there]]
            to_go = self.distance[:, :, here]
            nearer = is_open & (to_go > 0) & (self.distance[:, :, there] == to_go - 1)
            found[:, :, here] = np.where(nearer, there, found[:, :, here])
        return found

    def paths(
        self, origin: Int[np.ndarray, "maze question"], target: Int[np.ndarray, "maze question"]
    ) -> Int[np.ndarray, "maze question step"]:
        """The cells of a shortest path for each question, with origin and target, padded with -1.
        Every target must be reachable."""
        return self.paths_from(np.arange(len(origin)), origin, target)

    def paths_from(
        self,
        maze: Int[np.ndarray, " some"],
        origin: Int[np.ndarray, "some question"],
        target: Int[np.ndarray, "some question"],
    ) -> Int[np.ndarray, "some question step"]:
        """As ``paths``, for the questions about some of the mazes, which may repeat."""
        maze = maze[:, None]
        n_steps = self.distance[maze, origin, target]
        cells = np.full((*origin.shape, int(n_steps.max(initial=0)) + 1), -1, np.int16)
        cells[:, :, 0] = here = origin
        leads_to = self.next_cell
        for step in range(1, cells.shape[2]):
            here = leads_to[maze, target, here]
            cells[:, :, step] = np.where(step <= n_steps, here, -1)
        return cells

    def questions(
        self, rng: np.random.Generator, n: int
    ) -> tuple[Int[np.ndarray, "maze question"], Int[np.ndarray, "maze question"]]:
        """Draw ``n`` questions about each maze: their origins and targets.

        They are drawn evenly from all pairs of different cells with exactly one shortest path, and
        sorted by the length of this path. A maze's questions differ, unless it has fewer than
        ``n``: then some are repeated."""
        n_cells = self.grid.n_cells
        length = np.where(self.is_unique, self.distance, 0).reshape(len(self.is_unique), -1)
        keys = np.where(length > 0, rng.random(length.shape, dtype=np.float32), 2)
        n_most = min(n, keys.shape[1])
        first = np.argpartition(keys, n_most - 1, axis=1)[:, :n_most]
        first = np.take_along_axis(
            first, np.argsort(np.take_along_axis(keys, first, axis=1), axis=1), axis=1
        )
        in_turn = np.arange(n) % np.minimum(n_most, (length > 0).sum(axis=1))[:, None]
        drawn = np.take_along_axis(first, in_turn, axis=1)
        by_length = np.argsort(np.take_along_axis(length, drawn, axis=1), axis=1, kind="stable")
        origin, target = np.divmod(np.take_along_axis(drawn, by_length, axis=1), n_cells)
        return origin, target


def routes(grid: Lattice, connections: Bool[np.ndarray, "maze connection"]) -> Routes:
    """The shortest paths between all pairs of cells of a batch of mazes.

    >>> from mazewm.maze.lattice import lattice
    >>> square = routes(lattice(2), np.ones((1, 4), bool))
    >>> square.distance[0, 0], square.is_unique[0, 0]  # from cell 0 to cells 0 to 3
    (array([0, 1, 1, 2], dtype=int16), array([ True,  True,  True, False]))
    """
    n_mazes, n = len(connections), grid.n
    down = connections[:, : n * (n - 1)].reshape(n_mazes, 1, n - 1, n)
    right = connections[:, n * (n - 1) :].reshape(n_mazes, 1, n, n - 1)
    n_paths = np.broadcast_to(
        np.eye(grid.n_cells, dtype=np.int8).reshape(1, -1, n, n), (n_mazes, grid.n_cells, n, n)
    ).copy()
    distance = np.where(n_paths > 0, 0, NO_WAY).astype(np.int16)
    frontier, step = n_paths.copy(), 0
    while frontier.any():
        step += 1
        ahead = np.zeros_like(frontier)
        ahead[:, :, 1:] += frontier[:, :, :-1] * down
        ahead[:, :, :-1] += frontier[:, :, 1:] * down
        ahead[:, :, :, 1:] += frontier[:, :, :, :-1] * right
        ahead[:, :, :, :-1] += frontier[:, :, :, 1:] * right
        frontier = np.minimum(ahead, 2) * (distance == NO_WAY)
        distance[frontier > 0] = step
        n_paths += frontier
    shape = (n_mazes, grid.n_cells, grid.n_cells)
    return Routes(grid, connections, distance.reshape(shape), (n_paths == 1).reshape(shape))
