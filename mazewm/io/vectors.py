"""Labelled vectors, such as activations, in one parquet file, in float16 or float32.

Each row has one vector in the column ``values``, stored as bytes of fixed length, and its labels in
ordinary columns. The vectors are neither compressed nor encoded, and each row group has one page of
them, so that reading and writing are as fast as the disk allows; a list column would be encoded
number by number, ten times as slow. Writing holds one block in memory; reading holds all vectors of
the file.

To read the vectors with pandas or any other reader of parquet (the file's metadata name the type,
``mazewm.dtype``)::

    frame = pandas.read_parquet(path)
    values = numpy.frombuffer(b"".join(frame["values"]), numpy.float16).reshape(len(frame), -1)
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float

from mazewm.io import tables
from mazewm.io.errors import BadInput

VALUES = "values"
DTYPE, WIDTH = b"mazewm.dtype", b"mazewm.d_model"
N_ROWS = 1 << 14  # rows of a parquet row group, and of a block to write
PLAIN = {"PLAIN", "RLE"}  # encodings of plain values; RLE is that of nulls, of which there are none
MAX_HEADER = 32  # bytes before the values of one page; the headers of two pages have 38 or more
# by name: the type of the numbers, and the bits that are all set in one that is not finite
DTYPES = {"float16": np.float16, "float32": np.float32}
EXPONENTS = {"float16": (np.uint16, 0x7C00), "float32": (np.uint32, 0x7F800000)}
Values = Float[np.ndarray, "token d_model"]


def write(
    path: Path,
    row_type: type,
    labels: pa.Table,
    width: int,
    blocks: Iterable[Values],
    dtype: str = "float16",
) -> None:
    """Write vectors of ``width`` numbers with labels, the columns of ``row_type``. The vectors come
    in blocks of N_ROWS rows of ``dtype`` (one of DTYPES), in the order of the labels. ValueError if
    there are more or fewer vectors than labels.

    One block is held in memory. The file is written directly, not renamed when complete: the caller
    should write to a temporary name."""
    n_bytes = np.dtype(DTYPES[dtype]).itemsize * width
    column = pa.field(VALUES, pa.binary(n_bytes), nullable=False)
    known = tables.schema_of(row_type)
    said = {DTYPE: dtype.encode(), WIDTH: str(width).encode()}
    schema = pa.schema([column, *known], metadata={**known.metadata, **said})
    with pq.ParquetWriter(
        path,
        schema,
        compression={name: "none" if name == VALUES else "zstd" for name in schema.names},
        use_dictionary=[
            name for name, kind in zip(known.names, known.types, strict=True) if kind == pa.string()
        ],
        write_statistics=False,
        data_page_size=n_bytes * N_ROWS,  # one page for each row group
    ) as writer:
        done = 0
        for block in blocks:
            bytes_of = pa.FixedSizeBinaryArray.from_buffers(
                column.type, len(block), [None, pa.py_buffer(np.ascontiguousarray(block))]
            )
            rows = labels.slice(done, len(block)).select(known.names)
            writer.write_table(
                pa.Table.from_arrays([bytes_of, *rows.columns], schema=schema),
                row_group_size=N_ROWS,
            )
            done += len(block)
    if done != len(labels):
        raise ValueError(
            f"expected a vector for each of {len(labels)} labelled rows, was given {done}"
        )


def read(path: Path, row_type: type) -> tuple[pa.Table, Values]:
    """The label columns of ``row_type`` and the vectors (a read-only array). BadInput if the file
    is missing, broken or of another type, or if a number is not finite."""
    name = row_type.__name__
    with tables.whole_file(path, name), pq.ParquetFile(path) as file:
        tables.check_columns(path, file.schema_arrow, row_type)
        dtype, width = _kind(path, file.schema_arrow, name)
        labels = file.read(columns=tables.schema_of(row_type).names)
        tables.check_values(path, labels)
        values = _joined(path, file, dtype)
    return labels, values.view(DTYPES[dtype]).reshape(-1, width)


def _kind(path: Path, schema: pa.Schema, name: str) -> tuple[str, int]:
    """The type of the numbers, and the length of a vector; BadInput if metadata and column type
    disagree about them."""
    if VALUES not in schema.names:
        raise BadInput(f"{path}: column {VALUES} of {name} is missing.")
    dtype, width = (
        (schema.metadata or {}).get(key, b"").decode(errors="replace") for key in (DTYPE, WIDTH)
    )
    found = schema.field(VALUES)
    if (
        dtype not in DTYPES
        or not width.isdecimal()
        or found.nullable
        or found.type != pa.binary(np.dtype(DTYPES[dtype]).itemsize * int(width))
    ):
        told = f"{width or 'an unknown number'} of {dtype or 'unknown type'}"
        kind = f"{found.type}{' or null' if found.nullable else ''}, said to be {told}"
        raise BadInput(
            f"{path}: column {VALUES}: expected vectors of float16 or float32, found {kind}."
        )
    return dtype, int(width)


def _joined(path: Path, file: pq.ParquetFile, dtype: str) -> np.ndarray:
    """The bytes of the column of values. Row groups as ``write`` makes them are read from the file
    directly into the result; others are read by Arrow, which needs one more copy."""
    schema, width = file.schema_arrow, file.schema_arrow.field(VALUES).type.byte_width
    at, groups = schema.get_field_index(VALUES), range(file.metadata.num_row_groups)
    n_rows = sum(file.metadata.row_group(nth).column(at).num_values for nth in groups)
    if n_rows != file.metadata.num_rows:
        raise BadInput(f"{path}: not a whole parquet file (it has not as many rows as it says).")
    values, done = np.empty((n_rows, width), np.uint8), 0
    with path.open("rb", buffering=0) as raw:
        for nth in groups:
            before = done
            chunk = file.metadata.row_group(nth).column(at)
            into = values[done : done + chunk.num_values]
            done += chunk.num_values
            # One page that is neither compressed nor encoded is a header, and then the values.
            header = chunk.total_compressed_size - into.nbytes
            is_plain = chunk.compression == "UNCOMPRESSED" and set(chunk.encodings) <= PLAIN
            if not is_plain or not 0 < header <= MAX_HEADER:
                column = file.read_row_group(nth, columns=[VALUES])[VALUES].combine_chunks()
                if len(column) != len(into):
                    raise BadInput(f"{path}: not a whole parquet file (a row group lacks rows).")
                stored = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, width)
                into[:] = stored[column.offset : column.offset + len(column)]
            else:
                raw.seek(chunk.data_page_offset + header)
                if raw.readinto(into.data.cast("B")) != into.nbytes:
                    raise BadInput(f"{path}: not a whole parquet file (it ends amid its values).")
            _check_finite(path, into, dtype, before)
    values.flags.writeable = False
    return values.reshape(-1)


def _check_finite(path: Path, rows: np.ndarray, dtype: str, first: int) -> None:
    """BadInput if a number of ``rows`` (their bytes, read from row ``first`` of the file on) is
    infinite or not a number. Done on the bits, which for float16 is ten times as fast as
    ``np.isfinite``."""
    kind, mask = EXPONENTS[dtype]
    bits = rows.reshape(-1).view(kind)
    if ((bits & mask) != mask).all():
        return
    at = int(np.flatnonzero(~np.isfinite(bits.view(DTYPES[dtype])))[0])
    row = first + at * np.dtype(kind).itemsize // rows.shape[1]
    found = bits.view(DTYPES[dtype])[at]
    raise BadInput(f"{path}: column {VALUES}: expected finite numbers, found {found} in row {row}.")
