"""Compression and distinction of states (docs/science.md#states, after Vafa et al. 2024,
"Evaluating the World Model Implicit in a Generative Model", by way of the Myhill-Nerode theorem).

A state is a maze, a target and the cell on which the path stands. Where only one shortest path is
left, one continuation is right: this path and ``<PATH_END>``. A model *accepts* a next token if its
probability is above a threshold. Two prompts that lead to the same state should accept the same
tokens at every point of the continuation (*compression*). Two that lead to different states should
not, at the first token in which their continuations differ (*distinction*).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from mazewm.inference.continuations import (
    Accepted,
    Prompts,
    Spelled,
    accepted_by,
    accepted_by_walker,
)
from mazewm.inference.kinds import CONNECTION, ORIGIN, SAME_STATE, SPELLING, TARGET
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.maze.mazes import Mazes
from mazewm.maze.routes import Routes, routes
from mazewm.maze.truths import openable


@dataclass(frozen=True)
class StateRow:
    """A pair of prompts; if their states differ, an ordered pair."""

    model: tables.Text  # trained or untrained
    split: tables.Text
    maze_id: tables.Int
    family: tables.Text
    kind: tables.Text  # SPELLING and ORIGIN: of the same state; TARGET and CONNECTION: not
    # Same state: the tokens accepted are the same at every point. Different ones: the first token
    # in which the continuations differ is accepted after the first prompt, not after the second.
    is_right: tables.Flag
    # of different states: tokens accepted there after the first prompt and not after the second
    n_claimed: tables.Int
    # Same state: the likeliest token is the same at every point. Different ones: it differs there.
    is_likeliest_right: tables.Flag
    is_near_right: tables.Flag  # is_right and n_claimed of the near-sighted walker
    n_near_claimed: tables.Int


class Pairs(NamedTuple):
    """Pairs of prompts of one kind: the n-th of ``first`` with the n-th of ``second``."""

    kind: str
    maze: Int[np.ndarray, " pair"]  # an index into the mazes that they are about
    first: Prompts
    second: Prompts


def measure_states(
    subject: Subject, n_pairs: int, above: float, split: str
) -> Iterator[pd.DataFrame]:
    """Rows of StateRow about a model, except for the column ``model``: up to ``n_pairs`` pairs of
    each kind about each of the subject's mazes, which are of ``split``. A token is accepted if its
    probability is above ``above``."""
    mazes, grid = subject.mazes, subject.mazes.grid
    for pairs in pairs_of(mazes, n_pairs, subject.rng("states")):
        if not len(pairs.maze):
            continue
        sides = [
            accepted_by(subject.model, grid, each, above) for each in (pairs.first, pairs.second)
        ]
        near = [
            accepted_by_walker(grid, each, side.right)
            for each, side in zip((pairs.first, pairs.second), sides, strict=True)
        ]
        is_right, is_likeliest_right, n_claimed = compare(pairs.kind, *sides)
        is_near_right, _, n_near_claimed = compare(pairs.kind, *near)
        yield pd.DataFrame(
            {
                "split": split,
                "maze_id": mazes.maze_id[pairs.maze],
                "family": mazes.family[pairs.maze],
                "kind": pairs.kind,
                "is_right": is_right,
                "n_claimed": n_claimed,
                "is_likeliest_right": is_likeliest_right,
                "is_near_right": is_near_right,
                "n_near_claimed": n_near_claimed,
            }
        )


def compare(
    kind: str, first: Accepted, second: Accepted
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """is_right, is_likeliest_right and n_claimed of StateRow, for each pair."""
    if kind in SAME_STATE:
        is_equal = (first.accepted == second.accepted).all(axis=(1, 2))
        same_likeliest = (first.likeliest == second.likeliest).all(axis=1)
        return is_equal, same_likeliest, np.zeros(len(is_equal), int)
    width = min(first.right.shape[1], second.right.shape[1])
    every = np.arange(len(first.right))
    at = (first.right[:, :width] != second.right[:, :width]).argmax(axis=1)
    claimed = first.accepted[every, at] & ~second.accepted[every, at]
    is_right = claimed[every, first.right[every, at]]
    return is_right, first.likeliest[every, at] != second.likeliest[every, at], claimed.sum(axis=1)


def pairs_of(mazes: Mazes, n: int, rng: np.random.Generator) -> Iterator[Pairs]:
    """Up to ``n`` pairs of each kind about each maze, of different states in both orders."""
    ways = routes(mazes.grid, mazes.connections)
    once, again = (Spelled.at_random(mazes.grid, mazes.connections, rng) for _ in range(2))
    yield _other_spelling(ways, once, again, _drawn(_asked(ways), n, rng))
    yield _other_origin(ways, once, _drawn(_asked(ways, 2), n, rng), rng)
    yield _other_target(ways, once, _drawn(_asked(ways), n, rng), rng)
    yield _other_connection(mazes, n, rng)


class Asked(NamedTuple):
    """Questions, each about one maze."""

    maze: Int[np.ndarray, " question"]
    origin: Int[np.ndarray, " question"]
    target: Int[np.ndarray, " question"]

    def of(self, rows: np.ndarray) -> "Asked":
        """Some of the questions."""
        return Asked(*(each[rows] for each in self))

    def prompts(self, ways: Routes, lists: Spelled) -> Prompts:
        """Prompts with the origin as the only cell of the path."""
        cells = ways.paths_from(self.maze, self.origin[:, None], self.target[:, None])[:, 0]
        return Prompts(
            ways.connections[self.maze],
            lists.lists(self.maze),
            cells,
            np.ones(len(cells), int),
        )


def _asked(ways: Routes, least: int = 1) -> Bool[np.ndarray, "maze origin target"]:
    """The questions with one shortest path, of at least so many steps."""
    return ways.is_unique & (ways.distance >= least)


def _drawn(
    asked: Bool[np.ndarray, "maze origin target"], n: int, rng: np.random.Generator
) -> Asked:
    """Up to ``n`` questions of each maze among those ``asked``."""
    keys = np.where(asked, rng.random(asked.shape), 2).reshape(
        len(asked), asked.shape[1] * asked.shape[2]
    )
    chosen = np.argsort(keys, axis=1)[:, :n]
    is_there = np.take_along_axis(keys, chosen, axis=1) < 2
    return Asked(np.nonzero(is_there)[0], *np.divmod(chosen[is_there], asked.shape[2]))


def _other_spelling(ways: Routes, once: Spelled, again: Spelled, asked: Asked) -> Pairs:
    """The same question behind two lists of one maze."""
    return Pairs(SPELLING, asked.maze, *(asked.prompts(ways, each) for each in (once, again)))


def _other_origin(ways: Routes, lists: Spelled, asked: Asked, rng: np.random.Generator) -> Pairs:
    """A question with its path up to a cell between, and the question from this cell."""
    first = asked.prompts(ways, lists)
    between = (first.cells >= 0).sum(axis=1) - 2
    later = 1 + (rng.random(len(between)) * between).astype(int)
    since = asked._replace(origin=first.cells[np.arange(len(later)), later].astype(int))
    return Pairs(ORIGIN, asked.maze, replace(first, n_given=later + 1), since.prompts(ways, lists))


def _other_target(ways: Routes, lists: Spelled, asked: Asked, rng: np.random.Generator) -> Pairs:
    """Two questions from one origin."""
    others = _asked(ways)[asked.maze, asked.origin]
    others[np.arange(len(others)), asked.target] = False
    some = np.flatnonzero(others.any(axis=1))
    asked = asked.of(some)
    keys = np.where(others[some], rng.random(others[some].shape), -1)
    beside = asked._replace(target=keys.argmax(axis=1))
    one, other = (each.prompts(ways, lists) for each in (asked, beside))
    return Pairs(TARGET, np.tile(asked.maze, 2), one + other, other + one)


def _other_connection(mazes: Mazes, n: int, rng: np.random.Generator) -> Pairs:
    """One question about two mazes, of which one has a connection more that is on the shortest
    path; their lists agree in all others. Mazes with as many connections as any of the batch get
    none more: the model may never have read so many."""
    grid, n_connections = mazes.grid, mazes.n_connections
    can_add = openable(grid, mazes.connections)
    can_add &= (n_connections < n_connections.max())[:, None]
    some = np.flatnonzero(can_add.any(axis=1))
    keys = np.where(can_add[some], rng.random((len(some), grid.n_connections)), -1)
    added, more = keys.argmax(axis=1), mazes.connections[some].copy()
    more[np.arange(len(some)), added] = True
    without, with_it = routes(grid, mazes.connections[some]), routes(grid, more)
    is_nearer = with_it.distance < without.distance
    asked = _drawn(_asked(without) & _asked(with_it) & is_nearer, n, rng)
    lists = Spelled.at_random(grid, more, rng)
    one = asked.prompts(with_it, lists)
    other = asked.prompts(without, lists.without(added))
    return Pairs(CONNECTION, np.tile(some[asked.maze], 2), one + other, other + one)
