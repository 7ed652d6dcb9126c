"""Tables with anything in them: every type of row that there is, mazes and vectors, are read as
they were written or refused in one sentence.
"""

import importlib
import pkgutil
import random
from dataclasses import is_dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import mazewm
from mazewm import results
from mazewm.io import tables, vectors
from mazewm.io.errors import BadInput
from mazewm.localize.activations import TokenLabels
from mazewm.maze import mazes
from mazewm.maze.maze import Maze
from mazewm.maze.mazes import MazeRow, Mazes
from mazewm.run import Run
from tests.borders.fed import assert_sentence, refused

APART = ("explore", "export", "elsewhere", "report")  # rooms without tables of their own


def row_types() -> dict[str, type]:
    """Every type of row of mazewm, by name."""
    found = {}
    for module in pkgutil.walk_packages(mazewm.__path__, "mazewm."):
        if module.ispkg or module.name.split(".")[1] in APART:
            continue
        for one in vars(importlib.import_module(module.name)).values():
            if isinstance(one, type) and is_dataclass(one) and one.__name__.endswith("Row"):
                try:
                    tables.schema_of(one)
                except (ValueError, TypeError):
                    continue  # a row of a CSV file
                found[one.__name__] = one
    return found


ROW_TYPES = row_types()
COLUMNS = {
    pa.int32(): [3, 4, 5],
    pa.float64(): [0.5, -1.0, 2.0],
    pa.string(): ["a", "b", "c"],
    pa.bool_(): [True, False, True],
    pa.list_(pa.int16()): [[1, 2], [], [3]],
    pa.list_(pa.bool_()): [[True], [False], []],
    pa.list_(pa.float32()): [[0.5], [], [1.0, 2.0]],
    pa.list_(pa.float64()): [[0.5], [], [1.0, 2.0]],
}


def columns_of(row_type):
    return {field.name: COLUMNS[field.type] for field in tables.schema_of(row_type)}


def test_every_table_of_a_run_has_a_type_that_is_tried():
    assert {name for _, name in results.TABLES.values()} <= set(ROW_TYPES)


