"""A model and mazes -> labelled, shuffled activations on disk, and back.

Whole sequences are read, path and all. Each row is one token: which maze, which position, what
stands there, which connection it helps to spell, and the residual stream. Rows of a split are
shuffled together once, when they are written, so that training reads them in order. Each place and
split is one parquet file; ``mazewm.io.vectors`` says how it is made and how to read it with pandas.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int
from pydantic import Field

from mazewm.inference.subject import Recorded, Subject
from mazewm.io import tables, vectors
from mazewm.io.errors import BadInput
from mazewm.io.params import Params
from mazewm.io.progress import console, progress
from mazewm.localize.locations import Locations
from mazewm.maze.tokens import PADDING, TOKENS_PER_CONNECTION, Encoded, TokenClass, token_classes
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer
from mazewm.run import Run

Count = Annotated[int, Field(gt=0)]
NO_CONNECTION = -1


class ActivationParams(Params):
    """What is cached."""

    # LAYER.SITE; those where connections are read and written, and the paper's, are added
    places: list[str]
    token_classes: list[str]
    n_train_mazes: Count
    n_held_out_mazes: Count  # of validation and of test
    n_untrained_mazes: Count  # of training mazes, read by the untrained model
    batch_size: Count
    n_threads: Count

    def check(self, model: Transformer) -> list[Place]:
        """The places that are asked for; BadInput for what this model has not, or what is no vector
        for each token."""
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
        for name in self.token_classes:
            if name not in [*map(str, TokenClass)]:
                where = "params.yaml: activations.token_classes"
                raise BadInput(
                    f"{where}: expected some of {[str(c) for c in TokenClass]}, found {name!r}."
                )
        return places

    def wanted(self, model: Transformer, locations: Locations) -> "Wanted":
        """What is asked for, and what is needed where connections are read and written and at the
        paper's location."""
        places = {*self.check(model), *(each.place for each in locations.studied)}
        classes = [
            *map(TokenClass, self.token_classes),
            *(each.token_class for each in locations.studied),
        ]
        return Wanted(sorted(places), list(dict.fromkeys(classes)))


@dataclass(frozen=True)
class TokenLabels:
    """What is known of a cached token; the activation is the column ``values`` beside these
    (``mazewm.io.vectors``)."""

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


@dataclass(frozen=True)
class Wanted:
    """What is cached: residual places, and classes of tokens."""

    places: list[Place]
    classes: list[TokenClass]


def cache_activations(
    folder: Path, run: Run, model: Transformer, locations: Locations, params: ActivationParams
) -> None:
    """Cache the three splits as the model and an untrained one read them:
    ``folder/MODEL/SPLIT/PLACE/activations.parquet``."""
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
    """Write ``folder/<place>/activations.parquet`` for every place; returns the number of tokens.

    A value goes to the line of a scratch file where the shuffle puts its token, and from there, in
    order, to parquet. Held in memory: the labels of every token (some 60 bytes each), and one batch
    at all places."""
    places, classes = wanted.places, wanted.classes
    labels = _labels(subject, classes)
    n_tokens = labels.shape[1]
    order = np.random.default_rng([subject.seed, n_tokens]).permutation(n_tokens)
    row = np.empty_like(order)  # of each token, where the shuffle puts it
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
        _scatter(waiting, subject.record(places, whole=True), classes, row)
        for path in waiting.values():
            width = np.lib.format.open_memmap(path, "r").shape[1]
            vectors.write(
                path.with_suffix(".parquet"), TokenLabels, table, width, _blocks(path, n_tokens)
            )
            path.unlink()
        for place, path in waiting.items():
            home = folder / str(place)
            home.mkdir(parents=True, exist_ok=True)
            os.replace(path.with_suffix(".parquet"), home / FILE)
    return n_tokens


def _blocks(path: Path, n: int) -> Iterator[vectors.Values]:
    """The lines of a scratch file; mapped anew for each block, so that no more of the file stays in
    memory."""
    return (
        np.lib.format.open_memmap(path, "r")[start : start + vectors.N_ROWS]
        for start in range(0, n, vectors.N_ROWS)
    )


def _kept(
    encoded: Encoded, classes: list[TokenClass]
) -> tuple[Bool[np.ndarray, "maze pos"], Int[np.ndarray, " pos"]]:
    """Which tokens are cached, and of each position the number of its class among ``classes`` (-1:
    of none)."""
    number = {c: nth for nth, c in enumerate(classes)}
    kind = np.array(
        [number.get(c, -1) for c in token_classes(encoded.n_connections, encoded.tokens.shape[1])]
    )
    return (encoded.tokens != PADDING) & (kind >= 0), kind


def _labels(subject: Subject, classes: list[TokenClass]) -> Int[np.ndarray, "label token"]:
    """The columns of TokenLabels, of every token in the order in which it is read; a class is its
    number among ``classes``."""
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
) -> None:
    """Put the value of token i, as ``_labels`` counts them, into line ``row[i]`` of its place's
    file."""
    done = 0
    for recorded in read:
        keep, _ = _kept(recorded.encoded, classes)
        at = row[done : done + int(keep.sum())]
        done += len(at)
        for place, values in recorded.values.items():
            if not paths[place].exists():
                np.lib.format.open_memmap(
                    paths[place], "w+", np.float16, (len(row), values.shape[-1])
                )
            # Mapped anew for each batch, so that no more of the file stays in memory than a batch
            # writes to.
            np.lib.format.open_memmap(paths[place], "r+")[at] = values.half().cpu().numpy()[keep]


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
