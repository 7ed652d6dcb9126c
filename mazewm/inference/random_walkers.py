"""Walkers that see walls and go anywhere until they see the target (docs/science.md#walkers).

The walkers of ``mazewm.inference.walkers`` head for the target. So the questions that they fail are
those where heading for it misleads, and there who does not head for it does better. These are the
controls by which no question is chosen.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mazewm.maze.lattice import Lattice

RANDOM_SIGHTS = {"random": 1, "random_2": 2}  # walkers by the steps that they look ahead

Paths = Int[np.ndarray, "maze question step"]  # cells, padded with -1
Here = Int[np.ndarray, "maze question *step"]  # cells
Around = Int[np.ndarray, "maze question *step 4"]  # the cells around these, -1 outside the lattice
CanTake = Bool[np.ndarray, "maze question *step 4"]


def random_chance(
    grid: Lattice, connections: Bool[np.ndarray, "maze connection"], paths: Paths, sight: int = 1
) -> Float[np.ndarray, "maze question"]:
    """The probability that the walker takes a path. It sees all walks of at most ``sight`` (1 or 2)
    steps that enter no cell twice and none where it has been. If some reach the target, it takes
    the first step of a shortest one; otherwise that of a walk of full length. First steps between
    which it can choose are equally likely."""
    last = (paths >= 0).sum(axis=2, keepdims=True) - 1
    target = np.take_along_axis(paths, last, axis=2)[:, :, 0]
    chance, is_visited = np.ones(target.shape), np.zeros((*target.shape, grid.n_cells), bool)
    for step in range(paths.shape[2] - 1):
        is_walking = paths[:, :, step + 1] >= 0
        here = np.where(is_walking, paths[:, :, step], paths[:, :, 0]).astype(int)
        np.put_along_axis(is_visited, here[:, :, None], True, axis=2)
        there = grid.neighbours[here]
        can_take = _Walks(grid, connections, is_visited).choices(here, there, target, sight)
        is_taken = can_take & (there == paths[:, :, step + 1, None])
        share = is_taken.sum(axis=2) / np.maximum(1, can_take.sum(axis=2))
        chance *= np.where(is_walking, share, 1.0)
    return chance


class _Walks(NamedTuple):
    """Walks that are under way, one for each question, and the cells where they have been."""

    grid: Lattice
    connections: Bool[np.ndarray, "maze connection"]
    is_visited: Bool[np.ndarray, "maze question cell"]

    def choices(
        self,
        here: Int[np.ndarray, "maze question"],
        there: Int[np.ndarray, "maze question 4"],
        target: Int[np.ndarray, "maze question"],
        sight: int,
    ) -> Bool[np.ndarray, "maze question 4"]:
        """Which of the cells around the one on which each walk stands its walker may take."""
        one = self.enterable(here, there)
        arrives = one & (there == target[:, :, None])
        if sight > 1:
            second = self.grid.neighbours[np.maximum(there, 0)]
            two = self.enterable(np.maximum(there, 0), second) & one[..., None]
            arrives_later = (two & (second == target[:, :, None, None])).any(axis=3)
            one = _first_that_has_some(arrives_later, two.any(axis=3))
        return _first_that_has_some(arrives, one)

    def enterable(self, here: Here, there: Around) -> CanTake:
        """Of the cells around each cell, those that the maze connects with it and where the walk
        has not been."""
        maze = np.arange(len(here)).reshape(-1, *[1] * (there.ndim - 1))
        is_open = self.connections[maze, self.grid.connection_of[here[..., None], there]]
        question = np.arange(here.shape[1]).reshape(-1, *[1] * (there.ndim - 2))
        has_been: CanTake = self.is_visited[maze, question, there]
        return (there >= 0) & is_open & ~has_been


def _first_that_has_some(
    preferred: Bool[np.ndarray, "maze question 4"], otherwise: Bool[np.ndarray, "maze question 4"]
) -> Bool[np.ndarray, "maze question 4"]:
    return np.where(preferred.any(axis=2, keepdims=True), preferred, otherwise)
