"""Loading a gigabyte of activations from our format and from others: ``python -m benchmarks
loading``.

The same float16 values of 4 million tokens are on disk in mazewm's format (with labels), as one
file of ``torch.save``, as ``.npy``, and as a Hugging Face data set, the format in which SAELens
caches activations. Loading includes reading every value once, in order and in batches; otherwise a
memory-mapped file would count as loaded before anything was read. Files are in the page cache.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import torch

from benchmarks.pairing import OURS, Contender, Line, race, rows
from mazewm.io import tables, vectors
from mazewm.localize import activations

N_TOKENS, WIDTH = 4_000_000, 128
BATCH = 8_192
GIGABYTES = N_TOKENS * WIDTH * 2 / 1e9


def values() -> np.ndarray:
    """Random whole numbers from -8 to 8 as float16, [token, d_model]."""
    return np.random.default_rng(0).integers(-8, 9, (N_TOKENS, WIDTH), np.int8).astype(np.float16)


def checksum(batches: Iterator[np.ndarray]) -> int:
    """A checksum that reads every byte once and does not depend on the order."""
    so_far = np.uint64(0)
    for batch in batches:
        so_far ^= np.bitwise_xor.reduce(batch.reshape(-1).view(np.uint64))
    return int(so_far)


def in_batches(whole: np.ndarray) -> Iterator[np.ndarray]:
    """Batches of an array's rows, as views."""
    return (whole[start : start + BATCH] for start in range(0, len(whole), BATCH))


def write_ours(folder: Path, made: np.ndarray) -> None:
    """Write values and labels in the format of the stage cache_activations."""
    numbers, classes = np.zeros(len(made), np.int32), np.full(len(made), "c2")
    names = tables.schema_of(activations.TokenLabels).names
    labels = pa.table({name: classes if name == "token_class" else numbers for name in names})
    starts = range(0, len(made), vectors.N_ROWS)
    blocks = (made[start : start + vectors.N_ROWS] for start in starts)
    folder.mkdir()
    vectors.write(folder / activations.FILE, activations.TokenLabels, labels, WIDTH, blocks)


def write_data_set(folder: Path, made: np.ndarray) -> None:
    """Write a Hugging Face data set with one column of vectors."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(made.ravel()), WIDTH)
    datasets.Dataset(pa.table({"values": vectors})).save_to_disk(folder)


def read_data_set(folder: Path) -> Iterator[np.ndarray]:
    """Batches read as SAELens reads them, but without the conversion to torch."""
    data = datasets.load_from_disk(folder).with_format("numpy", dtype=np.float16)
    return (data[start : start + BATCH]["values"] for start in range(0, N_TOKENS, BATCH))


def readers(folder: Path, made: np.ndarray) -> dict[str, Callable[[], int]]:
    """Write the values in every format; returns, by contender, a function that loads them and
    returns their checksum."""
    write_ours(folder / "ours", made)
    np.save(folder / "values.npy", made)
    torch.save(torch.from_numpy(made), folder / "values.pt")
    write_data_set(folder / "data set", made)
    return {
        OURS: lambda: checksum(in_batches(activations.read(folder / "ours").values)),
        "torch, torch.load": lambda: checksum(in_batches(torch.load(folder / "values.pt").numpy())),
        "numpy, np.load": lambda: checksum(in_batches(np.load(folder / "values.npy"))),
        "datasets, load_from_disk": lambda: checksum(read_data_set(folder / "data set")),
    }


def contender(reader: Callable[[], int]) -> Contender:
    """A contender that loads all values and returns how many gigabytes they are."""

    def load() -> float:
        reader()
        return GIGABYTES

    return load


def run() -> list[dict[str, Any]]:
    """The rows of this benchmark: one line of work, for three other formats."""
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as scratch:
        made = values()
        expected, by_name = checksum(in_batches(made)), readers(Path(scratch), made)
        del made
        for name, reader in by_name.items():
            if (found := reader()) != expected:
                raise RuntimeError(
                    f"loading: {name}: expected the checksum {expected}, found {found}."
                )
        line = Line(
            "activations loaded",
            f"{GIGABYTES:.2f} GB of float16 in the page cache, every byte read once, in batches",
            "GB/s",
            "the same checksum of all bytes",
        )
        return rows(line, race({name: contender(reader) for name, reader in by_name.items()}))
