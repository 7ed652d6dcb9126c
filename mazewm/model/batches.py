"""The mazes that a training reads: batches in order, spelled before they are asked for.

A row of a batch is the adjacency list of one maze and several questions about it, each with its shortest path. All rows of a
batch have equally many connections. The longer half of a maze's questions and the shorter one are padded apart.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from mazewm.maze.mazes import Mazes
from mazewm.maze.routes import routes
from mazewm.model.reading import Layout
from mazewm.shapes import Tokens
from mazewm.tokens import ASKING, PADDING, random_spelling, spell_asking, spell_lists, spell_paths

N_AHEAD = 8


class Batch(NamedTuple):
    """Lists with questions behind them."""

    lists: Tokens
    questions: list[Int[Tensor, "batch question pos"]]  # with their paths, those of one group padded to one length

    @property
    def n_path_tokens(self) -> Int[Tensor, " batch"]:
        """Tokens of each row's paths, without padding."""
        return torch.stack([(group[:, :, ASKING:] != PADDING).sum(dim=(1, 2)) for group in self.questions]).sum(dim=0)

    def rows(self, start: int, stop: int) -> "Batch":
        """Some of the rows."""
        return Batch(self.lists[start:stop], [group[start:stop] for group in self.questions])

    def to(self, device: torch.device) -> "Batch":
        """The batch, copied to the device while it goes on with what it does."""
        return Batch(_copied(self.lists, device), [_copied(group, device) for group in self.questions])

    def inputs(self) -> tuple[Tokens, Layout]:
        """One row of tokens for each maze: the list, and every question without its last token, which predicts nothing."""
        n = self.lists.shape[1]
        blocks = [(group.shape[1], group.shape[2] - 1) for group in self.questions]
        layout = Layout.sequence(n, self.lists.device) + Layout.questions(n, blocks, self.lists.device)
        return torch.cat([self.lists, *(group[:, :, :-1].flatten(1) for group in self.questions)], dim=1), layout


class Batches:
    """Batch ``i`` of an endless, freshly spelled run through the training mazes.

    Every epoch reads every maze at least once: where the mazes with equally many connections do not fill their last batch, some of
    them are read a second time.
    """

    def __init__(self, mazes: Mazes, batch_size: int, n_questions: int, seed: int) -> None:
        self.mazes, self.seed = mazes, seed
        self.batch_size, self.n_questions = batch_size, n_questions
        self.groups = list(mazes.by_n_connections().values())
        self.per_epoch = sum(-(-len(index) // batch_size) for index in self.groups)
        self._epoch, self._plan = -1, np.empty((0, batch_size), int)

    def __getitem__(self, i: int) -> Batch:
        epoch, nth = divmod(i, self.per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, 1, epoch])
            filled = [np.resize(rng.permutation(g), (-(-len(g) // self.batch_size), self.batch_size)) for g in self.groups]
            self._epoch, self._plan = epoch, rng.permutation(np.concatenate(filled))
        return self._ask(self.mazes[self._plan[nth]], np.random.default_rng([self.seed, 2, i]))

    def longest(self, n: int) -> Batch:
        """``n`` mazes with as many connections as any that are trained on."""
        return self._ask(self.mazes[np.resize(self.groups[-1], n)], np.random.default_rng(self.seed))

    def _ask(self, mazes: Mazes, rng: np.random.Generator) -> Batch:
        lists = spell_lists(mazes.grid, *random_spelling(mazes, rng))
        ways, groups = routes(mazes.grid, mazes.connections), []
        halves = (np.array_split(cells, min(2, self.n_questions), axis=1) for cells in ways.questions(rng, self.n_questions))
        for origin, target in zip(*halves, strict=True):
            paths = spell_paths(mazes.grid, ways.paths(origin, target))
            groups.append(torch.from_numpy(np.concatenate([spell_asking(mazes.grid, origin, target), paths], axis=2)))
        return Batch(torch.from_numpy(lists), groups)


def ahead(batches: Batches, first: int, last: int, device: torch.device) -> Iterator[Batch]:
    """Batches ``first`` to ``last - 1``. A thread spells the next N_AHEAD of them meanwhile, so that the device need not wait."""
    with ThreadPoolExecutor(1) as pool:
        spelled = deque(pool.submit(batches.__getitem__, i) for i in range(first, min(first + N_AHEAD, last)))
        for i in range(first, last):
            batch = spelled.popleft().result()
            if i + N_AHEAD < last:
                spelled.append(pool.submit(batches.__getitem__, i + N_AHEAD))
            yield batch.to(device)


def _copied(tokens: Tensor, device: torch.device) -> Tensor:
    return (tokens.pin_memory() if device.type == "cuda" else tokens).to(device, non_blocking=True)
