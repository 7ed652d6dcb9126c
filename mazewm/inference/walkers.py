"""Walkers without a map of the maze, with which answers are compared
(docs/science.md#walkers): how likely each is to take a given path, and how one of them walks.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mazewm.maze.lattice import Lattice
from mazewm.maze.routes import NO_WAY

TELLING = 0.5  # a question tells if each walker takes its path less often
SIGHTS = {"near": 1, "ahead_2": 2, "ahead_3": 3}  # walkers by the steps that they look ahead

Paths = Int[np.ndarray, "maze question step"]  # cells, padded with -1
Chance = Float[np.ndarray, "maze question"]


def _ends(paths: Paths) -> tuple[np.ndarray, np.ndarray]:
    last = (paths >= 0).sum(axis=2)[:, :, None] - 1
    return paths[:, :, 0], np.take_along_axis(paths, last, axis=2)[:, :, 0]


def _apart(grid: Lattice, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns between cells."""
    return np.abs(a // grid.n - b // grid.n), np.abs(a % grid.n - b % grid.n)


def blind_chance(grid: Lattice, paths: Paths) -> Chance:
    """The probability that the blind walker takes a path: it ignores walls and takes a uniformly
    random shortest path of the lattice. So it is one among all of those between the path's ends, or
    0 if the path is longer."""
    rows, cols = _apart(grid, *_ends(paths))
    choose = np.array([[math.comb(r + c, r) for c in range(grid.n)] for r in range(grid.n)])
    n_steps = (paths >= 0).sum(axis=2) - 1
    return np.where(n_steps == rows + cols, 1 / choose[rows, cols], 0.0)


class NearSighted(NamedTuple):
    """A walker that looks ``sight`` steps ahead, on many walks at once. With 1 it is the
    near-sighted walker: it sees the walls of the cell on which it stands and no others, steps to
    the connected cell nearest to the target (by rows and columns, evenly at random among equally
    near ones) and to none twice. With more it sees all walks of so many steps that enter no cell
    twice and none where it has been. If some reach the target, it takes the first step of a
    shortest one; otherwise of one, each walk being equally likely, of those of full length that end
    nearest to the target. Where there is none, it stops."""

    grid: Lattice
    connections: Bool[np.ndarray, "maze connection"]
    maze: Int[np.ndarray, "*walk"]  # of each walk
    target: Int[np.ndarray, "*walk"]
    sight: int = 1

    def steps(
        self, here: Int[np.ndarray, "*walk"], is_visited: Bool[np.ndarray, "*walk cell"]
    ) -> tuple[Int[np.ndarray, "*walk 4"], Float[np.ndarray, "*walk 4"]]:
        """The cells around the one on which each walk stands (-1 outside the lattice), and how
        likely the walker is to step to each; to none of them where it cannot go on."""
        trail, is_alive = [here[..., None]], np.ones((*here.shape, 1), bool)
        found = _Nearest(here.shape)
        for depth in range(1, self.sight + 1):
            there = self.grid.neighbours[trail[-1]]
            connection = self.grid.connection_of[trail[-1][..., None], there]
            maze = self.maze[..., None, None]
            is_open = is_alive[..., None] & (there >= 0) & self.connections[maze, connection]
            for before in trail:
                is_open &= there != before[..., None]
            there, is_open = (each.reshape(*here.shape, 4**depth) for each in (there, is_open))
            is_open &= ~np.take_along_axis(is_visited, np.maximum(there, 0), axis=-1)
            is_there = is_open & (there == self.target[..., None])
            found.add(np.where(is_there, depth - self.grid.n_cells, np.inf))
            is_alive = is_open & ~is_there
            trail = [*(np.repeat(each, 4, axis=-1) for each in trail), there]
        away = sum(_apart(self.grid, trail[-1], self.target[..., None]))
        found.add(np.where(is_alive, away, np.inf))
        return self.grid.neighbours[here], found.shares()

    def n_steps(
        self, origin: Int[np.ndarray, " walk"], rng: np.random.Generator
    ) -> Int[np.ndarray, " walk"]:
        """Draw one walk each from ``origin``, and count its steps to the target; NO_WAY if it comes
        to a cell where it cannot go on."""
        n_steps = np.where(origin == self.target, 0, NO_WAY)
        here, walking = origin.copy(), np.flatnonzero(n_steps == NO_WAY)
        is_visited = np.zeros((len(origin), self.grid.n_cells), bool)
        for step in range(1, self.grid.n_cells):
            is_visited[walking, here[walking]] = True
            ahead = self._replace(maze=self.maze[walking], target=self.target[walking])
            there, share = ahead.steps(here[walking], is_visited[walking])
            # as likely as each share: the largest of u^(1/share)
            drawn = rng.random(there.shape) ** (1 / np.maximum(share, 1e-9))
            side = np.where(share > 0, drawn, -1).argmax(axis=1)
            can_go = share.any(axis=1)
            walking, there = walking[can_go], there[can_go, side[can_go]]
            here[walking] = there
            n_steps[walking[there == self.target[walking]]] = step
            walking = walking[there != self.target[walking]]
        return n_steps


class _Nearest:
    """Walks that are nearest to the target so far, counted by their first step."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.key, self.n = np.full(shape, np.inf), np.zeros((*shape, 4))

    def add(self, keys: Float[np.ndarray, "*walk end"]) -> None:
        """Walks by their ends, those with equal first steps together; the least keys count."""
        least = np.minimum(self.key, keys.min(axis=-1))
        is_best = (keys == least[..., None]) & np.isfinite(keys)
        self.n[least < self.key] = 0
        self.n += is_best.reshape(*self.n.shape, keys.shape[-1] // 4).sum(axis=-1)
        self.key = least

    def shares(self) -> Float[np.ndarray, "*walk 4"]:
        return self.n / np.maximum(1, self.n.sum(axis=-1, keepdims=True))


def near_sighted_chance(
    grid: Lattice, connections: Bool[np.ndarray, "maze connection"], paths: Paths, sight: int = 1
) -> Chance:
    """The probability that the walker that looks ``sight`` steps ahead takes a path."""
    origin, target = _ends(paths)
    maze = np.broadcast_to(np.arange(len(paths))[:, None], origin.shape)
    walker = NearSighted(grid, connections, maze, target, sight)
    chance, is_visited = np.ones(origin.shape), np.zeros((*origin.shape, grid.n_cells), bool)
    np.put_along_axis(is_visited, origin[:, :, None].astype(int), True, axis=2)
    for step in range(paths.shape[2] - 1):
        here, following = paths[:, :, step], paths[:, :, step + 1]
        is_walking = following >= 0
        there, share = walker.steps(np.where(is_walking, here, 0), is_visited)
        share = (share * (there == following[:, :, None])).sum(axis=2)
        chance *= np.where(is_walking, share, 1.0)
        seen = np.where(is_walking, following, origin)[:, :, None]
        np.put_along_axis(is_visited, seen.astype(int), True, axis=2)
    return chance
