"""Greedy rollouts for many questions about mazes, by speculative decoding after a shared list.

1. An adjacency list is read once (``Model.read``, with an edit if there is one). Its
   key-value cache serves all questions about it.
2. A question is read together with a guess of its whole path. One forward pass shows which token
   the model would write after each token of the guess. Up to the first token at which guess and
   model differ, the guess is the rollout. This is greedy speculative decoding (Leviathan et al.
   2023) with a guess that costs nothing: the maze's own shortest path.
3. Where they differ, the model's token is kept. The path from there to the target is guessed anew,
   and the rollout continues. Rollouts that have ended leave the batch; all others continue
   together, even if their lists were read with different edits.

The result is that of decoding each question by itself, token by token. A bad guess costs time, and
does not change the result.
"""

from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mazewm.inference.edits import Taps
from mazewm.maze.lattice import Lattice
from mazewm.maze.mazes import Mazes
from mazewm.maze.routes import Routes, routes
from mazewm.maze.tokens import PATH_END, Vocabulary, encode_paths, encode_questions
from mazewm.model.interface import Model
from mazewm.model.reading import Layout, Prefix
from mazewm.model.taps import Tap

MOST_TOKENS = 256  # in one row of questions: attention costs grow with the square
MOST_WAITING = 2**16  # unfinished rollouts, times the length of their prefix, to wait for others
NO_CELL = -2  # a token that is neither a cell nor <PATH_END>, or a rollout that did not end

# the tap for a batch, given the maze of each of its rows
TapOf = Callable[[Int[np.ndarray, " row"]], Tap | None]


@dataclass(frozen=True)
class Questions:
    """Questions about each maze of a batch, equally many for each, with a guess of each path."""

    grid: Lattice
    # used for new guesses, after the first one was wrong
    connections: Bool[np.ndarray, "maze connection"]
    asked: Int[np.ndarray, "maze question pos"]  # the tokens between the list and the path
    target: Int[np.ndarray, "maze question"]
    guess: Int[np.ndarray, "maze question step"]  # cells, padded with -1
    n_most: int | None = (
        # most cells to write; if None, one more than the lattice has cells
        None
    )
    n_given: Int[np.ndarray, "maze question"] | None = (
        # how many cells of the guess, which need not be the model's, are written already; none if
        # None
        None
    )
    n_until: Int[np.ndarray, "maze question"] | None = (
        # at how many cells each rollout stops, if it has not ended before; nowhere if None
        None
    )

    @cached_property
    def ways(self) -> Routes:
        """The shortest paths of the mazes, from which guesses are made."""
        return routes(self.grid, self.connections)

    @property
    def longest(self) -> int:
        """The number of tokens of the longest question with its guess and ``<PATH_END>``."""
        return self.asked.shape[2] + int((self.guess >= 0).sum(axis=2).max()) + 1


def questions_of(mazes: Mazes, guess: Int[np.ndarray, "maze step"] | None = None) -> Questions:
    """The question of each maze: from its origin to its target. The guess is its shortest path,
    unless another is given."""
    guess = mazes.path if guess is None else guess
    return ask_all(
        mazes.grid, mazes.connections, mazes.origin[:, None], mazes.target[:, None], guess[:, None]
    )


def ask_all(
    grid: Lattice,
    connections: Bool[np.ndarray, "maze connection"],
    origin: Int[np.ndarray, "maze question"],
    target: Int[np.ndarray, "maze question"],
    guess: Int[np.ndarray, "maze question step"],
) -> Questions:
    """Several questions about each maze: from every ``origin`` to its ``target``."""
    return Questions(grid, connections, encode_questions(grid, origin, target), target, guess)


def rollouts(
    model: Model, prefix: Prefix, questions: Questions, tap_of: TapOf | None = None
) -> Int[np.ndarray, "maze question step"]:
    """The cells that the model writes greedily until ``<PATH_END>``, padded with -1.

    ``prefix`` has one row for each maze. ``tap_of`` gives the tap for the tokens after the prefix;
    RuntimeError if one of its edits is not applied. A token that is neither a cell nor
    ``<PATH_END>`` ends the rollout and becomes NO_CELL. A rollout has room for one token more than
    the lattice has cells; if it has not ended by then, its last token becomes NO_CELL. With
    ``questions.n_most`` a rollout has room for so many cells, and need not end. With
    ``questions.n_given`` it begins with cells of the guess, and the model goes on behind them; with
    ``questions.n_until`` it stops at so many cells, which must be more than are given."""
    return rollouts_behind(model, [prefix], questions, tap_of)[0]


