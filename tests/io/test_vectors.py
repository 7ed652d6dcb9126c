"""Labelled vectors in parquet: the same to every reader and from every writer, refused when
spoilt.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mazewm.io import tables, vectors
from mazewm.io.errors import BadInput

WIDTH = 6


@dataclass(frozen=True)
class Labelled:
    nth: tables.Int
    name: tables.Text


def made(n, width=WIDTH):
    values = np.random.default_rng(n).normal(size=(n, width)).astype(np.float16)
    return pa.table(
        {"name": [f"of {i % 3}" for i in range(n)], "nth": pa.array(np.arange(n, dtype=np.int32))}
    ), values


def in_blocks(values):
    starts = range(0, len(values), vectors.N_ROWS)
    return (values[start : start + vectors.N_ROWS] for start in starts)


def write(path, n, width=WIDTH):
    labels, values = made(n, width)
    vectors.write(path, Labelled, labels, width, in_blocks(values))
    return labels, values


SIZES = [1, 3, 100, vectors.N_ROWS - 1, vectors.N_ROWS, vectors.N_ROWS + 1, 3 * vectors.N_ROWS + 5]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("width", [2, 6, 128])
def test_what_is_written_is_read(tmp_path, n, width):
    labels, values = write(tmp_path / "x.parquet", n, width)
    read, found = vectors.read(tmp_path / "x.parquet", Labelled)
    assert (
        found.dtype == np.float16
        and np.array_equal(found, values)
        and found.flags.aligned
        and not found.flags.writeable
    )
    assert read.equals(labels.select(["nth", "name"]).cast(read.schema))


@pytest.mark.parametrize("n", SIZES)
def test_float32_vectors_keep_every_digit(tmp_path, n):
    labels, _ = made(n)
    values = (1e5 + np.random.default_rng(n).normal(size=(n, WIDTH))).astype(np.float32)
    vectors.write(tmp_path / "x.parquet", Labelled, labels, WIDTH, in_blocks(values), "float32")
    read, found = vectors.read(tmp_path / "x.parquet", Labelled)
    assert found.dtype == np.float32 and np.array_equal(found, values)
    assert read.equals(labels.select(["nth", "name"]).cast(read.schema))


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("row", [0, vectors.N_ROWS, vectors.N_ROWS + 8])
def test_numbers_that_are_not_finite_are_named(tmp_path, value, dtype, row):
    labels, values = made(vectors.N_ROWS + 9)
    # the largest number of the type is one of the others, and is read
    values = values.astype(dtype)
    values[5, 1] = np.finfo(dtype).max
    path = tmp_path / "x.parquet"
    vectors.write(path, Labelled, labels, WIDTH, in_blocks(values), dtype)
    assert np.array_equal(vectors.read(path, Labelled)[1], values)
    values[row, 3] = value
    vectors.write(path, Labelled, labels, WIDTH, in_blocks(values), dtype)
    with pytest.raises(BadInput, match=f"expected finite numbers, found {value} in row {row}"):
        vectors.read(path, Labelled)


OTHER_LAYOUTS = {
    "small row groups": {"row_group_size": 7},
    "small pages": {"data_page_size": 64, "write_batch_size": 8},
    "row groups that end anywhere": {"row_group_size": vectors.N_ROWS + 100},
    "compressed": {"compression": "zstd"},
    "dictionary": {"use_dictionary": True},
    "another encoding": {"column_encoding": {"values": "BYTE_STREAM_SPLIT"}},
    "the other version of pages": {"data_page_version": "2.0"},
    "checksums": {"write_page_checksum": True},
    "one page, at another place": {"row_group_size": 10_000},
}


@pytest.mark.parametrize("layout", OTHER_LAYOUTS.values(), ids=OTHER_LAYOUTS)
@pytest.mark.parametrize("n", [50, vectors.N_ROWS + 1_000])
def test_another_layout_gives_the_same_arrays(tmp_path, n, layout):
    labels, values = write(tmp_path / "x.parquet", n)
    plain = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(
        pq.read_table(tmp_path / "x.parquet"), tmp_path / "y.parquet", **(plain | layout)
    )
    read, found = vectors.read(tmp_path / "y.parquet", Labelled)
    assert np.array_equal(found, values) and found.dtype == np.float16 and not found.flags.writeable
    assert read.equals(vectors.read(tmp_path / "x.parquet", Labelled)[0])


def test_pandas_reads_them(tmp_path):
    _, values = write(tmp_path / "x.parquet", vectors.N_ROWS + 9)
    frame = pd.read_parquet(tmp_path / "x.parquet")
    assert np.array_equal(
        np.frombuffer(b"".join(frame["values"]), np.float16).reshape(len(frame), -1), values
    )
    assert frame["nth"].tolist() == list(range(len(values)))


def test_the_layout_is_the_documented_one(tmp_path):
    write(tmp_path / "x.parquet", vectors.N_ROWS + 9)
    metadata = pq.read_metadata(tmp_path / "x.parquet")
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [
        vectors.N_ROWS,
        9,
    ]
    columns = {c.path_in_schema: c for c in map(metadata.row_group(0).column, range(3))}
    assert columns["values"].compression == "UNCOMPRESSED" and columns["nth"].compression == "ZSTD"
    assert (
        set(columns["values"].encodings) <= {"PLAIN", "RLE"} and not columns["values"].is_stats_set
    )
    assert columns["name"].has_dictionary_page and not columns["nth"].has_dictionary_page
    assert (
        metadata.metadata[vectors.DTYPE] == b"float16" and metadata.metadata[vectors.WIDTH] == b"6"
    )
    assert not pq.read_schema(tmp_path / "x.parquet").field("values").nullable


def test_too_few_vectors_are_refused(tmp_path):
    labels, values = made(10)
    with pytest.raises(ValueError, match="10 labelled rows, was given 9"):
        vectors.write(tmp_path / "x.parquet", Labelled, labels, WIDTH, [values[:9]])


def with_metadata(path, key, value):
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata(table.schema.metadata | {key: value}), path)


def with_column(path, column, nullable=False):
    table = pq.read_table(path)
    columns = [column if name == "values" else table[name] for name in table.column_names]
    field = pa.field("values", column.type, nullable=nullable)
    schema = pa.schema(
        [field if f.name == "values" else f for f in table.schema], metadata=table.schema.metadata
    )
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), path)


NULLS = pa.array([None] * 10, pa.binary(2 * WIDTH))
SPOILT = {
    "of another type": lambda path: with_metadata(path, vectors.DTYPE, b"float32"),
    "of another width": lambda path: with_metadata(path, vectors.WIDTH, b"7"),
    "of no number": lambda path: with_metadata(path, vectors.WIDTH, b"six"),
    "with nulls": lambda path: with_column(path, NULLS, nullable=True),
    "of lists": lambda path: with_column(
        path, pa.array([[1.0] * WIDTH] * 10, pa.list_(pa.float16()))
    ),
    "without values": lambda path: pq.write_table(
        pq.read_table(path).drop_columns(["values"]), path
    ),
    "without a label": lambda path: pq.write_table(pq.read_table(path).drop_columns(["nth"]), path),
    "of another row type": lambda path: with_metadata(path, tables.ROW_TYPE, b"Other"),
    "without its end": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "without its middle": lambda path: path.write_bytes(
        path.read_bytes()[:100] + path.read_bytes()[60_000:]
    ),
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_spoilt_file_is_refused_in_one_sentence(tmp_path, spoil):
    path = tmp_path / "x.parquet"
    write(path, 10)
    spoil(path)
    with pytest.raises(BadInput, match=f"^{re.escape(str(path))}: [^\n]+$"):
        vectors.read(path, Labelled)
