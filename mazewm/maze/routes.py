"""All ways through a batch of mazes at once: between every two cells, how far it is, how many shortest paths there are, where to go next.

Breadth-first search from every cell of every maze in lockstep: the frontiers are arrays ``[maze, source, row, col]`` that are
shifted along the lattice wherever a connection is open, and carry the number of shortest paths (1, or 2 for more than one).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from mazewm.maze.lattice import Lattice

NO_WAY = -1


@dataclass(frozen=True)
class Routes:
    """Between every two cells of each maze; the tables are symmetric in source and target."""

    grid: Lattice
    connections: Bool[np.ndarray, "maze connection"]
    distance: Int[np.ndarray, "maze source target"]  # steps; NO_WAY where there is none
    is_unique: Bool[np.ndarray, "maze source target"]  # whether there is one and only one shortest path

    @cached_property
    def next_cell(self) -> Int[np.ndarray, "maze target cell"]:
        """The cell after ``cell`` on a shortest path to ``target``: the first of ``grid.neighbours`` where there is a choice,
        ``cell`` itself at the target and where there is no way."""
        found = np.broadcast_to(np.arange(self.grid.n_cells), self.distance.shape).copy()
        for side in reversed(range(4)):  # what is written last is the first side
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
        """The cells of a shortest path for each question, origin and target included, padded with -1; each must have one."""
        maze = np.arange(len(origin))[:, None]
        n_steps = self.distance[maze, origin, target]
        cells = np.full((*origin.shape, int(n_steps.max()) + 1), -1, np.int16)
        cells[:, :, 0] = here = origin
        leads_to = self.next_cell
        for step in range(1, cells.shape[2]):
            here = leads_to[maze, target, here]
            cells[:, :, step] = np.where(step <= n_steps, here, -1)
        return cells

    def questions(
        self, rng: np.random.Generator, n: int
    ) -> list[tuple[Int[np.ndarray, "maze question"], Int[np.ndarray, "maze question"]]]:
        """``n`` questions of each maze that have one shortest path: origins and targets, in groups of equally long paths.

        The lengths are drawn from those of all mazes' questions, the same for every maze, so that a group needs no padding; then
        each maze draws evenly among its questions of that length, without repetition as long as it has more. A maze without any
        takes those that are nearest in length, and one that has fewer questions in all than are to be equally long asks one again.
        """
        n_cells = self.grid.n_cells
        lengths = np.where(self.is_unique, self.distance, 0).reshape(len(self.is_unique), -1)
        keys = rng.random(lengths.shape, dtype=np.float32)
        groups = []
        for length, count in zip(*np.unique(rng.choice(lengths[lengths > 0], n), return_counts=True), strict=True):
            # Another length costs more than asking again, and what is no question costs most.
            cost = np.where(lengths > 0, 4 * np.abs(lengths - length), 8 * n_cells) + keys
            first = np.argpartition(cost, count - 1, axis=1)[:, :count]
            is_question = np.take_along_axis(lengths, first, axis=1) > 0
            first = np.where(is_question, first, cost.argmin(axis=1)[:, None])
            np.put_along_axis(keys, first, np.take_along_axis(keys, first, axis=1) % 1 + 1, axis=1)
            groups.append(np.divmod(first, n_cells))
        return groups


def routes(grid: Lattice, connections: Bool[np.ndarray, "maze connection"]) -> Routes:
    """All shortest ways of a batch of mazes."""
    n_mazes, n = len(connections), grid.n
    down = connections[:, : n * (n - 1)].reshape(n_mazes, 1, n - 1, n)
    right = connections[:, n * (n - 1) :].reshape(n_mazes, 1, n, n - 1)
    n_paths = np.broadcast_to(np.eye(grid.n_cells, dtype=np.int8).reshape(1, -1, n, n), (n_mazes, grid.n_cells, n, n)).copy()
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
