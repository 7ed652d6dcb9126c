"""A model read over many mazes, in batches of equally long prompts.

What rooms after this one look at is always a prompt: everything up to ``<PATH_START>``, before a
path is chosen.
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
    """One batch: which mazes, how they were encoded, and the values at the wanted places."""

    mazes: np.ndarray  # indices into the mazes that were given
    encoded: Encoded
    values: dict[Place, Tensor]


def encoded_batches(
    mazes: Mazes, rng: np.random.Generator, batch: int
) -> Iterator[tuple[np.ndarray, Encoded]]:
    """The mazes in batches of equally many connections, spelled at random: which mazes, and how."""
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
    """Spell the mazes at random and record ``places`` on the prompts (on whole sequences, path and
    all, if ``whole``).

    Blocks after the last of the places are not run.
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
