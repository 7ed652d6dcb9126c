"""Rollouts that are led astray (docs/science.md#detours, after Vafa et al. 2024, "Evaluating the
World Model Implicit in a Generative Model"): with some probability another legal step is forced in
place of the model's own, and the model has to find its way from there.

Forced steps are decided before the model writes: for each rollout and each of its steps a coin is
thrown. So a rollout is decoded up to the first step for which the coin came up, cut there, given
the forced cell, and decoded again from there, together with all others.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int

from mazewm.inference.asking import one_by_one
from mazewm.inference.behaviour import judge
from mazewm.inference.kinds import BACK, FREE, UNDISTURBED
from mazewm.inference.rollout import Questions, ask_all, rollouts
from mazewm.inference.subject import Subject
from mazewm.inference.walkers import NearSighted
from mazewm.io import tables
from mazewm.maze.mazes import Mazes
from mazewm.maze.routes import NO_WAY, routes
from mazewm.maze.truths import UNREACHABLE, distances
from mazewm.model.interface import Model
from mazewm.model.reading import Prefix


@dataclass(frozen=True)
class DetourRow:
    """The rollouts of one maze in which equally much can happen: same probability of a detour, and
    detours of one kind."""

    split: tables.Text
    maze_id: tables.Int
    family: tables.Text
    p: tables.Real  # of a detour at each step; 0 is the baseline
    kind: tables.Text  # UNDISTURBED, FREE or BACK
    n: tables.Int  # rollouts
    n_detours: tables.Int  # forced steps, of all of them
    n_valid: tables.Int  # rollouts that lead from origin to target along connections
    # of these: those that take as few steps as can be from the last forced cell, or the origin
    n_shortest: tables.Int
    n_near: tables.Int  # near-sighted walks from there that arrive
    n_near_shortest: tables.Int  # of these: those that take as few steps as can be


class Walked(NamedTuple):
    """Rollouts with forced steps."""

    cells: Int[np.ndarray, "walk step"]  # padded with -1
    n_detours: Int[np.ndarray, " walk"]
    # the step (an index of ``cells``) of the last detour; 0 if there was none
    last: Int[np.ndarray, " walk"]
    is_free: Bool[np.ndarray, " walk"]  # no detour was of the kind BACK


@dataclass(frozen=True)
class Led:
    """Rollouts of several questions about each maze of a batch: ``questions``, of which the guess
    is a shortest path, and the rollouts ``undisturbed``.

    A step is forced only where the rollout is legal up to the model's own choice (so that a detour
    hides no mistake), where another connection is open, and where the target can still be reached
    before the room for cells ends. So a model that always goes on by a shortest path is never at
    fault."""

    model: Model
    prefix: Prefix  # one row for each maze
    mazes: Mazes
    questions: Questions
    undisturbed: Int[np.ndarray, "maze question step"]

    @property
    def maze(self) -> Int[np.ndarray, " walk"]:
        """The maze of each rollout."""
        return np.repeat(np.arange(len(self.mazes)), self.questions.target.shape[1])

    @cached_property
    def one_by_one(self) -> Mazes:
        """The question of each rollout."""
        return one_by_one(self.mazes, self.questions)

    def repeated(self, n: int) -> "Led":
        """Every question ``n`` times."""
        asked, target, guess, cells = (
            np.concatenate([each] * n, axis=1)
            for each in (
                self.questions.asked,
                self.questions.target,
                self.questions.guess,
                self.undisturbed,
            )
        )
        questions = replace(self.questions, asked=asked, target=target, guess=guess)
        return replace(self, questions=questions, undisturbed=cells)

    def walk(self, p: float, rng: np.random.Generator) -> Walked:
        """One rollout for each question, with detours of probability ``p`` at each step."""
        cells = self.undisturbed.reshape(len(self.maze), -1).copy()
        step = np.arange(cells.shape[1])
        coins = rng.random(cells.shape, dtype=np.float32) < p
        picks = rng.random(cells.shape, dtype=np.float32)
        n_detours, last = np.zeros((2, len(cells)), int)
        is_free, is_stopped = np.ones(len(cells), bool), np.zeros(len(cells), bool)
        rows = np.flatnonzero(coins.any(axis=1))
        while len(rows):
            others = self.others(rows, cells[rows])
            is_forced = coins[rows] & others.any(axis=2) & (step > last[rows, None])
            is_hit, at = is_forced.any(axis=1), is_forced.argmax(axis=1)
            hit, at, others = rows[is_hit], at[is_hit], others[is_hit, at[is_hit]]
            forced = self._pick(cells[hit, at - 1], others, picks[hit, at])
            cells[hit] = np.where(step < at[:, None], cells[hit], -1)
            cells[hit, at], last[hit] = forced, at
            n_detours[hit] += 1
            is_free[hit] &= self.is_free(hit, cells[hit])
            rows = rows[is_hit | is_stopped[rows]]
            # Decoding further than the next coin would be for nothing, if a step is forced there.
            ahead = coins[rows] & (step >= (cells[rows] >= 0).sum(axis=1)[:, None])
            n_until = np.where(ahead.any(axis=1), ahead.argmax(axis=1) + 1, len(step))
            cells[rows] = self._resumed(rows, cells[rows], n_until)
            is_stopped[rows] = ((cells[rows] >= 0).sum(axis=1) == n_until) & (n_until < len(step))
        return Walked(cells, n_detours, last, is_free)

    def others(
        self, rows: Int[np.ndarray, " walk"], cells: Int[np.ndarray, "walk step"]
    ) -> Bool[np.ndarray, "walk step 4"]:
        """To which neighbours of the cell before it each step can be forced."""
        grid, maze = self.mazes.grid, self.maze[rows, None]
        here, there = cells[:, :-1], cells[:, 1:]
        is_step = (here >= 0) & (there >= 0)
        connection = np.where(is_step, grid.connection_of[here, there], -1)
        is_legal = (connection >= 0) & self.mazes.connections[maze, connection]
        is_legal[:, 0] &= cells[:, 0] == self.one_by_one.origin[rows]
        is_legal = np.logical_and.accumulate(is_legal, axis=1)
        around = grid.neighbours[np.where(is_legal, here, 0)]
        leads = grid.connection_of[np.where(is_legal, here, 0)[:, :, None], around]
        is_other = (around >= 0) & self.mazes.connections[maze[:, :, None], leads]
        is_other &= is_legal[:, :, None] & (around != there[:, :, None])
        to_go = self.questions.ways.distance[
            maze[:, :, None], self.one_by_one.target[rows, None, None], around
        ]
        n_written = np.arange(2, cells.shape[1] + 1)[:, None]
        is_other &= n_written + to_go <= grid.n_cells
        return np.concatenate([np.zeros_like(is_other[:, :1]), is_other], axis=1)

    def _pick(
        self, here: np.ndarray, others: Bool[np.ndarray, "some 4"], picks: np.ndarray
    ) -> Int[np.ndarray, " some"]:
        """One of the other neighbours of each cell ``here``, evenly if ``picks`` are even in 0 to
        1."""
        nth = (picks * others.sum(axis=1)).astype(int)
        side = (others & (others.cumsum(axis=1) == nth[:, None] + 1)).argmax(axis=1)
        return self.mazes.grid.neighbours[here, side]

    def is_free(
        self, rows: Int[np.ndarray, " some"], cells: Int[np.ndarray, "some step"]
    ) -> Bool[np.ndarray, " some"]:
        """Whether the target can be reached from the last of some cells without a cell twice."""
        grid, every = self.mazes.grid, np.arange(len(rows))
        n_cells = (cells >= 0).sum(axis=1)
        here = cells[every, n_cells - 1]
        n_visits = np.zeros((len(rows), grid.n_cells), int)
        np.add.at(n_visits, (every[:, None], np.maximum(cells, 0)), cells >= 0)
        is_barred = n_visits > 0
        is_barred[every, here] = False
        is_open = self.mazes.connections[self.maze[rows]] & ~is_barred[:, grid.ends].any(axis=2)
        to_go = distances(grid, is_open, here)[every, self.one_by_one.target[rows]]
        return (n_visits <= 1).all(axis=1) & (to_go < UNREACHABLE)

    def _resumed(
        self,
        rows: Int[np.ndarray, " some"],
        cells: Int[np.ndarray, "some step"],
        n_until: Int[np.ndarray, " some"],
    ) -> Int[np.ndarray, "some step"]:
        """The rollouts that begin with some cells, up to ``n_until`` cells. The batch has as many
        for each maze: where there are fewer, the first one is decoded again, and dropped."""
        if not len(rows):
            return cells
        maze, which, n = np.unique(self.maze[rows], return_inverse=True, return_counts=True)
        nth = np.arange(len(rows)) - (n.cumsum() - n)[which]
        place = np.full((len(maze), n.max()), -1)
        place[which, nth] = np.arange(len(rows))
        place = np.where(place < 0, place[:, :1], place)
        asked = self._going_on(maze, rows[place], cells[place])
        behind = self.prefix.of(torch.from_numpy(maze).to(self.model.device))
        return rollouts(self.model, behind, replace(asked, n_until=n_until[place]))[which, nth]

    def _going_on(
        self,
        maze: Int[np.ndarray, " maze"],
        rows: Int[np.ndarray, "maze question"],
        cells: Int[np.ndarray, "maze question step"],
    ) -> Questions:
        """Questions whose answers begin with ``cells``; the guess goes on by a shortest path."""
        grid, connections = self.mazes.grid, self.mazes.connections[maze]
        n_given, step = (cells >= 0).sum(axis=2), np.arange(cells.shape[2])
        here = np.take_along_axis(cells, n_given[:, :, None] - 1, axis=2)[:, :, 0].astype(int)
        origin, target = self.one_by_one.origin[rows].astype(int), self.one_by_one.target[rows]
        way = self.questions.ways.paths_from(maze, here, target)
        guess = cells.copy()
        for nth in range(1, way.shape[2]):
            at = (step == n_given[:, :, None] + nth - 1) & (way[:, :, nth, None] >= 0)
            guess = np.where(at, way[:, :, nth, None], guess)
        return replace(ask_all(grid, connections, origin, target, guess), n_given=n_given)


def measure_detours(
    subject: Subject, n_questions: int, n_walks: Mapping[float, int], split: str
) -> Iterator[pd.DataFrame]:
    """Rollouts with detours about the subject's mazes, which are of ``split``: rows of DetourRow,
    batch by batch. For each probability of a detour, every one of ``n_questions`` about each maze
    is walked ``n_walks`` times; the baseline without detours is added."""
    rng, model = subject.rng("detours"), subject.model
    for part, encoded in subject.encoded():
        mazes = subject.mazes[part]
        with torch.inference_mode():
            prefix = model.read(torch.from_numpy(encoded.lists).to(model.device))
        ways = routes(mazes.grid, mazes.connections)
        origin, target = ways.questions(rng, n_questions)
        guess = ways.paths(origin, target)
        questions = ask_all(mazes.grid, mazes.connections, origin, target, guess)
        led = Led(model, prefix, mazes, questions, rollouts(model, prefix, questions))
        for p, n in {0.0: 1, **n_walks}.items():
            each = led.repeated(n)
            rows = counted(each, each.walk(p, rng), rng).assign(p=p, split=split)
            maze = rows.pop("maze").to_numpy()
            yield rows.assign(maze_id=mazes.maze_id[maze], family=mazes.family[maze])


def counted(led: Led, walked: Walked, rng: np.random.Generator) -> pd.DataFrame:
    """The counts of DetourRow for each maze (its index, as ``maze``) and kind of detours."""
    every = np.arange(len(walked.cells))
    is_valid = judge(led.one_by_one, walked.cells).valid
    since = walked.cells[every, walked.last].astype(int)
    since = np.where(walked.n_detours > 0, since, led.one_by_one.origin)
    to_go = led.questions.ways.distance[led.maze, since, led.one_by_one.target]
    n_steps = (walked.cells >= 0).sum(axis=1) - 1 - walked.last
    near = NearSighted(led.mazes.grid, led.mazes.connections, led.maze, led.one_by_one.target)
    n_near = near.n_steps(since, rng)
    kind = np.where(walked.is_free, FREE, BACK)
    columns = {
        "maze": led.maze,
        "kind": np.where(walked.n_detours > 0, kind, UNDISTURBED),
        "n": np.ones(len(every), int),
        "n_detours": walked.n_detours,
        "n_valid": is_valid,
        "n_shortest": is_valid & (n_steps == to_go),
        "n_near": n_near != NO_WAY,
        "n_near_shortest": n_near == to_go,
    }
    return pd.DataFrame(columns).groupby(["maze", "kind"], as_index=False).sum()
