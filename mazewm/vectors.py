"""Labelled vectors <-> one parquet file, whose vectors are mapped into memory where they lie.

The column ``values`` holds a float16 vector in each row, as bytes of fixed length, neither compressed nor encoded; the
labels are ordinary columns beside it. In a page of such a column the vectors stand one after the other, so that each
row group is written as one page which begins at a multiple of 64 KiB (parquet allows gaps between row groups), and the
reader maps the pages of all row groups side by side: one array, of which only what is looked at is read.
Any other writer's file with these columns is read too, by a copy.

With pandas or any other reader of parquet::

    frame = pandas.read_parquet(path)
    values = numpy.frombuffer(b"".join(frame["values"]), numpy.float16).reshape(len(frame), -1)
"""

import ctypes
import mmap
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float16

from mazewm import tables
from mazewm.errors import BadInput

VALUES = "values"
DTYPE, WIDTH = b"mazewm.dtype", b"mazewm.d_model"
N_ROWS = 1 << 14  # of a row group: pages of few MB, and no writer of parquet cuts them (at 20,000 rows)
BLOCK = 1 << 16  # bytes; N_ROWS vectors are a multiple of it, and it is a multiple of every system's page of memory
MAP_FIXED = 0x10  # of Linux and macOS; Python's mmap does not name it
Values = Float16[np.ndarray, "token d_model"]


def write(path: Path, row_type: type, labels: pa.Table, width: int, blocks: Iterable[Values]) -> None:
    """Write the columns of ``row_type`` and vectors of ``width`` numbers, which come in blocks of N_ROWS rows in the order of the labels.

    One block is held in memory. The file is written in place: whoever calls moves it to where it is looked for.
    """
    column = pa.field(VALUES, pa.binary(2 * width), nullable=False)
    known = tables.schema_of(row_type)
    schema = pa.schema([column, *known], metadata={**known.metadata, DTYPE: b"float16", WIDTH: str(width).encode()})
    with pa.OSFile(str(path), "wb") as sink, pq.ParquetWriter(
        sink,
        schema,
        compression={name: "none" if name == VALUES else "zstd" for name in schema.names},
        use_dictionary=[name for name, kind in zip(known.names, known.types, strict=True) if kind == pa.string()],
        write_statistics=False,
        data_page_size=2 * (N_ROWS + 1) * width,
    ) as writer:  # fmt: skip
        done = 0
        for block in blocks:
            bytes_of = pa.FixedSizeBinaryArray.from_buffers(column.type, len(block), [None, pa.py_buffer(np.ascontiguousarray(block))])
            header = _header(len(block), 2 * width)
            sink.write(bytes(-(sink.tell() + len(header)) % BLOCK))
            rows = labels.slice(done, len(block)).select(known.names)
            writer.write_table(pa.Table.from_arrays([bytes_of, *rows.columns], schema=schema), row_group_size=N_ROWS)
            done += len(block)
    if done != len(labels):
        raise ValueError(f"expected a vector for each of {len(labels)} labelled rows, was given {done}")


def read(path: Path, row_type: type) -> tuple[pa.Table, Values]:
    """The columns of ``row_type`` and the vectors beside them, which may not be written to; BadInput for a foreign or broken file."""
    name = row_type.__name__
    with tables.whole_file(path, name), pq.ParquetFile(path) as file:
        tables.check_columns(path, file.schema_arrow, row_type)
        width = _width(path, file.schema_arrow, name)
        labels = file.read(columns=tables.schema_of(row_type).names)
        values = _mapped(path, file.metadata, 2 * width)
        if values is None:
            values = _joined(file)
    return labels, values.view(np.float16).reshape(-1, width)


def _width(path: Path, schema: pa.Schema, name: str) -> int:
    """The length of a vector, by the metadata and by the column alike."""
    if VALUES not in schema.names:
        raise BadInput(f"{path}: column {VALUES} of {name} is missing.")
    dtype, width = ((schema.metadata or {}).get(key, b"").decode() for key in (DTYPE, WIDTH))
    found = schema.field(VALUES)
    if dtype != "float16" or not width.isdecimal() or found.nullable or found.type != pa.binary(2 * int(width)):
        kind = f"{found.type}{' or null' if found.nullable else ''}, said to be {width or 'an unknown number'} of {dtype or 'unknown type'}"
        raise BadInput(f"{path}: column {VALUES}: expected vectors of float16, found {kind}.")
    return int(width)


def _varint(number: int) -> bytes:
    """A number that is not negative, as Thrift's compact protocol writes a signed one: doubled, seven bits a byte, lowest first."""
    left, written = 2 * number, bytearray()
    while left > 0x7F:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*written, left])


def _header(n: int, width: int) -> bytes:
    """What stands before the bytes of a data page of ``n`` values, each of ``width`` bytes: PLAIN, uncompressed, without statistics.

    https://parquet.apache.org/docs/file-format/data-pages and parquet.thrift (PageHeader); 0x15 begins a number, 0x2c and
    0x1c a structure, which 0x00 ends. So: the page's type (0: data), its size twice, {n, encoding (0: PLAIN), those of the
    levels (3: RLE), no statistics}.
    """
    size = b"\x15" + _varint(n * width)
    return b"\x15\x00" + size + size + b"\x2c\x15" + _varint(n) + b"\x15\x00\x15\x06\x15\x06\x1c\x00\x00\x00"


def _mapped(path: Path, metadata: pq.FileMetaData, width: int) -> np.ndarray | None:
    """The bytes of the column of values, the pages of all row groups mapped side by side.

    None if that cannot be: the system has no such mapping, or a row group is not one page that ``_header`` describes, or
    its bytes begin or end within a page of memory.
    """
    found, size = [], 0
    with path.open("rb") as file:
        end = file.seek(0, 2)
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            [column] = (c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == VALUES)
            header = _header(group.num_rows, width)
            start, length = column.data_page_offset + len(header), group.num_rows * width
            file.seek(column.data_page_offset)
            is_one_page = file.read(len(header)) == header and column.total_compressed_size == len(header) + length
            if not is_one_page or start + length > end or start % mmap.ALLOCATIONGRANULARITY or size % mmap.ALLOCATIONGRANULARITY:
                return None
            found.append((size, start, length))
            size += length
        if size == 0 or not hasattr(mmap, "MAP_SHARED"):
            return None
        # Python's mapping reserves the addresses, and frees them when the last array is gone; the file's pages replace its own.
        reserved = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=mmap.PROT_READ)
        values = np.ndarray(size, np.uint8, buffer=reserved)
        place = ctypes.CDLL(None, use_errno=True).mmap
        place.restype = ctypes.c_void_p
        place.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_int64)
        for at, start, length in found:
            address = values.ctypes.data + at
            if place(address, length, mmap.PROT_READ, mmap.MAP_SHARED | MAP_FIXED, file.fileno(), start) != address:
                return None
    return values


def _joined(file: pq.ParquetFile) -> np.ndarray:
    """The same bytes copied into memory by pyarrow, a row group at a time."""
    width = file.schema_arrow.field(VALUES).type.byte_width
    values = np.empty((file.metadata.num_rows, width), np.uint8)
    done = 0
    for batch in file.iter_batches(batch_size=N_ROWS, columns=[VALUES]):
        column = batch.column(0)
        whole = np.frombuffer(column.buffers()[1], np.uint8).reshape(-1, width)
        values[done : done + len(column)] = whole[column.offset : column.offset + len(column)]
        done += len(column)
    values.flags.writeable = False
    return values.reshape(-1)
