"""Room 4c, activations: a model and mazes -> labelled, shuffled parquet shards, and back.

Whole sequences are read, path and all. Each row is one token: which maze, which position, what stands there, which
connection it helps to spell, and the residual stream. Rows of a split are shuffled together once, when they are written,
so that training reads them in order.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from pydantic import Field

from mazewm import tables
from mazewm.errors import BadInput
from mazewm.maze.mazes import Mazes
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer
from mazewm.params import Params
from mazewm.recording import record
from mazewm.tokens import PADDING, TOKENS_PER_CONNECTION, TokenClass, token_classes

Count = Annotated[int, Field(gt=0)]
NO_CONNECTION = -1


class ActivationParams(Params):
    """What is cached."""

    places: list[str]  # LAYER.SITE; the consolidation site's place is added
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
    """Write the activations of every place to ``folder/<place>/part-NNNNN.parquet``; returns the number of tokens."""
    labels: list[list[np.ndarray]] = []
    values: dict[Place, list[np.ndarray]] = {place: [] for place in places}
    for recorded in record(model, mazes, places, np.random.default_rng(seed), batch, whole=True):
        tokens, n = recorded.spelled.tokens, recorded.spelled.n_connections
        n_mazes, length = tokens.shape
        kind = np.array([str(c) for c in token_classes(n, length)])
        connection = np.full((n_mazes, length), NO_CONNECTION)
        connection[:, 1 : 1 + TOKENS_PER_CONNECTION * n] = recorded.spelled.order.repeat(TOKENS_PER_CONNECTION, axis=1)
        keep = (tokens != PADDING) & np.isin(kind, [str(c) for c in classes])
        read = (mazes.maze_id[recorded.mazes][:, None], np.arange(length), tokens, kind, connection)
        labels.append([np.broadcast_to(column, keep.shape)[keep] for column in read])
        for place in places:
            values[place].append(recorded.values[place].half().cpu().numpy()[keep])
    columns = [np.concatenate(parts) for parts in zip(*labels, strict=True)]
    order = np.random.default_rng([seed, len(columns[0])]).permutation(len(columns[0]))
    schema = tables.schema_of(TokenLabels)
    for place in places:
        together = np.concatenate(values.pop(place))
        width = together.shape[1]
        full = pa.schema(
            [*schema, pa.field("values", pa.list_(pa.float16(), width), nullable=False)], metadata={tables.ROW_TYPE: ROW_TYPE_NAME}
        )
        for nth, start in enumerate(range(0, len(order), rows_per_shard)):
            rows = order[start : start + rows_per_shard]
            arrays = [pa.array(column[rows], type=field.type) for column, field in zip(columns, schema, strict=True)]
            arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(together[rows].ravel()), width))
            table = pa.Table.from_arrays(arrays, schema=full)
            # Half floats do not compress, and plain uncompressed pages are read back without decoding.
            tables.write_arrow(folder / str(place) / f"part-{nth:05d}.parquet", table, use_dictionary=["token_class"], compression="none")
    return len(order)


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
