"""Cached activations: a model reads mazes, and its labelled, shuffled activations are written to
disk, for probes and SAEs.

The model reads whole sequences, with their paths. Each row of a file is one token: its maze, its
position, the token, the connection that it helps to encode, and the activation: a float16 vector,
or a float32 vector where float16 is too coarse (``Rounding``).
The rows of a split are shuffled once, when they are written, so that SAE training can read them in
order. Each place and split is one parquet file; ``mazewm.io.vectors`` describes the format.
"""

import math
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field

from mazewm.inference.subject import Recorded, Subject
from mazewm.io import files, tables, vectors
from mazewm.io.errors import BadInput
from mazewm.io.params import Params
from mazewm.io.progress import console, progress
from mazewm.localize.locations import Locations
from mazewm.localize.rounding import Rounding
from mazewm.maze.tokens import PADDING, TOKENS_PER_CONNECTION, Encoded, TokenClass, token_classes
from mazewm.model.interface import Model
from mazewm.model.sites import Place, Site
from mazewm.run import Study

Count = Annotated[int, Field(gt=0)]
NO_CONNECTION = -1


class ActivationParams(Params):
    """The section ``activations`` of params.yaml: what is cached, for how many mazes."""

    # LAYER.SITE; the places of the consolidation, writing and paper's site are always added
    places: list[str]
    token_classes: list[str]
    n_train_mazes: Count
    n_held_out_mazes: Count  # of validation, and as many of test
    n_untrained_mazes: Count  # training mazes that the untrained model reads
    batch_size: Count
    n_threads: Count

    def check(self, model: Model) -> list[Place]:
        """The ``places``, parsed. BadInput if the model does not have or show one of them, if a
        place does not have one vector for each token, or if a token class does not exist."""
        places = [
            Place.parse(text, model.params.n_layers, "params.yaml: activations.places")
            for text in self.places
        ]
        for place in places:
            if place.site in (Site.Q, Site.K, Site.V, Site.SCORES, Site.PATTERN, Site.Z):
                where = "params.yaml: activations.places"
                raise BadInput(
                    f"{where}: expected places with one vector for each token, found "
                    f"{str(place)!r}."
                )
            if place.site not in model.sites:
                raise BadInput(
                    f"params.yaml: activations.places: expected one of the sites "
                    f"{sorted(map(str, model.sites))}, which this model shows, found "
                    f"{str(place)!r}."
                )
        for name in self.token_classes:
            if name not in [*map(str, TokenClass)]:
                where = "params.yaml: activations.token_classes"
                raise BadInput(
                    f"{where}: expected some of {[str(c) for c in TokenClass]}, found {name!r}."
                )
        return places

    def wanted(self, model: Model, locations: Locations) -> "Wanted":
        """What to cache: the parameters' places and token classes, and those of the consolidation
        site, the writing site and the paper's site."""
        places = {*self.check(model), *(each.place for each in locations.studied)}
        classes = [
            *map(TokenClass, self.token_classes),
            *(each.token_class for each in locations.studied),
        ]
        return Wanted(sorted(places), list(dict.fromkeys(classes)))


@dataclass(frozen=True)
class TokenLabels:
    """The labels of a cached token. The activation is a further column, ``values``
    (``mazewm.io.vectors``)."""

    maze_id: tables.Int
    position: tables.Int
    token: tables.Int
    token_class: tables.Text
    connection: tables.Int  # the connection that the token helps to encode, -1 for none


FILE = "activations.parquet"


class Activations(NamedTuple):
    """The activations and labels of one split at one place, in shuffled order. Every field has one
    entry for each token."""

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


@dataclass(frozen=True)
class Wanted:
    """What is cached: the places, and the classes of tokens."""

    places: list[Place]
    classes: list[TokenClass]


def cache_activations(
    folder: Path, run: Study, model: Model, locations: Locations, params: ActivationParams
) -> None:
    """Cache the activations of the trained model and of an untrained one on the three splits, as
    ``folder/MODEL/SPLIT/PLACE/activations.parquet``. BadInput for parameters that do not fit the
    model."""
    wanted = params.wanted(model, locations)
    models = {"trained": model, "untrained": model.untrained(run.seed)}
    sizes = {
        "train": params.n_train_mazes,
        "validation": params.n_held_out_mazes,
        "test": params.n_held_out_mazes,
    }
    caches = progress("caching activations", len(models) * len(sizes))
    for split, size in sizes.items():
        mazes = run.mazes(split)[:size]
        for name, one in models.items():
            some = (
                mazes[: params.n_untrained_mazes]
                if (name, split) == ("untrained", "train")
                else mazes
            )
            read_by = Subject(one, some, run.seed, params.batch_size)
            n = cache(folder / name / split, read_by, wanted)
            console.print(
                f"{name}, {split}: {n:,} tokens of {len(some):,} mazes at "
                f"{', '.join(map(str, wanted.places))}"
            )
            caches.advance()


