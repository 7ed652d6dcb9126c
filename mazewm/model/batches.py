"""The mazes that a training reads: batches in order, spelled before they are asked for.

A row of a batch is the adjacency list of one maze and several questions about it, each with its
shortest path. All rows of a batch have equally many connections. The questions of a row stand in
the order of their length, and those that come first, second and so on in all rows are padded to one
length, so that little is padded.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mazewm.maze.mazes import Mazes
from mazewm.maze.routes import routes
from mazewm.maze.tokens import (
    ASKING,
    PADDING,
    encode_lists,
    encode_paths,
    encode_questions,
    random_order,
)
from mazewm.model.reading import Layout
from mazewm.model.shapes import Tokens

N_AHEAD = 8
EPOCHS, QUESTIONS = 1, 2  # streams of random numbers beside that of the seed alone


class Batch(NamedTuple):
    """Lists with questions behind them."""

    lists: Tokens
    # of each row, one after another, each with its path but without its last token, which predicts
    # nothing
    questions: Tokens
    wanted: Tokens  # what comes after each of ``questions``; PADDING where nothing is predicted
    layout: Layout  # of a row: the list and the questions

    @property
    def is_path(self) -> Bool[Tensor, " pos"]:
        """Which of ``wanted`` are of a path, ``<PATH_END>`` included; the others are the same
        questions' first tokens."""
        n = self.lists.shape[1]
        return self.layout.position[n:] >= n + ASKING - 1

    @property
    def n_path_tokens(self) -> Int[Tensor, " batch"]:
        """Tokens of each row's paths, without padding."""
        return ((self.wanted != PADDING) & self.is_path).sum(dim=1)

    def rows(self, start: int, stop: int) -> "Batch":
        """Some of the rows."""
        return Batch(
            self.lists[start:stop], self.questions[start:stop], self.wanted[start:stop], self.layout
        )

    def to(self, device: torch.device) -> "Batch":
        """The batch, copied to the device while it goes on with what it does."""
        lists, questions, wanted = (
            _copied(tokens, device) for tokens in (self.lists, self.questions, self.wanted)
        )
        return Batch(lists, questions, wanted, self.layout.to(device))


class Batches:
    """Batch ``i`` of an endless, freshly spelled run through the training mazes.

    Every epoch reads every maze at least once: where the mazes with equally many connections do not
    fill their last batch, some of them are read a second time."""

    def __init__(self, mazes: Mazes, batch_size: int, n_questions: int, seed: int) -> None:
        self.mazes, self.seed = mazes, seed
        self.batch_size, self.n_questions = batch_size, n_questions
        self.groups = list(mazes.by_n_connections().values())
        self.per_epoch = sum(-(-len(index) // batch_size) for index in self.groups)
        self._epoch, self._plan = -1, np.empty((0, batch_size), int)

    def __getitem__(self, i: int) -> Batch:
        epoch, nth = divmod(i, self.per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, EPOCHS, epoch])
            filled = [
                np.resize(rng.permutation(g), (-(-len(g) // self.batch_size), self.batch_size))
                for g in self.groups
            ]
            self._epoch, self._plan = epoch, rng.permutation(np.concatenate(filled))
        rng = np.random.default_rng([self.seed, QUESTIONS, i])
        return self._ask(self.mazes[self._plan[nth]], rng)

    def longest(self, n: int) -> Batch:
        """``n`` mazes with as many connections as any that are trained on."""
        mazes = self.mazes[np.resize(self.groups[-1], n)]
        return self._ask(mazes, np.random.default_rng(self.seed))

    def _ask(self, mazes: Mazes, rng: np.random.Generator) -> Batch:
        grid, ways = mazes.grid, routes(mazes.grid, mazes.connections)
        lists = encode_lists(grid, *random_order(mazes, rng))
        origin, target = ways.questions(rng, self.n_questions)
        asking, path = encode_questions(grid, origin, target), ways.paths(origin, target)
        asked = [
            np.concatenate([asking[:, nth], encode_paths(grid, path[:, nth])], axis=1)
            for nth in range(self.n_questions)
        ]
        n, here = lists.shape[1], torch.device("cpu")
        layout = Layout.sequence(n, here) + Layout.questions(
            n, [(1, each.shape[1] - 1) for each in asked], here
        )
        questions, wanted = (
            np.concatenate([each[:, part] for each in asked], axis=1)
            for part in (slice(-1), slice(1, None))
        )
        return Batch(
            torch.from_numpy(lists), torch.from_numpy(questions), torch.from_numpy(wanted), layout
        )


def ahead(batches: Batches, first: int, last: int, device: torch.device) -> Iterator[Batch]:
    """Batches ``first`` to ``last - 1``. A thread spells the next N_AHEAD of them meanwhile, so
    that the device need not wait."""
    with ThreadPoolExecutor(1) as pool:
        encoded = deque(
            pool.submit(batches.__getitem__, i) for i in range(first, min(first + N_AHEAD, last))
        )
        for i in range(first, last):
            batch = encoded.popleft().result()
            if i + N_AHEAD < last:
                encoded.append(pool.submit(batches.__getitem__, i + N_AHEAD))
            yield batch.to(device)


def _copied(tokens: Tensor, device: torch.device) -> Tensor:
    return (tokens.pin_memory() if device.type == "cuda" else tokens).to(device, non_blocking=True)
