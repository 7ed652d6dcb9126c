"""Pairs of mazes before and after an edit, put to a model: which of their questions count, and what
an edit inside the model does to the answers (docs/science.md#hit-and-spill).

A question *counts* if it has one shortest path before and one after the edit, the model takes the
first when it is not edited, and the second when the edited maze is in the prompt. It is *affected*
if these two paths differ. A question that could not be answered before (the end of a corridor)
counts whenever its path after the edit is the only shortest one.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mazewm.counterfactuals.pairs import Pairs
from mazewm.counterfactuals.spelling import Lists, lists_of
from mazewm.inference.posed import Compared, Posed, Pushes
from mazewm.inference.resuming import ReadLists
from mazewm.inference.rollout import ask_all
from mazewm.inference.walkers import TELLING, blind_chance, near_sighted_chance
from mazewm.maze.routes import NO_WAY, routes
from mazewm.model.interface import Model
from mazewm.model.reading import Prefix

OfQuestions = Bool[np.ndarray, "maze question"]
OfPairs = Int[np.ndarray, " maze"]


class Paths(NamedTuple):
    """The questions about each pair, and the paths that are their answers."""

    origin: Int[np.ndarray, "maze question"]
    target: Int[np.ndarray, "maze question"]
    before: Int[np.ndarray, "maze question step"]  # of the original maze; -1 only: there is none
    after: Int[np.ndarray, "maze question step"]  # of the edited maze
    is_unique: OfQuestions  # each is the only shortest one
    differs: OfQuestions

    @property
    def is_new(self) -> OfQuestions:
        """Whether there is no path before the edit."""
        return self.before[:, :, 0] < 0

    @property
    def expected(self) -> Int[np.ndarray, "maze question step"]:
        """The path after the edit where it differs, elsewhere the one that should stay."""
        return np.where(self.differs[:, :, None], self.after, self.before)


def paths_of(pairs: Pairs) -> Paths:
    """All questions about the pairs of one batch, with their answers."""
    origin, target = pairs.ends()
    maze = np.arange(len(pairs))[:, None]
    found, unique, ways = [], [], []
    for connections in (pairs.before, pairs.after):
        all_ways = routes(pairs.grid, connections)
        is_way = all_ways.distance[maze, origin, target] != NO_WAY
        cells = all_ways.paths(origin, np.where(is_way, target, origin))
        found.append(np.where(is_way[:, :, None], cells, -1))
        unique.append(all_ways.is_unique[maze, origin, target] | ~is_way)
        ways.append(is_way)
    width = max(each.shape[2] for each in found)
    before, after = (
        np.pad(each, ((0, 0), (0, 0), (0, width - each.shape[2])), constant_values=-1)
        for each in found
    )
    is_unique = unique[0] & unique[1] & ways[1]
    return Paths(origin, target, before, after, is_unique, (before != after).any(axis=2))


@dataclass(frozen=True)
class Counts:
    """What happened to each pair of a batch under one edit."""

    n_affected: OfPairs
    n_hit: OfPairs  # of the affected: take the path of the edited maze
    n_affected_first: OfPairs  # of the affected: the paths differ from the first step on
    n_hit_first: OfPairs
    n_affected_telling: OfPairs
    n_hit_telling: OfPairs
    n_unaffected: OfPairs
    n_spill: OfPairs  # of the unaffected: no longer take their path
    n_crossings: OfPairs  # of both: leave the expected path through a wall of the edited maze
    n_edited: OfPairs  # edited connections between cells that are asked for both ways
    n_edited_believed: OfPairs  # of these: believed as the edit says
    n_others: OfPairs  # other pairs of adjacent cells that are asked for both ways
    n_others_changed: OfPairs  # of these: the belief is no longer that of the unedited model
    n_others_open: OfPairs  # of these: connected in the maze
    n_others_kept: OfPairs  # of the connected: believed
    n_others_false: OfPairs  # of those that are not: believed


class Trial:
    """A batch of pairs: their lists, read before the edit, and all questions about them."""

    def __init__(
        self, model: Model, pairs: Pairs, rng: np.random.Generator, layers: set[int]
    ) -> None:
        self.model, self.pairs, self.paths = model, pairs, paths_of(pairs)
        self.lists: Lists = lists_of(pairs, rng)
        self.read = ReadLists.of(model, self.lists.before, layers)
        first = min(layers)
        plain, told = (
            self._pose(lists, paths, {first}, self.is_posed).compare(lists.prefix, first)
            for lists, paths in (
                (self.read, self.paths.before),
                (ReadLists.of(model, self.lists.after, {first}), self.paths.after),
            )
        )
        is_new = self.paths.is_new
        self.solved = plain.agrees & ~is_new  # in the prompt's maze
        self.told = told  # the answers when the edited maze is in the prompt
        self.counts = self.counts_told & (is_new | told.agrees)
        # after an edit only what is counted is asked
        is_asked = self.counts | self.is_adjacent
        self._posed = self._pose(self.read, self.paths.expected, layers, is_asked)
        self.plain = self._posed.compare(self.read.prefix, first)

    def _pose(
        self,
        lists: ReadLists,
        paths: np.ndarray,
        layers: set[int],
        is_asked: OfQuestions,
    ) -> Posed:
        grid, (origin, target) = self.pairs.grid, self.paths[:2]
        # where there is no path the question is asked with its origin alone
        guess = np.where(paths[:, :, :1] < 0, -1, paths)
        guess[:, :, 0] = origin
        questions = ask_all(grid, self.pairs.before, origin, target, guess)
        return Posed.of(lists, questions, layers, is_asked)

    def compare(self, prefix: Prefix, layer: int, pushes: Pushes | None = None) -> Compared:
        """The answers when the lists, or with ``pushes`` the questions, were edited after block
        ``layer``, to the questions that count and to those between adjacent cells; those to others
        are empty."""
        return self._posed.compare(prefix, layer, pushes)

    def count(self, answers: Compared) -> Counts:
        """What an edit did, from its answers (``compare``)."""
        return self._count(answers, self.counts)

    def count_told(self) -> Counts:
        """The same with the edited maze in the prompt, over all questions that the model solves
        before; on those that count all is as predicted, by definition."""
        return self._count(self.told, self.counts_told)

    def _count(self, answers: Compared, counted: OfQuestions) -> Counts:
        differs, agrees = self.paths.differs, answers.agrees
        affected, unaffected = counted & differs, counted & ~differs
        said = self._says(answers)
        asked, edited = self._is_asked, self._is_edited
        others = asked & ~edited
        after = self.pairs.after
        return Counts(
            *(
                flags.sum(axis=1)
                for flags in (
                    affected,
                    affected & agrees,
                    affected & self.is_first,
                    affected & self.is_first & agrees,
                    affected & self.is_telling,
                    affected & self.is_telling & agrees,
                    unaffected,
                    unaffected & ~agrees,
                    counted & self.crosses(answers),
                    asked & edited,
                    asked & edited & (said == after),
                    others,
                    others & (said != self._said_plain),
                    others & after,
                    others & after & said,
                    others & ~after & said,
                )
            )
        )

    @property
    def counts_told(self) -> OfQuestions:
        """Which questions count for the edited maze in the prompt: all that the model solves
        without the edit."""
        return self.is_posed & self.paths.is_unique & (self.paths.is_new | self.solved)

    @cached_property
    def is_posed(self) -> OfQuestions:
        """Which questions are asked at all."""
        return self.pairs.is_posed()

    @cached_property
    def is_first(self) -> OfQuestions:
        """Whether the two paths of a question differ from the first step on."""
        return (self.paths.before[:, :, 1:2] != self.paths.after[:, :, 1:2]).any(axis=2)

    @cached_property
    def chances(self) -> tuple[Float[np.ndarray, "maze q"], Float[np.ndarray, "maze q"]]:
        """How likely the blind and the near-sighted walker are to take the path of the edited
        maze, whose walls the latter sees. Of a question that is not affected this is its only path,
        so that otherwise they would spill."""
        after = self.paths.after
        after = np.where(after[:, :, :1] < 0, self.paths.origin[:, :, None], after)
        return (
            blind_chance(self.pairs.grid, after),
            near_sighted_chance(self.pairs.grid, self.pairs.after, after),
        )

    @property
    def is_telling(self) -> OfQuestions:
        """Whether the blind and the near-sighted walker each take the path of the edited maze less
        than half of the time."""
        return np.maximum(*self.chances) < TELLING

    def by_walking(
        self, chance: Float[np.ndarray, "maze q"]
    ) -> tuple[Float[np.ndarray, " maze"], Float[np.ndarray, " maze"]]:
        """Of each pair, how many affected questions a walker with one of ``chances`` answers as
        predicted, and of how many others it does not take the path, on average."""
        differs = self.paths.differs
        hits, spills = (self.counts & differs) * chance, (self.counts & ~differs) * (1 - chance)
        return hits.sum(axis=1), spills.sum(axis=1)

    def crosses(self, answers: Compared) -> OfQuestions:
        """Whether an answer leaves the expected path to an adjacent cell from which a wall of the
        edited maze divides it."""
        maze = np.arange(len(self.pairs))[:, None]
        here = np.take_along_axis(
            self.paths.expected, np.maximum(answers.n_right - 1, 0)[:, :, None], axis=2
        )[:, :, 0]
        is_step = ~answers.agrees & (answers.n_right > 0) & (answers.instead >= 0) & (here >= 0)
        connection = np.where(is_step, self.pairs.grid.connection_of[here, answers.instead], -1)
        return (connection >= 0) & ~self.pairs.after[maze, connection]

    @property
    def is_adjacent(self) -> OfQuestions:
        """Whether a question is about the belief in a connection."""
        return self.is_posed & (self._connection >= 0)

    @cached_property
    def _connection(self) -> Int[np.ndarray, "maze question"]:
        return self.pairs.grid.connection_of[self.paths.origin, self.paths.target]

    def _tally(self, flags: OfQuestions) -> Int[np.ndarray, "maze connection"]:
        """For each pair of adjacent cells, in how many directions a flag of its question holds."""
        found = np.zeros(self.pairs.before.shape, int)
        maze, question = np.nonzero(self.is_adjacent & flags)
        np.add.at(found, (maze, self._connection[maze, question]), 1)
        return found

    @cached_property
    def _is_asked(self) -> Bool[np.ndarray, "maze connection"]:
        return self._tally(np.ones_like(self.paths.differs)) == 2

    def _says(self, answers: Compared) -> Bool[np.ndarray, "maze connection"]:
        """Which connections are believed: the step is the likeliest in both directions."""
        return self._tally(answers.is_straight) == 2

    @cached_property
    def _said_plain(self) -> Bool[np.ndarray, "maze connection"]:
        return self._says(self.plain)

    @cached_property
    def _is_edited(self) -> Bool[np.ndarray, "maze connection"]:
        return self.pairs.before ^ self.pairs.after
