"""Forks on the shortest path at which steering can make a model turn another way
(docs/science.md#steering). The cell that it should then go to is determined here, before any model
runs.

* ``first``: the fork is the origin, with at least two open connections. So the turn is the token
  right after the first token of the path.
* ``later``: the fork is a later cell of the path, with at least three open connections. The path up
  to the fork is not steered, so the turn is never the next token after the edited positions.

The shortest path goes from the fork to the cell ``exit``; ``other`` is another open neighbour, not
the cell before the fork. Forks whose exit is the target are left out.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Int

from mazewm.maze.mazes import Mazes
from mazewm.maze.truths import shortest_paths, touched_cells

Situation = Literal["first", "later"]
SITUATIONS: tuple[Situation, ...] = ("first", "later")
FORK = 3  # least number of open connections of a later fork; the origin needs one fewer
MAX_STEP = 3  # largest number of steps from the origin to a later fork


def degrees(mazes: Mazes) -> np.ndarray:
    """How many open connections each cell has, ``[maze, cell]``."""
    touches = np.zeros((mazes.grid.n_connections, mazes.grid.n_cells), int)
    np.put_along_axis(touches, mazes.grid.ends, 1, axis=1)
    return mazes.connections.astype(int) @ touches


@dataclass(frozen=True)
class Forks:
    """Mazes with one fork on the shortest path of each."""

    situation: Situation
    mazes: Mazes
    step: Int[np.ndarray, " maze"]  # steps from the origin to the fork
    exit: Int[np.ndarray, " maze"]  # the next cell of the shortest path
    other: Int[np.ndarray, " maze"]  # the cell that steering should make the model go to

    def __len__(self) -> int:
        return len(self.mazes)

    def __getitem__(self, index: np.ndarray) -> "Forks":
        """The forks that an index array picks."""
        return Forks(
            self.situation, self.mazes[index], self.step[index], self.exit[index], self.other[index]
        )

    @property
    def fork(self) -> Int[np.ndarray, " maze"]:
        """The cell of the fork."""
        return self.mazes.path[np.arange(len(self)), self.step].astype(int)


def asked_anew(mazes: Mazes, rng: np.random.Generator, n: int) -> Mazes:
    """Each connection set of some mazes with up to ``n`` other questions, drawn at random, which
    have one shortest path. A maze's own question seldom passes a fork."""
    _, first = np.unique(mazes.connections, axis=0, return_index=True)
    every = mazes[np.repeat(np.sort(first), n)]
    keys = rng.random((len(every), every.grid.n_cells))
    keys *= touched_cells(every.grid, every.connections)
    two = np.argsort(-keys, axis=1)[:, :2].astype(every.origin.dtype)
    ways = shortest_paths(every.grid, every.connections, two[:, 0], two[:, 1])
    kept = np.flatnonzero(ways.is_unique)
    asked = replace(every, origin=two[:, 0], target=two[:, 1], path=ways.cells)
    return asked[kept]


def forks(mazes: Mazes, situation: Situation, rng: np.random.Generator, n: int) -> Forks:
    """Up to ``n`` of the mazes that have a fork of the situation, shuffled, each with its first
    such fork."""
    width = mazes.path.shape[1]
    steps = np.arange(width - 1)
    on_path = np.take_along_axis(degrees(mazes), np.maximum(mazes.path, 0), axis=1)[:, :-1]
    is_fork = (
        (steps == 0) & (on_path >= FORK - 1)
        if situation == "first"
        else (steps >= 1) & (steps <= MAX_STEP) & (on_path >= FORK)
    )
    is_fork = is_fork & (steps + 2 < mazes.path_length[:, None])
    kept = rng.permutation(np.flatnonzero(is_fork.any(axis=1)))[:n]
    chosen, step, rows = mazes[kept], is_fork[kept].argmax(axis=1), np.arange(len(kept))
    at, exit_ = chosen.path[rows, step].astype(int), chosen.path[rows, step + 1].astype(int)
    came_from = np.where(step > 0, chosen.path[rows, np.maximum(step - 1, 0)], -1)
    around = chosen.grid.neighbours[at]
    leads = chosen.grid.connection_of[at[:, None], around]
    is_open = (
        (around >= 0)
        & chosen.connections[rows[:, None], leads]
        & (around != exit_[:, None])
        & (around != came_from[:, None])
    )
    other = around[rows, (rng.random(around.shape) * is_open).argmax(axis=1)]
    return Forks(situation, chosen, step, exit_, other)
