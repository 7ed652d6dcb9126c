"""The model that is studied and the mazes that it reads, in batches of equally long sequences.

What rooms after this one look at is mostly the prompt: everything up to ``<PATH_START>``, before a
path is chosen.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from mazewm.inference.edits import Taps
from mazewm.io.streams import stream
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import Encoded, encode, encoding_rng
from mazewm.model.reading import Layout
from mazewm.model.sites import Place
from mazewm.model.transformer import Transformer


class Recorded(NamedTuple):
    """One batch: which mazes, how they were encoded, and the values at the wanted places."""

    mazes: np.ndarray  # indices into the subject's mazes
    encoded: Encoded
    values: dict[Place, Tensor]


@dataclass(frozen=True)
class Subject:
    """A model and the mazes on which it is studied, ``batch`` at a time; what is random follows
    from the seed."""

    model: Transformer
    mazes: Mazes
    seed: int
    batch: int

    def rng(self, name: str) -> np.random.Generator:
        """The random numbers of one use."""
        return stream(name, self.seed)

    def encoded(
        self, rng: np.random.Generator | None = None
    ) -> Iterator[tuple[Int[np.ndarray, " maze"], Encoded]]:
        """Batches of mazes with equally many connections: which mazes, and how they are encoded.
        Without ``rng`` in the order and direction that every room uses for this seed."""
        rng = rng or encoding_rng(self.seed)
        for part in self.mazes.batches(self.batch):
            yield part, encode(self.mazes[part], rng)

    def record(self, places: Iterable[Place], whole: bool = False) -> Iterator[Recorded]:
        """The values at places while the model reads the prompts (whole sequences, path and all, if
        ``whole``). Blocks after the last of the places are not run."""
        wanted, model = list(places), self.model
        stop = max((place.layer for place in wanted), default=-1) + 1
        for part, encoded in self.encoded():
            tokens = torch.from_numpy(encoded.tokens if whole else encoded.prompt).to(model.device)
            with torch.inference_mode():
                taps = Taps(record=wanted)
                reading = model.reading(Layout.sequence(tokens.shape[1], tokens.device), taps)
                model.run_blocks(model.embed(tokens, reading.layout), reading, stop=stop)
                taps.check()
                yield Recorded(part, encoded, taps.values)
