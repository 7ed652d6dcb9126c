"""The mazes that a training reads: batches in order, spelled before they are asked for."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from mazewm.errors import BadInput
from mazewm.maze.mazes import Mazes
from mazewm.shapes import Tokens
from mazewm.tokens import PADDING, Spelled, prompt_length, spell

N_AHEAD = 8


class Batches:
    """Batch ``i`` of an endless, freshly spelled run through the training mazes."""

    def __init__(self, mazes: Mazes, batch_size: int, seed: int) -> None:
        self.mazes, self.seed = mazes, seed
        self.groups = [index for index in mazes.by_n_connections().values() if len(index) >= batch_size]
        self.batch_size = batch_size
        self.per_epoch = sum(len(index) // batch_size for index in self.groups)
        if self.per_epoch == 0:
            raise BadInput(
                f"params.yaml: training.batch_size: expected at most {max(map(len, mazes.by_n_connections().values()))}, "
                f"the most training mazes with equally many connections, found {batch_size}."
            )
        self._epoch, self._plan = -1, np.empty((0, batch_size), int)

    def __getitem__(self, i: int) -> Spelled:
        epoch, nth = divmod(i, self.per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, 1, epoch])
            whole = [rng.permutation(index)[: len(index) // self.batch_size * self.batch_size] for index in self.groups]
            plan = np.concatenate([index.reshape(-1, self.batch_size) for index in whole])
            self._epoch, self._plan = epoch, rng.permutation(plan)
        return spell(self.mazes[self._plan[nth]], np.random.default_rng([self.seed, 2, i]))

    def longest(self, n: int) -> Spelled:
        """``n`` mazes with as many connections as any that are trained on."""
        return spell(self.mazes[self.groups[-1][:n]], np.random.default_rng(self.seed))


class Batch(NamedTuple):
    """Whole sequences with equally many connections, on the device."""

    tokens: Tokens
    n_connections: int
    n_path_tokens: Int[np.ndarray, " maze"]  # of each sequence, without padding


def ahead(batches: Batches, first: int, last: int, device: torch.device) -> Iterator[Batch]:
    """Batches ``first`` to ``last - 1``. A thread spells the next N_AHEAD of them meanwhile, so that the device need not wait."""
    with ThreadPoolExecutor(1) as pool:
        spelled = deque(pool.submit(batches.__getitem__, i) for i in range(first, min(first + N_AHEAD, last)))
        for i in range(first, last):
            batch = spelled.popleft().result()
            if i + N_AHEAD < last:
                spelled.append(pool.submit(batches.__getitem__, i + N_AHEAD))
            yield on_device(batch, device)


def on_device(spelled: Spelled, device: torch.device) -> Batch:
    """A spelled batch, copied to the device while it goes on with what it does."""
    tokens: Tensor = torch.from_numpy(spelled.tokens)
    if device.type == "cuda":
        tokens = tokens.pin_memory()
    is_path = spelled.tokens[:, prompt_length(spelled.n_connections) :] != PADDING
    return Batch(tokens.to(device, non_blocking=True), spelled.n_connections, is_path.sum(axis=1))
