"""Training batches, encoded in the background before they are needed.

A row of a batch is the adjacency list of one maze followed by several questions about it, each with
its shortest path. All rows of a batch have equally many connections. The questions of a row are
sorted by length, and the n-th questions of all rows are padded to the same length; the sorting
keeps padding small.
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

N_AHEAD = 8  # batches encoded in advance
EPOCHS, QUESTIONS = 1, 2  # number the random streams, beside the stream of the seed alone


class Batch(NamedTuple):
    """Adjacency lists, each followed by questions with their paths."""

    lists: Tokens
    # the questions of each row, concatenated, each with its path but without its last token, after
    # which nothing is predicted
    questions: Tokens
    wanted: Tokens  # the next token after each of ``questions``; PADDING where there is none
    layout: Layout  # of the list and the questions, the same for every row

    @property
    def is_path(self) -> Bool[Tensor, " pos"]:
        """Which of ``wanted`` belong to a path (or ``<PATH_END>``, or padding after it). The others
        belong to the part of a question before its path."""
        n, position = self.lists.shape[1], self.layout.position
        return position[n:] - position[0] >= n + ASKING - 1

    @property
    def n_path_tokens(self) -> Int[Tensor, " batch"]:
        """The number of tokens of each row's paths, with ``<PATH_END>``, without padding."""
        return ((self.wanted != PADDING) & self.is_path).sum(dim=1)

    def rows(self, start: int, stop: int) -> "Batch":
        """The rows ``start`` to ``stop - 1``."""
        return Batch(
            self.lists[start:stop], self.questions[start:stop], self.wanted[start:stop], self.layout
        )

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device. On CUDA the copy is asynchronous."""
        lists, questions, wanted = (
            _copied(tokens, device) for tokens in (self.lists, self.questions, self.wanted)
        )
        return Batch(lists, questions, wanted, self.layout.to(device))


class Batches:
    """An endless sequence of training batches, ``batches[i]``, which is determined by ``i`` and the
    seed. Mazes are encoded anew, with new questions, each time they are read.

    The first token of a batch has a position from 0 to ``most_offset``, drawn for each batch.

    Every epoch reads every maze at least once. Where the mazes with a number of connections do not
    fill their last batch, some of them are read again."""

    def __init__(
        self, mazes: Mazes, batch_size: int, n_questions: int, seed: int, most_offset: int = 0
    ) -> None:
        self.mazes, self.seed, self.most_offset = mazes, seed, most_offset
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
        """A batch of ``n`` mazes with the largest number of connections in training; such a batch
        needs the most memory."""
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
        if self.most_offset:
            start = int(rng.integers(self.most_offset + 1))
            layout = Layout(layout.position + start, layout.question)
        questions, wanted = (
            np.concatenate([each[:, part] for each in asked], axis=1)
            for part in (slice(-1), slice(1, None))
        )
        return Batch(
            torch.from_numpy(lists), torch.from_numpy(questions), torch.from_numpy(wanted), layout
        )


def ahead(batches: Batches, first: int, last: int, device: torch.device) -> Iterator[Batch]:
    """Batches ``first`` to ``last - 1``, on a device. A thread encodes the next N_AHEAD batches in
    the meantime, so that the device does not wait."""
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
