"""Room 4c, activations: a model and mazes -> labelled, shuffled activations on disk, and back.

Whole sequences are read, path and all. Each row is one token: which maze, which position, what stands there, which
connection it helps to spell, and the residual stream. Rows of a split are shuffled together once, when they are written,
so that training reads them in order. Each place and split is one parquet file;
``mazewm.vectors`` says how it is made and how to read it with pandas.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int
from pydantic import Field

from mazewm import tables, vectors
from mazewm.errors import BadInput
from mazewm.maze.mazes import Mazes
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer
from mazewm.params import Params
from mazewm.recording import record, spellings
from mazewm.tokens import PADDING, TOKENS_PER_CONNECTION, Spelled, TokenClass, token_classes

Count = Annotated[int, Field(gt=0)]
NO_CONNECTION = -1


class ActivationParams(Params):
    """What is cached."""

    places: list[str]  # LAYER.SITE; those of the consolidation site, the writing site and the paper's site are added
    token_classes: list[str]
    n_train_mazes: Count
    n_held_out_mazes: Count  # of validation and of test
    n_untrained_mazes: Count  # of training mazes, read by the untrained model
    batch_size: Count
    n_threads: Count


@dataclass(frozen=True)
class TokenLabels:
    """What is known of a cached token; the activation is the column ``values`` beside these (``mazewm.vectors``)."""

    maze_id: tables.Int
    position: tables.Int
    token: tables.Int
    token_class: tables.Text
    connection: tables.Int  # the connection that the token helps to spell, -1 for none


FILE = "activations.parquet"


class Activations(NamedTuple):
    """Tokens of one split at one place, in their shuffled order."""

    values: Float[np.ndarray, "token d_model"]
    maze_id: np.ndarray
    position: np.ndarray
    token: np.ndarray
    token_class: np.ndarray
    connection: np.ndarray

    def at(self, token_class: TokenClass) -> "Activations":
        """Only the tokens of one class."""
        keep = self.token_class == str(token_class)
        return Activations(*(column[keep] for column in self))


def check_places(places: list[Place]) -> list[Place]:
    """Places whose value is one vector for each token; BadInput for another."""
    for place in places:
        if place.site in (Site.Q, Site.K, Site.V, Site.SCORES, Site.PATTERN, Site.Z):
            raise BadInput(f"params.yaml: activations.places: expected places with one vector for each token, found {str(place)!r}.")
    return places


def check_classes(names: list[str]) -> list[TokenClass]:
    """Token classes by name; BadInput for an unknown one."""
    for name in names:
        if name not in [*map(str, TokenClass)]:
            raise BadInput(f"params.yaml: activations.token_classes: expected some of {[str(c) for c in TokenClass]}, found {name!r}.")
    return [TokenClass(name) for name in names]


def cache(
    folder: Path,
    model: Transformer,
    mazes: Mazes,
    places: list[Place],
    classes: list[TokenClass],
    seed: int,
    batch: int,
) -> int:
    """Write ``folder/<place>/activations.parquet`` for every place; returns the number of tokens.

    A value goes to the line of a scratch file where the shuffle puts its token, and from there, in order, to parquet.
    Held in memory: the labels of every token (some 60 bytes each), and one batch at all places.
    """
    labels = _labels(mazes, classes, np.random.default_rng(seed), batch)
    n_tokens = labels.shape[1]
    order = np.random.default_rng([seed, n_tokens]).permutation(n_tokens)
    row = np.empty_like(order)  # of each token, where the shuffle puts it
    row[order] = np.arange(n_tokens)
    columns = dict(zip(tables.schema_of(TokenLabels).names, map(pa.array, labels[:, order]), strict=True))
    columns["token_class"] = pa.array([str(c) for c in classes], pa.string()).take(columns["token_class"])
    table = pa.table(columns)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        waiting = _scatter(Path(scratch), model, mazes, places, classes, row, seed, batch)
        for path in waiting.values():
            width = np.lib.format.open_memmap(path, "r").shape[1]
            vectors.write(path.with_suffix(".parquet"), TokenLabels, table, width, _blocks(path, n_tokens))
            path.unlink()
        for place, path in waiting.items():
            home = folder / str(place)
            home.mkdir(parents=True, exist_ok=True)
            os.replace(path.with_suffix(".parquet"), home / FILE)
    return n_tokens


def _blocks(path: Path, n: int) -> Iterator[vectors.Values]:
    """The lines of a scratch file; mapped anew for each block, so that no more of the file stays in memory."""
    return (np.lib.format.open_memmap(path, "r")[start : start + vectors.N_ROWS] for start in range(0, n, vectors.N_ROWS))


def _kept(spelled: Spelled, classes: list[TokenClass]) -> tuple[Bool[np.ndarray, "maze pos"], Int[np.ndarray, " pos"]]:
    """Which tokens are cached, and of each position the number of its class among ``classes`` (-1: of none)."""
    number = {c: nth for nth, c in enumerate(classes)}
    kind = np.array([number.get(c, -1) for c in token_classes(spelled.n_connections, spelled.tokens.shape[1])])
    return (spelled.tokens != PADDING) & (kind >= 0), kind


def _labels(mazes: Mazes, classes: list[TokenClass], rng: np.random.Generator, batch: int) -> Int[np.ndarray, "label token"]:
    """The columns of TokenLabels, of every token in the order in which it is read; a class is its number among ``classes``."""
    parts = []
    for index, spelled in spellings(mazes, rng, batch):
        keep, kind = _kept(spelled, classes)
        n = spelled.n_connections
        connection = np.full(keep.shape, NO_CONNECTION)
        connection[:, 1 : 1 + TOKENS_PER_CONNECTION * n] = spelled.order.repeat(TOKENS_PER_CONNECTION, axis=1)
        read = (mazes.maze_id[index][:, None], np.arange(keep.shape[1]), spelled.tokens, kind, connection)
        parts.append(np.stack([np.broadcast_to(column, keep.shape)[keep].astype(np.int32) for column in read]))
    return np.concatenate(parts, axis=1)


def _scatter(
    scratch: Path,
    model: Transformer,
    mazes: Mazes,
    places: list[Place],
    classes: list[TokenClass],
    row: Int[np.ndarray, " token"],
    seed: int,
    batch: int,
) -> dict[Place, Path]:
    """Read the mazes as ``_labels`` did and put the value of token i into line ``row[i]`` of its place's file."""
    paths = {place: scratch / f"{place}.npy" for place in places}
    done = 0
    for recorded in record(model, mazes, places, np.random.default_rng(seed), batch, whole=True):
        keep, _ = _kept(recorded.spelled, classes)
        at = row[done : done + int(keep.sum())]
        done += len(at)
        for place, values in recorded.values.items():
            if not paths[place].exists():
                np.lib.format.open_memmap(paths[place], "w+", np.float16, (len(row), values.shape[-1]))
            # Mapped anew for each batch, so that no more of the file stays in memory than a batch writes to.
            np.lib.format.open_memmap(paths[place], "r+")[at] = values.half().cpu().numpy()[keep]
    return paths


def cached_places(folder: Path) -> list[str]:
    """The names of the places that ``folder`` holds; BadInput if there is none."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if not names:
        raise BadInput(f"{folder}: expected a folder of activations for each place, found none.")
    return names


def read(folder: Path) -> Activations:
    """All tokens of one place and split."""
    labels, values = vectors.read(folder / FILE, TokenLabels)
    return Activations(values, *(labels[name].to_numpy() for name in labels.column_names))
