"""A model with the mazes that it is studied on, and the random numbers that this needs.

The model reads the mazes in batches of sequences of equal length, and activations are recorded
meanwhile. By default it reads the prompt only, up to and including ``<PATH_START>``: no token of
the path has been written yet.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from mazewm.inference.edits import Taps
from mazewm.io.errors import BadInput
from mazewm.io.streams import stream
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import Encoded, encode, encoding_rng
from mazewm.model.interface import Model
from mazewm.model.reading import Layout
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer


class Recorded(NamedTuple):
    """One batch: which mazes it has, their encoding, and the values at the recorded places."""

    mazes: np.ndarray  # indices into the subject's mazes
    encoded: Encoded
    values: dict[Place, Tensor]


@dataclass(frozen=True)
class Subject:
    """A model and the mazes that it is studied on. It reads ``batch`` mazes at a time; everything
    random is determined by ``seed``."""

    model: Model
    mazes: Mazes
    seed: int
    batch: int

    @property
    def transformer(self) -> Transformer:
        """The model with its attention heads. BadInput for one that shows its residual stream
        only."""
        if not isinstance(self.model, Transformer):
            raise BadInput(
                "model: expected a transformer whose attention heads mazewm can see, which "
                "circuits are made of, found one that was trained elsewhere."
            )
        return self.model

    def rng(self, name: str) -> np.random.Generator:
        """A new random generator for one use, determined by the seed and the name of the use (see
        ``mazewm.io.streams``)."""
        return stream(name, self.seed)

    def encoded(
        self, rng: np.random.Generator | None = None
    ) -> Iterator[tuple[Int[np.ndarray, " maze"], Encoded]]:
        """The mazes, encoded at random, in batches with equally many connections: their indices,
        and their encoding. Without ``rng`` the encoding is determined by the seed, and the same for
        every study of these mazes (see ``encoding_rng``)."""
        rng = rng or encoding_rng(self.seed)
        for part in self.mazes.batches(self.batch):
            yield part, encode(self.mazes[part], rng)

    def record(self, places: Iterable[Place], whole: bool = False) -> Iterator[Recorded]:
        """The values at ``places`` while the model reads the prompts, or with ``whole`` the
        sequences with their paths, batch by batch. BadInput if a value is not finite, such as those
        of a model whose activations exceed what its precision can hold.

        Blocks after the last of the places are not computed.
        """
        wanted, model = list(places), self.model
        stop = max((place.layer for place in wanted), default=-1) + 1
        for part, encoded in self.encoded():
            tokens = torch.from_numpy(encoded.tokens if whole else encoded.prompt).to(model.device)
            with torch.inference_mode():
                taps = Taps(record=wanted)
                reading = model.reading(Layout.sequence(tokens.shape[1], tokens.device), taps)
                model.run_blocks(model.embed(tokens, reading.layout), reading, stop=stop)
                taps.check()
                for place, values in taps.values.items():
                    # scores are infinite where attention is masked
                    if place.site != Site.SCORES and not values.isfinite().all():
                        raise BadInput(
                            f"model: expected finite activations at {place}, found "
                            f"{int((~values.isfinite()).sum()):,} of {values.numel():,} that are "
                            "infinite or not a number; its weights are too large."
                        )
                yield Recorded(part, encoded, taps.values)
