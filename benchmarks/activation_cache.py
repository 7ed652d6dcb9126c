"""Activations written to disk and read back, against TransformerLens: ``python -m benchmarks
activation_cache``.

Both run the same model over the same tokens, write the residual stream after the first two blocks
to disk in float16, and read it back. Theirs uses ``run_with_cache``, ``torch.save`` for every batch
and ``torch.load``: once with the defaults, where all activations are cached and only the wanted
ones saved, and once at its best, with these two hooks only and stopping after the last one. Ours
also labels all tokens and shuffles them, so that training can read them in order.
"""

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import counterparts, ours
from benchmarks.pairing import OURS, Line, race, rows
from mazewm.inference.subject import Subject
from mazewm.localize import activations
from mazewm.maze.tokens import PADDING, TokenClass
from mazewm.model.sites import Place, Site

N_MAZES, BATCH = 2_000, 250
PLACES = [Place(0, Site.RESID_POST), Place(1, Site.RESID_POST)]
WANTED = activations.Wanted(PLACES, list(TokenClass))
HOOKS = {f"blocks.{place.layer}.hook_{place.site}": place for place in PLACES}
PEER = "transformer-lens"
WAYS = {  # arguments of run_with_cache
    f"{PEER}, defaults": {},
    f"{PEER}, at its best": {
        "names_filter": list(HOOKS),
        "stop_at_layer": PLACES[-1].layer + 1,
    },
}
TOLERANCE = 2e-3  # of a float16 value, relative to the largest
Read = dict[Place, np.ndarray]  # [token, d_model], ordered by maze and position


def encoded(subject: Subject) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Maze ids and tokens of every batch, with the same encodings as in our cache."""
    for part, encoded in subject.encoded():
        yield subject.mazes.maze_id[part], torch.from_numpy(encoded.tokens)


def our_cache(folder: Path, subject: Subject) -> Callable[[], float]:
    """A contender that writes our cache anew and reads it, and returns the number of tokens."""

    def cache() -> float:
        shutil.rmtree(folder, ignore_errors=True)
        n = activations.cache(folder, subject, WANTED)
        for place in PLACES:
            activations.read(folder / str(place))
        return n

    return cache


def their_cache(folder: Path, subject: Subject, arguments: dict[str, Any]) -> Callable[[], float]:
    """The same contender for TransformerLens, with one file for each batch; ``arguments`` are those
    of ``run_with_cache``."""
    model = counterparts.hooked(subject.model).eval().requires_grad_(False)

    def cache() -> float:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        n = 0
        for nth, (_, tokens) in enumerate(encoded(subject)):
            _, cached = model.run_with_cache(tokens, return_cache_object=False, **arguments)
            keep = tokens != PADDING
            torch.save(
                {name: cached[name][keep].half() for name in HOOKS}, folder / f"{nth:05d}.pt"
            )
            n += int(keep.sum())
        their_read(folder)
        return n

    return cache


def their_read(folder: Path) -> dict[str, Tensor]:
    """The values of every hook, all batches joined."""
    parts = [torch.load(path) for path in sorted(folder.glob("*.pt"))]
    return {name: torch.cat([part[name] for part in parts]) for name in HOOKS}


def check(our_folder: Path, their_folder: Path, subject: Subject) -> str:
    """Compare all values and say how close they are; RuntimeError if they differ by more than
    TOLERANCE."""
    maze, position = [], []
    for maze_id, tokens in encoded(subject):
        row, at = torch.nonzero(tokens != PADDING, as_tuple=True)
        maze.append(maze_id[row.numpy()])
        position.append(at.numpy())
    order = np.lexsort((np.concatenate(position), np.concatenate(maze)))
    theirs, apart, n = their_read(their_folder), 0.0, 0
    for name, place in HOOKS.items():
        read = activations.read(our_folder / str(place))
        mine = read.values[np.lexsort((read.position, read.maze_id))].astype(np.float32)
        other = theirs[name].float().numpy()[order]
        if mine.shape != other.shape:
            raise RuntimeError(
                f"activation_cache: expected {other.shape} values at {place}, found {mine.shape}."
            )
        apart, n = (
            max(apart, float(np.abs(mine - other).max() / np.abs(other).max())),
            n + mine.size,
        )
    if not apart < TOLERANCE:
        raise RuntimeError(
            f"activation_cache: expected equal values within {TOLERANCE}, found {apart:.1e} apart."
        )
    return f"{n:,} values within {apart:.0e} of the largest (float16)"


def run() -> list[dict[str, Any]]:
    """The rows of this benchmark: one line of work."""
    model = ours.untrained().eval().requires_grad_(False)
    subject = Subject(model, ours.mazes(N_MAZES), 0, BATCH)
    with (
        tempfile.TemporaryDirectory() as scratch,
        torch.inference_mode(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        folders = Path(scratch) / "ours", Path(scratch) / "theirs"
        contenders = {OURS: our_cache(folders[0], subject)}
        for way, arguments in WAYS.items():
            contenders[way] = their_cache(folders[1], subject, arguments)
        rates = race(contenders)
        line = Line(
            "activations to disk and back",
            f"the residual stream after blocks 0 and 1 of {N_MAZES:,} mazes; ours is also shuffled",
            "tokens/s",
            check(*folders, subject),
        )
    return rows(line, rates)
