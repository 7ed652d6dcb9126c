"""Room 4c, activations: a model and mazes -> labelled, shuffled parquet shards, and back.

Whole sequences are read, path and all. Each row is one token: which maze, which position, what stands there, which
connection it helps to spell, and the residual stream. Rows of a split are shuffled together once, when they are written,
so that training reads them in order.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int
from pydantic import Field

from mazewm import tables
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
    rows_per_shard: Count
    batch_size: Count
    n_threads: Count


@dataclass(frozen=True)
class TokenLabels:
    """What is known of a cached token; the activation stands beside it in the column ``values``."""

    maze_id: tables.Int
    position: tables.Int
    token: tables.Int
    token_class: tables.Text
    connection: tables.Int  # the connection that the token helps to spell, -1 for none


ROW_TYPE_NAME = "Activation"


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
    rows_per_shard: int,
    batch: int,
) -> int:
    """Write the activations of every place to ``folder/<place>/part-NNNNN.parquet``; returns the number of tokens.

    Held in memory: the labels of every token (some 60 bytes each), one batch at all places, and one shard. Values wait on disk, in a
    folder beside ``folder`` that takes as much room as the shards and is gone afterwards.
    """
    names = np.array([str(c) for c in classes])
    labels = _labels(mazes, classes, np.random.default_rng(seed), batch)
    n_tokens = labels.shape[1]
    order = np.random.default_rng([seed, n_tokens]).permutation(n_tokens)
    row = np.empty_like(order)  # of each token, where the shuffle puts it
    row[order] = np.arange(n_tokens)
    labels = labels[:, order]
    schema = tables.schema_of(TokenLabels)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        waiting = _scatter(Path(scratch), model, mazes, places, classes, row, seed, batch)
        for place, path in waiting.items():
            values = np.load(path, mmap_mode="r")
            width = values.shape[1]
            full = pa.schema(
                [*schema, pa.field("values", pa.list_(pa.float16(), width), nullable=False)], metadata={tables.ROW_TYPE: ROW_TYPE_NAME}
            )
            for nth, start in enumerate(range(0, n_tokens, rows_per_shard)):
                rows = slice(start, start + rows_per_shard)
                columns = dict(zip(schema.names, labels[:, rows], strict=True))
                columns["token_class"] = names[columns["token_class"]]
                arrays = [pa.array(columns[field.name], type=field.type) for field in schema]
                arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(np.array(values[rows]).ravel()), width))
                table = pa.Table.from_arrays(arrays, schema=full)
                # Half floats do not compress, and plain uncompressed pages are read back without decoding.
                shard = folder / str(place) / f"part-{nth:05d}.parquet"
                tables.write_arrow(shard, table, use_dictionary=["token_class"], compression="none")
            del values
            path.unlink()
    return n_tokens


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
    held: dict[Place, np.memmap] = {}
    done = 0
    for recorded in record(model, mazes, places, np.random.default_rng(seed), batch, whole=True):
        keep, _ = _kept(recorded.spelled, classes)
        at = row[done : done + int(keep.sum())]
        done += len(at)
        for place, values in recorded.values.items():
            if place not in held:
                held[place] = np.lib.format.open_memmap(paths[place], "w+", np.float16, (len(row), values.shape[-1]))
            held[place][at] = values.half().cpu().numpy()[keep]
    return paths


def cached_places(folder: Path) -> list[str]:
    """The names of the places that ``folder`` holds; BadInput if there is none."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    if not names:
        raise BadInput(f"{folder}: expected a folder of activations for each place, found none.")
    return names


def read(folder: Path) -> Activations:
    """All shards of one place and split, in order."""
    shards = sorted(folder.glob("part-*.parquet"))
    if not shards:
        raise BadInput(f"{folder}: expected activation shards part-NNNNN.parquet, found none.")
    for nth, shard in enumerate(shards):
        if shard.name != f"part-{nth:05d}.parquet":
            raise BadInput(f"{folder / f'part-{nth:05d}.parquet'}: the shard is missing, though later ones are there.")
    parts = [tables.read_arrow(shard, ROW_TYPE_NAME, memory_map=True) for shard in shards]
    for shard, part in zip(shards, parts, strict=True):
        missing = [name for name in [*tables.schema_of(TokenLabels).names, "values"] if name not in part.column_names]
        if missing:
            raise BadInput(f"{shard}: column {missing[0]} of {ROW_TYPE_NAME} is missing.")
    table = pa.concat_tables(parts)
    width = table.schema.field("values").type.list_size
    chunks = [chunk.flatten().to_numpy(zero_copy_only=True).reshape(-1, width) for chunk in table["values"].chunks]
    labels = (table[name].to_numpy() for name in tables.schema_of(TokenLabels).names)
    return Activations(np.concatenate(chunks) if len(chunks) > 1 else chunks[0], *labels)
