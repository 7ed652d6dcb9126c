"""Room 4a, recording: a model read over many mazes, in batches of equally long prompts.

What rooms after this one look at is always a prompt: everything up to ``<PATH_START>``, before a path is chosen.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mazewm.maze.mazes import Mazes
from mazewm.model.edits import Taps
from mazewm.model.reading import Layout
from mazewm.model.sites import Place
from mazewm.model.transformer import Transformer
from mazewm.tokens import Spelled, spell


class Recorded(NamedTuple):
    """One batch: which mazes, how they were spelled, and the values at the wanted places."""

    mazes: np.ndarray  # indices into the mazes that were given
    spelled: Spelled
    values: dict[Place, Tensor]


def spellings(mazes: Mazes, rng: np.random.Generator, batch: int) -> Iterator[tuple[np.ndarray, Spelled]]:
    """The mazes in batches of equally many connections, spelled at random: which mazes, and how."""
    for index in mazes.by_n_connections().values():
        for start in range(0, len(index), batch):
            part = index[start : start + batch]
            yield part, spell(mazes[part], rng)


def record(
    model: Transformer, mazes: Mazes, places: Iterable[Place], rng: np.random.Generator, batch: int, whole: bool = False
) -> Iterator[Recorded]:
    """Spell the mazes at random and record ``places`` on the prompts (on whole sequences, path and all, if ``whole``).

    Blocks after the last of the places are not run.
    """
    wanted = list(places)
    stop = max((place.layer for place in wanted), default=-1) + 1
    for part, spelled in spellings(mazes, rng, batch):
        tokens = torch.from_numpy(spelled.tokens if whole else spelled.prompt).to(model.device)
        with torch.inference_mode():
            taps = Taps(record=wanted)
            reading = model.reading(Layout.sequence(tokens.shape[1], tokens.device), taps)
            model.run_blocks(model.embed(tokens, reading.layout), reading, stop=stop)
            taps.check()
            yield Recorded(part, spelled, taps.values)
