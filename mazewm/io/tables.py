"""Parquet tables whose columns are declared by dataclasses, checked on every read and write.

A row type is a frozen dataclass whose fields are annotated ``Annotated[python type, arrow type]``.
Its name and schema are stored in the file, so that a file of another type, or a truncated one, is
refused with a clear message (BadInput).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_type_hints

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mazewm.io import files
from mazewm.io.errors import BadInput, in_one_line

ROW_TYPE = b"mazewm.row_type"

Int = Annotated[int, pa.int32()]
Real = Annotated[float, pa.float64()]
MaybeReal = Annotated[float | None, pa.float64()]  # None where there is nothing to measure
Text = Annotated[str, pa.string()]
Flag = Annotated[bool, pa.bool_()]
Cells = Annotated[Sequence[int], pa.list_(pa.int16())]
Bits = Annotated[Sequence[bool], pa.list_(pa.bool_())]


def schema_of(row_type: type) -> pa.Schema:
    """The Arrow schema that the annotations of ``row_type`` declare.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class StepRow:
    ...     step: Int
    ...     loss: Real
    >>> schema_of(StepRow).names
    ['step', 'loss']
    """
    hints = get_type_hints(row_type, include_extras=True)
    columns = []
    for field in fields(row_type):
        python_type, arrow_type = get_args(hints[field.name])
        may_miss = NoneType in get_args(python_type)
        columns.append(pa.field(field.name, arrow_type, nullable=may_miss))
    return pa.schema(columns, metadata={ROW_TYPE: row_type.__name__.encode()})


def write(path: Path, row_type: type, columns: Mapping[str, Any]) -> None:
    """Write ``columns`` (name -> values, all of one length) as rows of ``row_type``. An existing
    file is replaced. TypeError if the names are not the fields of ``row_type``."""
    schema = schema_of(row_type)
    if set(columns) != set(schema.names):
        raise TypeError(
            f"{row_type.__name__} has columns {schema.names}, was given {sorted(columns)}"
        )
    arrays = [pa.array(columns[field.name], type=field.type) for field in schema]
    write_arrow(path, pa.Table.from_arrays(arrays, schema=schema))


def write_rows(path: Path, row_type: type, rows: Sequence[Any]) -> None:
    """Write instances of ``row_type``; an existing file is replaced."""
    names = [field.name for field in fields(row_type)]
    write(path, row_type, {name: [getattr(row, name) for row in rows] for name in names})


def ragged(padded: np.ndarray) -> pa.ListArray:
    """An Arrow column of lists from rows that are padded with -1.

    >>> ragged(np.array([[4, 5, -1], [6, -1, -1]])).to_pylist()
    [[4, 5], [6]]
    """
    is_filled = padded != -1
    offsets = np.concatenate([[0], np.cumsum(is_filled.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(padded[is_filled].astype(np.int16)))


def write_arrow(path: Path, table: pa.Table, **options: Any) -> None:
    """Write under a temporary name and rename to ``path``, so that a killed process leaves the old
    file or none. ``options`` go to ``pyarrow.parquet.write_table``."""
    with files.replacing_file(path) as beside:
        pq.write_table(table, beside, **({"compression": "zstd"} | options))


@contextmanager
def whole_file(path: Path, row_type_name: str) -> Iterator[None]:
    """A context in which reading a file that is missing or is not a complete parquet file raises
    BadInput."""
    try:
        yield
    except FileNotFoundError:
        raise BadInput(
            f"{path}: the file is missing; expected a table of {row_type_name}."
        ) from None
    except (pa.ArrowException, OSError, UnicodeError) as error:
        reason = in_one_line(error).split(".")[0]
        raise BadInput(
            f"{path}: not a whole parquet file ({reason}); expected a table of {row_type_name}."
        ) from None


def read_arrow(path: Path, row_type_name: str) -> pa.Table:
    """The table in ``path``; BadInput if the file is missing, broken or has text that is not UTF-8,
    its metadata names another row type, a number is not finite, or a value is missing where none
    may be."""
    # Not by ``read_table``, which takes folders named KEY=VALUE on the way for further columns.
    with whole_file(path, row_type_name):
        with pq.ParquetFile(path) as file:
            table = file.read()
        check_row_type(path, table.schema, row_type_name)
        check_values(path, table)
    return table


def check_values(path: Path, table: pa.Table) -> None:
    """BadInput if a number in a table, read from ``path``, is not finite, or a value is missing
    where none may be; ArrowException if a value is not one of its column's type, as with text that
    is not UTF-8."""
    table.validate(full=True)
    for field, column in zip(table.schema, table.columns, strict=True):
        _check_finite(path, field, column)


def _check_finite(path: Path, field: pa.Field, column: pa.ChunkedArray) -> None:
    """BadInput if a number of a column, or of its lists, is infinite or not a number, or a value is
    missing where none may be."""
    is_list = pa.types.is_list(column.type)
    numbers = pc.list_flatten(column) if is_list else column
    if (column.null_count and not field.nullable) or (is_list and numbers.null_count):
        raise BadInput(f"{path}: column {field.name}: expected values that are never missing.")
    if not pa.types.is_floating(numbers.type):
        return
    is_finite = pc.fill_null(pc.is_finite(numbers), field.nullable and not is_list)
    if pc.all(is_finite, min_count=0).as_py():
        return
    at = pc.index(is_finite, False).as_py()
    row = pc.list_parent_indices(column)[at].as_py() if is_list else at
    found = numbers[at].as_py()
    raise BadInput(
        f"{path}: column {field.name}: expected finite numbers, found {found} in row {row}."
    )


def check_row_type(path: Path, schema: pa.Schema, row_type_name: str) -> None:
    """BadInput if ``schema``, read from ``path``, names another row type in its metadata."""
    found = (schema.metadata or {}).get(ROW_TYPE, b"a foreign type").decode(errors="replace")
    if found != row_type_name:
        raise BadInput(f"{path}: expected a table of {row_type_name}, found one of {found[:100]}.")


def check_columns(path: Path, schema: pa.Schema, row_type: type) -> None:
    """BadInput if ``schema``, read from ``path``, names another row type, lacks a column of
    ``row_type``, or has a column with another type, or one whose values may be missing."""
    check_row_type(path, schema, row_type.__name__)
    for field in schema_of(row_type):
        if field.name not in schema.names:
            raise BadInput(f"{path}: column {field.name} of {row_type.__name__} is missing.")
        found = schema.field(field.name).type
        if found != field.type:
            raise BadInput(f"{path}: column {field.name}: expected {field.type}, found {found}.")
    for field in schema_of(row_type):
        if schema.field(field.name).nullable and not field.nullable:
            raise BadInput(f"{path}: column {field.name}: expected values that are never missing.")


def read_columns(path: Path, row_type: type) -> pa.Table:
    """The Arrow table in ``path`` with exactly the columns and types of ``row_type``; BadInput if
    the file does not have them."""
    table = read_arrow(path, row_type.__name__)
    check_columns(path, table.schema, row_type)
    return table.select(schema_of(row_type).names)


def read(path: Path, row_type: type) -> pd.DataFrame:
    """The rows of ``row_type`` in ``path`` as a data frame; BadInput as in ``read_columns``."""
    return read_columns(path, row_type).to_pandas()


def read_filled(path: Path, row_type: type) -> pd.DataFrame:
    """As ``read``, of a table that always has rows; BadInput also if it has none."""
    rows = read(path, row_type)
    check_filled(path, len(rows))
    return rows


def check_filled(path: Path, n_rows: int) -> None:
    """BadInput if a table that always has rows, read from ``path``, has none."""
    if not n_rows:
        raise BadInput(f"{path}: expected at least one row, found none.")


def frame(rows: Sequence[Any], row_type: type) -> pd.DataFrame:
    """Instances of ``row_type`` as a data frame, like the one that ``read`` returns."""
    names = [field.name for field in fields(row_type)]
    return pd.DataFrame({name: [getattr(row, name) for row in rows] for name in names})