def cache(folder: Path, subject: Subject, wanted: Wanted) -> int:
    """Write ``folder/PLACE/activations.parquet`` for every place; returns the number of tokens.

    Each activation is first written to its shuffled row in a scratch file, which is then copied to
    parquet in order. In memory are only the labels of all tokens (some 60 bytes each), and the
    activations of one batch. Places whose activations float16 cannot hold are read once more, and
    stored as float32."""
    places, classes = wanted.places, wanted.classes
    labels = _labels(subject, classes)
    n_tokens = labels.shape[1]
    order = np.random.default_rng([subject.seed, n_tokens]).permutation(n_tokens)
    row = np.empty_like(order)  # the shuffled row of each token
    row[order] = np.arange(n_tokens)
    columns = dict(
        zip(tables.schema_of(TokenLabels).names, map(pa.array, labels[:, order]), strict=True)
    )
    columns["token_class"] = pa.array([str(c) for c in classes], pa.string()).take(
        columns["token_class"]
    )
    table = pa.table(columns)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        waiting = {place: Path(scratch) / f"{place}.npy" for place in places}
        rounded = _scatter(waiting, subject.record(places, whole=True), classes, row, "float16")
        coarse = {place: waiting[place] for place in places if rounded[place].is_too_coarse}
        for place, path in coarse.items():
            path.unlink()
            console.print(
                f"{folder.parent.name}, {folder.name}: float16 is too coarse for the activations "
                f"at {place}; they are stored as float32"
            )
        if coarse:
            _scatter(coarse, subject.record(coarse, whole=True), classes, row, "float32")
        for path in waiting.values():
            values = np.lib.format.open_memmap(path, "r")
            vectors.write(
                path.with_suffix(".parquet"),
                TokenLabels,
                table,
                values.shape[1],
                _blocks(path, n_tokens),
                values.dtype.name,
            )
            path.unlink()
        for place, path in waiting.items():
            home = folder / str(place)
            home.mkdir(parents=True, exist_ok=True)
            os.replace(path.with_suffix(".parquet"), home / FILE)
    return n_tokens


def _blocks(path: Path, n: int) -> Iterator[vectors.Values]:
    """The rows of a scratch file, in blocks. The file is mapped anew for each block, so that
    earlier blocks do not stay in memory."""
    return (
        np.lib.format.open_memmap(path, "r")[start : start + vectors.N_ROWS]
        for start in range(0, n, vectors.N_ROWS)
    )


def _kept(
    encoded: Encoded, classes: list[TokenClass]
) -> tuple[Bool[np.ndarray, "maze pos"], Int[np.ndarray, " pos"]]:
    """Which tokens are cached, and the index of each position's class in ``classes`` (-1 for other
    classes)."""
    number = {c: nth for nth, c in enumerate(classes)}
    kind = np.array(
        [number.get(c, -1) for c in token_classes(encoded.n_connections, encoded.tokens.shape[1])]
    )
    return (encoded.tokens != PADDING) & (kind >= 0), kind


def _labels(subject: Subject, classes: list[TokenClass]) -> Int[np.ndarray, "label token"]:
    """The columns of TokenLabels for all tokens, in the order of reading. A class is given by its
    index in ``classes``."""
    parts = []
    for index, encoded in subject.encoded():
        keep, kind = _kept(encoded, classes)
        n = encoded.n_connections
        connection = np.full(keep.shape, NO_CONNECTION)
        connection[:, 1 : 1 + TOKENS_PER_CONNECTION * n] = encoded.order.repeat(
            TOKENS_PER_CONNECTION, axis=1
        )
        read = (
            subject.mazes.maze_id[index][:, None],
            np.arange(keep.shape[1]),
            encoded.tokens,
            kind,
            connection,
        )
        parts.append(
            np.stack(
                [np.broadcast_to(column, keep.shape)[keep].astype(np.int32) for column in read]
            )
        )
    return np.concatenate(parts, axis=1)


def _scatter(
    paths: Mapping[Place, Path],
    read: Iterable[Recorded],
    classes: list[TokenClass],
    row: Int[np.ndarray, " token"],
    dtype: str,
) -> dict[Place, Rounding]:
    """Write the activation of token i, in the order of ``_labels``, into row ``row[i]`` of its
    place's file. Returns what ``dtype`` changes of them."""
    done, rounding = 0, {place: Rounding() for place in paths}
    for recorded in read:
        keep, _ = _kept(recorded.encoded, classes)
        at = row[done : done + int(keep.sum())]
        done += len(at)
        for place, values in recorded.values.items():
            if not paths[place].exists():
                shape = len(row), values.shape[-1]
                files.check_room(paths[place], math.prod(shape) * np.dtype(dtype).itemsize)
                np.lib.format.open_memmap(paths[place], "w+", dtype, shape)
            exact = values[torch.from_numpy(keep).to(values.device)]
            stored = exact.to(getattr(torch, dtype))
            rounding[place].add(exact, stored)
            # Mapped anew for each batch, so that what earlier batches wrote does not stay in
            # memory.
            np.lib.format.open_memmap(paths[place], "r+")[at] = stored.cpu().numpy()
    return rounding


def cached_places(folder: Path) -> list[str]:
    """The names of the places that have activations in ``folder``, sorted; BadInput if there are
    none. Files that desktops leave, such as .DS_Store, are no places."""
    there = folder.iterdir() if folder.is_dir() else ()
    names = sorted(path.name for path in there if path.is_dir() and path.name[0] != ".")
    if not names:
        raise BadInput(f"{folder}: expected a folder of activations for each place, found none.")
    return names


def read(folder: Path) -> Activations:
    """The activations of one place and split; BadInput if the file is missing or broken."""
    labels, values = vectors.read(folder / FILE, TokenLabels)
    return Activations(values, *(labels[name].to_numpy() for name in labels.column_names))