@pytest.mark.parametrize("name", ROW_TYPES)
def test_a_table_of_another_form_is_refused(tmp_path, name):
    row_type, path = ROW_TYPES[name], tmp_path / "some.parquet"
    schema = tables.schema_of(row_type)
    tables.write(path, row_type, columns_of(row_type))
    whole, good = path.read_bytes(), tables.read(path, row_type)
    for tenth in range(10):
        path.write_bytes(whole[: len(whole) * tenth // 10])
        with refused(path, "not a whole parquet file"):
            tables.read(path, row_type)
    table = pa.table(columns_of(row_type), schema=schema)
    other = ROW_TYPES["PairRow" if name != "PairRow" else "LedgerRow"]
    tables.write(path, other, columns_of(other))
    with refused(path, name, other.__name__):
        tables.read(path, row_type)
    pq.write_table(table.replace_schema_metadata(None), path)
    with refused(path, name, "a foreign type"):
        tables.read(path, row_type)
    for nth, field in enumerate(schema):
        pq.write_table(table.drop_columns([field.name]), path)
        with refused(path, field.name):
            tables.read(path, row_type)
        text = pa.array([b"1", b"2", b"3"])
        pq.write_table(table.set_column(nth, pa.field(field.name, text.type), text), path)
        with refused(path, field.name, "binary"):
            tables.read(path, row_type)
        if not field.nullable:
            gap = pa.array([None, *COLUMNS[field.type][1:]], field.type)
            pq.write_table(table.set_column(nth, field.with_nullable(True), gap), path)
            with refused(path, field.name):
                tables.read(path, row_type)
        if pa.types.is_list(field.type):
            gap = pa.array([[None], [], []], field.type)
            pq.write_table(table.set_column(nth, field, gap), path)
            with refused(path, field.name, "never missing"):
                tables.read(path, row_type)
    # columns in another order, and one more, change nothing
    further = table.select(schema.names[::-1]).append_column("further", pa.array([1, 2, 3]))
    pq.write_table(further, path)
    assert tables.read(path, row_type).equals(good)
    pq.write_table(table.slice(0, 0), path)
    assert len(tables.read(path, row_type)) == 0
    with refused(path, "at least one row"):
        tables.read_filled(path, row_type)


@pytest.mark.parametrize("name", sorted(results.FILLED))
def test_a_table_that_always_has_rows_is_refused_without_any(tmp_path, name):
    run = Run.named("rotary-all-0", tmp_path)
    row_type, file = ROW_TYPES[results.TABLES[name][1]], results.table_file(run, name)
    tables.write(file, row_type, columns_of(row_type))
    assert len(results.table(run, name)) == 3
    tables.write(file, row_type, {column: [] for column in columns_of(row_type)})
    with refused(file, "at least one row"):
        results.table(run, name)


def some_mazes(path):
    line = Maze.of(3, [((0, 0), (0, 1)), ((0, 1), (1, 1))], origin=(0, 0), target=(1, 1))
    mazes.write(path, Mazes.of([line, line.add((0, 0), (1, 0)), line]))
    return path


def some_vectors(path):
    values = np.random.default_rng(0).standard_normal((50, 8)).astype(np.float16)
    labels = {field.name: [7] * 50 for field in tables.schema_of(TokenLabels)}
    labels["token_class"] = ["c1"] * 50
    table = pa.table(labels, schema=tables.schema_of(TokenLabels))
    vectors.write(path, TokenLabels, table, 8, [values])
    return path


def some_pairs(path):
    tables.write(path, ROW_TYPES["PairRow"], columns_of(ROW_TYPES["PairRow"]))
    return path


FILES = {
    "mazes": (some_mazes, mazes.read),
    "vectors": (some_vectors, lambda path: vectors.read(path, TokenLabels)),
    "pairs": (some_pairs, lambda path: tables.read(path, ROW_TYPES["PairRow"])),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_ends_early_or_has_a_bit_turned(tmp_path, kind):
    """A turned bit of a value cannot be told in a file of parquet, which has no check sums; DVC
    tells it by the hash of the file."""
    write, read = FILES[kind]
    path, rng, n_refused = write(tmp_path / "some.parquet"), random.Random(0), 0
    whole = path.read_bytes()
    read(path)
    for nth in range(310):
        spoilt = bytearray(whole[: len(whole) * nth // 10] if nth < 10 else whole)
        if nth >= 10:
            spoilt[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path.write_bytes(spoilt)
        try:
            read(path)
        except BadInput as error:
            assert_sentence(str(error))
            assert str(path) in str(error)
            n_refused += 1
    assert n_refused > 50


MAZES = {
    "an origin outside": ("origin", -1),
    "an origin of another lattice": ("origin", 99),
    "another target": ("target", 0),
    "a path of no cells": ("path", []),
    "a path of one cell": ("path", [0]),
    "a path without end": ("path", [0] * 50),
    "a path outside": ("path", [0, 99, 4]),
    "a path of less than nothing": ("path", [0, -1, 4]),
    "a path to elsewhere": ("path", [0, 1, 2]),
    "a path through a wall": ("path", [0, 3, 4]),
    "a path with a jump": ("path", [0, 4]),
    "a path with a gap": ("path", [0, None, 4]),
    "no connections": ("connections", [False] * 12),
    "no bits": ("connections", []),
    "bits of another lattice": ("connections", [True] * 24),
    "bits of no lattice": ("connections", [True] * 13),
    "the number of another": ("maze_id", 1),
}


@pytest.mark.parametrize("name", MAZES)
def test_a_maze_that_cannot_be(tmp_path, name):
    path = some_mazes(tmp_path / "some.parquet")
    table, (column, value) = pq.read_table(path), MAZES[name]
    nth = table.schema.get_field_index(column)
    field = table.schema.field(nth)
    values = [value, *table[column].to_pylist()[1:]]
    pq.write_table(table.set_column(nth, field, pa.array(values, field.type)), path)
    # an end, and walls, are told by the path that they do not fit
    is_path = column in ("origin", "target") or name == "no connections"
    with refused(path, f"column {'path' if is_path else column}"):
        mazes.read(path)


def test_no_mazes(tmp_path):
    path = some_mazes(tmp_path / "some.parquet")
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with refused(path, "at least one maze"):
        mazes.read(path)
    assert MazeRow.__name__ in ROW_TYPES
