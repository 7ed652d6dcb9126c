"""Recording of activations while a model reads many mazes, in batches of prompts of equal length.

By default the model reads the prompt only, up to and including ``<PATH_START>``: no token of the
path has been written yet.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mazewm.inference.edits import Taps
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import Encoded, encode
from mazewm.model.reading import Layout
from mazewm.model.sites import Place
from mazewm.model.transformer import Transformer


class Recorded(NamedTuple):
    """One batch: which mazes it has, their encoding, and the values at the recorded places."""

    mazes: np.ndarray  # indices into the mazes that were given
    encoded: Encoded
    values: dict[Place, Tensor]


def encoded_batches(
    mazes: Mazes, rng: np.random.Generator, batch: int
) -> Iterator[tuple[np.ndarray, Encoded]]:
    """The mazes, encoded at random, in batches with equally many connections: their indices, and
    their encoding."""
    for part in mazes.batches(batch):
        yield part, encode(mazes[part], rng)


def record(
    model: Transformer,
    mazes: Mazes,
    places: Iterable[Place],
    rng: np.random.Generator,
    batch: int,
    whole: bool = False,
) -> Iterator[Recorded]:
    """Encode the mazes at random, and record the values at ``places`` while the model reads the
    prompts, or with ``whole`` the sequences with their paths.

    Blocks after the last of the places are not computed.
    """
    wanted = list(places)
    stop = max((place.layer for place in wanted), default=-1) + 1
    for part, encoded in encoded_batches(mazes, rng, batch):
        tokens = torch.from_numpy(encoded.tokens if whole else encoded.prompt).to(model.device)
        with torch.inference_mode():
            taps = Taps(record=wanted)
            reading = model.reading(Layout.sequence(tokens.shape[1], tokens.device), taps)
            model.run_blocks(model.embed(tokens, reading.layout), reading, stop=stop)
            taps.check()
            yield Recorded(part, encoded, taps.values)
