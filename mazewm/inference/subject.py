"""A model with the mazes that it is studied on, and the random numbers that this needs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from mazewm.inference.recording import Recorded, encoded_batches, record
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import Encoded
from mazewm.model.sites import Place
from mazewm.model.transformer import Transformer


@dataclass(frozen=True)
class Subject:
    """A model and the mazes that it is studied on. It reads ``batch`` mazes at a time; everything
    random is determined by ``seed``."""

    model: Transformer
    mazes: Mazes
    seed: int
    batch: int

    def rng(self, *stream: int) -> np.random.Generator:
        """A new random generator, determined by the seed and the number or numbers ``stream``."""
        return np.random.default_rng([self.seed, *stream])

    def encoded(
        self, rng: np.random.Generator
    ) -> Iterator[tuple[Int[np.ndarray, " maze"], Encoded]]:
        """The mazes, encoded at random, in batches with equally many connections: their indices,
        and their encoding."""
        return encoded_batches(self.mazes, rng, self.batch)

    def record(self, places: Iterable[Place]) -> Iterator[Recorded]:
        """The values at ``places`` while the model reads the prompts, batch by batch."""
        return record(self.model, self.mazes, places, self.rng(), self.batch)
