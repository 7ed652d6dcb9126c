"""The model that is studied, and the mazes that it reads."""

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
    """A model and the mazes on which it is studied, ``batch`` at a time; what is random follows
    from the seed."""

    model: Transformer
    mazes: Mazes
    seed: int
    batch: int

    def rng(self, *stream: int) -> np.random.Generator:
        """One of the streams of random numbers that follow from the seed."""
        return np.random.default_rng([self.seed, *stream])

    def encoded(
        self, rng: np.random.Generator
    ) -> Iterator[tuple[Int[np.ndarray, " maze"], Encoded]]:
        """Batches of equally many connections, encoded at random: which mazes, and how."""
        return encoded_batches(self.mazes, rng, self.batch)

    def record(self, places: Iterable[Place]) -> Iterator[Recorded]:
        """The values at places while the model reads the prompts."""
        return record(self.model, self.mazes, places, self.rng(), self.batch)
