"""Rows on disk: round trip, the same bytes, and what is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mazewm.io import tables
from mazewm.io.errors import BadInput


@dataclass(frozen=True)
class Row:
    """One of each type."""

    number: tables.Int
    length: tables.Real
    name: tables.Text
    is_open: tables.Flag
    cells: tables.Cells
    bits: tables.Bits


@dataclass(frozen=True)
class Other:
    """Another row type with the columns of Row."""

    number: tables.Int
    length: tables.Real


@dataclass(frozen=True)
class Gaps:
    """A column whose values may be missing."""

    length: tables.MaybeReal


ROWS = [
    Row(3, 0.1, "a", True, [1, 2], [True]),
    Row(-7, -1.7e308, "", False, [], []),
    Row(2**31 - 1, 1e-300, "é", True, [32767], [False] * 5),
]


def back(path):
    frame = tables.read(path, Row)
    columns = [frame[name] for name in ("number", "length", "name", "is_open", "cells", "bits")]
    return [
        Row(int(a), float(b), c, bool(d), e.tolist(), f.tolist())
        for a, b, c, d, e, f in zip(*columns, strict=True)
    ]


def test_the_schema_is_what_the_annotations_say():
    schema = tables.schema_of(Row)
    assert schema.names == ["number", "length", "name", "is_open", "cells", "bits"]
    assert schema.types == [
        pa.int32(),
        pa.float64(),
        pa.string(),
        pa.bool_(),
        pa.list_(pa.int16()),
        pa.list_(pa.bool_()),
    ]


def test_round_trip(tmp_path):
    path = tmp_path / "deep" / "rows.parquet"
    tables.write_rows(path, Row, ROWS)
    assert back(path) == ROWS
    assert [file.name for file in path.parent.iterdir()] == ["rows.parquet"]


def test_an_old_file_is_replaced_whole(tmp_path):
    path = tmp_path / "rows.parquet"
    tables.write_rows(path, Row, ROWS)
    tables.write_rows(path, Row, ROWS[:1])
    assert back(path) == ROWS[:1]


def test_the_frame_of_rows_is_that_of_their_file(tmp_path):
    path, rows = tmp_path / "rows.parquet", [Other(3, 0.5), Other(5, -0.25)]
    tables.write_rows(path, Other, rows)
    pd.testing.assert_frame_equal(
        tables.read(path, Other), tables.frame(rows, Other), check_dtype=False
    )


def test_the_same_rows_are_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        tables.write_rows(tmp_path / name, Row, ROWS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "columns", [{"number": [1]}, {"number": [1], "length": [1.0], "colour": [1]}]
)
def test_columns_that_are_not_those_of_the_row_are_refused(tmp_path, columns):
    with pytest.raises(TypeError, match="Other"):
        tables.write(tmp_path / "rows.parquet", Other, columns)
    assert list(tmp_path.iterdir()) == []


def test_a_value_of_another_type_is_refused_and_the_old_file_stays(tmp_path):
    path = tmp_path / "rows.parquet"
    tables.write_rows(path, Other, [Other(3, 0.5)])
    before = path.read_bytes()
    for value in ("three", None, 2**31):
        with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError, OverflowError)):
            tables.write(path, Other, {"number": [value], "length": [1.0]})
        assert path.read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["rows.parquet"]


def refusal(path, row_type=Other):
    with pytest.raises(BadInput) as caught:
        tables.read(path, row_type)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_rows_of_another_type_are_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    tables.write_rows(path, Row, ROWS)
    message = refusal(path)
    assert "expected a table of Other" in message
    assert "Row" in message


def test_a_column_that_is_missing_or_of_another_type_is_named(tmp_path):
    path = tmp_path / "rows.parquet"
    label = {tables.ROW_TYPE: b"Other"}
    pq.write_table(
        pa.table({"number": pa.array([1], pa.int32())}).replace_schema_metadata(label), path
    )
    assert "column length" in refusal(path)
    pq.write_table(
        pa.table({"number": pa.array([1], pa.int64()), "length": [1.0]}).replace_schema_metadata(
            label
        ),
        path,
    )
    message = refusal(path)
    assert "column number" in message
    assert "expected int32, found int64" in message


@dataclass(frozen=True)
class Lists:
    """A row type with lists of numbers."""

    number: tables.Int
    values: Annotated[Sequence[float], pa.list_(pa.float64())]


@pytest.mark.parametrize("value", [float("inf"), -float("inf"), float("nan")])
def test_numbers_that_are_not_finite_are_named(tmp_path, value):
    path = tmp_path / "rows.parquet"
    label = {tables.ROW_TYPE: b"Other"}
    number, length = pa.array([1, 2], pa.int32()), pa.array([0.5, value], pa.float64())
    table = pa.table({"number": number, "length": length})
    pq.write_table(table.replace_schema_metadata(label), path)
    assert f"column length: expected finite numbers, found {value} in row 1" in refusal(path)


def test_values_may_be_missing_only_where_it_is_declared(tmp_path):
    path = tmp_path / "rows.parquet"
    tables.write_rows(path, Gaps, [Gaps(0.5), Gaps(None)])
    assert tables.read(path, Gaps).isna()["length"].tolist() == [False, True]
    tables.write_rows(path, Gaps, [Gaps(0.5), Gaps(float("nan"))])
    assert "column length: expected finite numbers, found nan in row 1" in refusal(path, Gaps)
    with pytest.raises(pa.ArrowInvalid):
        tables.write_rows(path, Other, [Other(3, None)])
    table = pa.table({"number": pa.array([1], pa.int32()), "length": pa.array([0.5])})
    label = {tables.ROW_TYPE: b"Other"}
    pq.write_table(table.replace_schema_metadata(label), path)
    assert "column number: expected values that are never missing" in refusal(path, Other)


def test_numbers_in_lists_that_are_not_finite_are_named(tmp_path):
    path = tmp_path / "rows.parquet"
    tables.write_rows(path, Lists, [Lists(1, []), Lists(2, [0.5, 1.0])])
    assert tables.read(path, Lists)["values"].map(list).tolist() == [[], [0.5, 1.0]]
    tables.write_rows(path, Lists, [Lists(1, []), Lists(2, [0.5, float("nan")])])
    assert "column values: expected finite numbers, found nan in row 1" in refusal(path, Lists)


def test_text_that_is_not_unicode_is_refused(tmp_path):
    path, letters = tmp_path / "rows.parquet", "loops" * 9
    rows = [Row(nth, 0.5, letters, True, [nth], [True]) for nth in range(3)]
    tables.write_rows(path, Row, rows)
    table = tables.read_arrow(path, "Row")
    assert table["name"].to_pylist() == [letters] * 3
    tables.write_arrow(path, table, compression="none")
    whole = path.read_bytes()
    assert letters.encode() in whole
    path.write_bytes(whole.replace(b"loops", b"l\xffops", 1))
    assert "not a whole parquet file" in refusal(path, Row)


def test_an_empty_table_is_read(tmp_path):
    path = tmp_path / "rows.parquet"
    tables.write_rows(path, Row, [])
    assert back(path) == []


def test_folders_named_like_a_column_are_only_folders(tmp_path):
    """Readers of data sets take a folder KEY=VALUE for a further column."""
    path = tmp_path / "length=3" / "other=a b" / "rows.parquet"
    tables.write_rows(path, Other, [Other(3, 0.5)])
    assert tables.read_arrow(path, "Other").column_names == ["number", "length"]
    assert tables.read(path, Other)["length"].tolist() == [0.5]


def test_missing_truncated_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "rows.parquet"
    assert "missing" in refusal(path)
    tables.write_rows(path, Other, [Other(3, 0.5)])
    whole = path.read_bytes()
    for size in (0, 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert "not a whole parquet file" in refusal(path)
    pq.write_table(pa.table({"number": [1], "length": [1.0]}), path)
    assert "foreign" in refusal(path)