@torch.inference_mode()
def rollouts_behind(
    model: Model,
    prefixes: Iterable[Prefix],
    questions: Questions,
    tap_of: TapOf | None = None,
) -> list[Int[np.ndarray, "maze question step"]]:
    """The rollouts of the same questions after each of several prefixes, such as the same lists
    read with different edits. Each result is as from ``rollouts``.

    The prefixes are taken from the iterable one by one; of each, only the rows whose rollouts have
    not ended are kept in memory."""
    found, waiting = [], []
    for prefix in prefixes:
        walks = _Walks(questions)
        _first_guess(model, prefix, walks, tap_of)
        found.append(walks)
        waiting.append(_Waiting.of(walks, prefix, model.device))
        if sum(len(each.at) for each in waiting) * len(prefix) >= MOST_WAITING:
            _finish(model, waiting, tap_of)
            waiting = []
    _finish(model, waiting, tap_of)
    return [walks.cells.reshape(*questions.target.shape, -1) for walks in found]


def _first_guess(model: Model, prefix: Prefix, walks: "_Walks", tap_of: TapOf | None) -> None:
    """Read every question with its first guess, several after each list at once."""
    questions = walks.questions
    n_mazes, n_questions = questions.target.shape
    by_length = np.argsort((questions.guess >= 0).sum(axis=2), axis=1, kind="stable")
    n_at_once = max(1, MOST_TOKENS // questions.longest)
    for first in range(0, n_questions, n_at_once):
        together = by_length[:, first : first + n_at_once]
        rows = (np.arange(n_mazes)[:, None] * n_questions + together).ravel()
        tap = tap_of(np.arange(n_mazes)) if tap_of else None
        walks.go_on(rows, *_answers(model, prefix, walks, rows, together.shape[1], tap))


class _Waiting(NamedTuple):
    """Rollouts that have not ended, and the prefix that they follow."""

    walks: "_Walks"
    rows: Int[np.ndarray, " row"]
    behind: Prefix  # one row for each maze that has such rollouts
    at: Int[np.ndarray, " row"]  # the row of ``behind`` that each rollout follows

    @classmethod
    def of(cls, walks: "_Walks", prefix: Prefix, device: torch.device) -> "_Waiting":
        rows = np.flatnonzero(walks.is_walking)
        maze, at = np.unique(walks.maze[rows], return_inverse=True)
        return cls(walks, rows, prefix.of(torch.from_numpy(maze).to(device)), at)


def _finish(model: Model, waiting: Sequence[_Waiting], tap_of: TapOf | None) -> None:
    """Continue all rollouts together until they have ended."""
    waiting = [each for each in waiting if len(each.rows)]
    if not waiting:
        return
    walks, behind = _Walks.joined(waiting), Prefix.joined([each.behind for each in waiting])
    before = np.cumsum([0, *(each.at.max() + 1 for each in waiting)])
    at = torch.from_numpy(
        np.concatenate([each.at + n for each, n in zip(waiting, before, strict=False)])
    ).to(model.device)
    n_at_once = max(1, 16 * MOST_TOKENS // walks.questions.longest)
    while len(rows := np.flatnonzero(walks.is_walking)):
        walks.guess_anew(rows)
        rows = rows[np.argsort((walks.guess[rows] >= 0).sum(axis=1), kind="stable")]
        for part in np.array_split(rows, -(-len(rows) // n_at_once)):
            tap = tap_of(walks.maze[part]) if tap_of else None
            walks.go_on(part, *_answers(model, behind.of(at[part]), walks, part, 1, tap))
    ends = np.cumsum([len(each.rows) for each in waiting])[:-1]
    for each, cells in zip(waiting, np.split(walks.cells, ends), strict=True):
        each.walks.cells[each.rows] = cells


def _answers(
    model: Model,
    prefix: Prefix,
    walks: "_Walks",
    rows: Int[np.ndarray, " row"],
    n_questions: int,
    tap: Tap | None,
) -> tuple[Int[np.ndarray, "row step"], Int[np.ndarray, "row step"]]:
    """The guesses of some rows as tokens, with ``<PATH_END>``, and the token that the model writes
    in place of each."""
    wanted = encode_paths(walks.questions.grid, walks.guess[rows])
    tokens = np.concatenate([walks.asked[rows], wanted[:, :-1]], axis=1)
    layout = Layout.questions(len(prefix), [(n_questions, tokens.shape[1])], model.device)
    inputs = torch.from_numpy(tokens).to(model.device).reshape(-1, len(layout))
    logits = model.ask(prefix, inputs, layout, tap)
    if isinstance(tap, Taps):
        tap.check()
    chosen: Tensor = logits.argmax(dim=-1).reshape(tokens.shape)[:, -wanted.shape[1] :]
    return wanted, chosen.cpu().numpy()


class _Walks:
    """The state of unfinished rollouts, one row for each question."""

    def __init__(self, questions: Questions) -> None:
        n_mazes, n_questions = questions.target.shape
        n_rows, n_steps = questions.target.size, questions.n_most or questions.grid.n_cells + 1
        self.questions, self.first_cell = questions, Vocabulary(questions.grid.n).first_cell
        self.maze = np.repeat(np.arange(n_mazes), n_questions)
        self.asked, self.target = questions.asked.reshape(n_rows, -1), questions.target.ravel()
        self.cells = np.full((n_rows, n_steps), -1, np.int16)
        self.guess = self.cells.copy()  # the cells written so far, then a guess of the others
        # nothing is guessed for the last step: the model's token there ends the rollout
        guess = questions.guess[:, :, : n_steps - 1]
        self.guess[:, : guess.shape[2]] = guess.reshape(n_rows, -1)
        n_given = questions.n_given
        self.n_written = np.zeros(n_rows, int) if n_given is None else n_given.ravel()
        n_until = questions.n_until
        self.n_until = np.full(n_rows, n_steps) if n_until is None else n_until.ravel()
        self.guess[np.arange(n_steps) >= self.n_until[:, None] - 1] = -1
        self.is_walking = np.ones(n_rows, bool)

    @classmethod
    def joined(cls, waiting: Sequence[_Waiting]) -> "_Walks":
        """The rows of all, concatenated."""
        joined = copy(waiting[0].walks)
        for name in (
            "maze",
            "asked",
            "target",
            "cells",
            "guess",
            "n_written",
            "n_until",
            "is_walking",
        ):
            setattr(
                joined,
                name,
                np.concatenate([getattr(each.walks, name)[each.rows] for each in waiting]),
            )
        return joined

    def go_on(
        self,
        rows: Int[np.ndarray, " row"],
        wanted: Int[np.ndarray, "row step"],
        chosen: Int[np.ndarray, "row step"],
    ) -> None:
        """Keep each guess as far as the model agrees, and the model's next token."""
        step = np.arange(wanted.shape[1])
        n_guessed = (self.guess[rows] >= 0).sum(axis=1)
        wrong = (wanted != chosen) & (step >= self.n_written[rows, None])
        wrong[np.arange(len(rows)), n_guessed] = (
            # the token after the whole guess is the model's own, right or wrong
            True
        )
        n_right = wrong.argmax(axis=1)
        token = chosen[np.arange(len(rows)), n_right]
        guessed = self.guess[rows, : len(step)]
        self.cells[rows, : len(step)] = np.where(step < n_right[:, None], guessed, -1)
        is_cell = token >= self.first_cell
        self.cells[rows, n_right] = np.where(
            is_cell, token - self.first_cell, np.where(token == PATH_END, -1, NO_CELL)
        )
        self.n_written[rows] = n_right + 1
        is_over = n_right + 1 == self.cells.shape[1]
        if self.questions.n_most is None:
            self.cells[rows[is_over & is_cell], -1] = NO_CELL
        self.is_walking[rows] = is_cell & ~is_over & (n_right + 1 < self.n_until[rows])

    def guess_anew(self, rows: Int[np.ndarray, " row"]) -> None:
        """Guess the shortest path from the cell written last to the target, if there is one."""
        leads_to = self.questions.ways.next_cell[self.maze[rows], self.target[rows]]
        self.guess[rows] = self.cells[rows]
        every, n = np.arange(len(rows)), self.n_written[rows]
        here = self.cells[rows, n - 1]
        while len(
            every := every[
                (leads_to[every, here[every]] != here[every]) & (n[every] < self.guess.shape[1] - 1)
            ]
        ):
            here[every] = leads_to[every, here[every]]
            self.guess[rows[every], n[every]] = here[every]
            n[every] += 1
