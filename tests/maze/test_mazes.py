"""A batch of mazes: what it picks, what it keeps on disk, what it refuses to read."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toys import HOOK, ISLANDS, LADDER, RING, batch

from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.maze import mazes
from mazewm.maze.lattice import lattice

COLUMNS = ("maze_id", "family", "connections", "origin", "target", "path")


@pytest.fixture
def two():
    return batch(HOOK, LADDER)


def assert_equal(a, b):
    assert a.grid == b.grid
    for name in COLUMNS:
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


def test_counts_and_lengths(two):
    assert two.n_connections.tolist() == [8, 7]
    assert two.path_length.tolist() == [9, 4]
    groups = two.by_n_connections()
    assert {n: index.tolist() for n, index in groups.items()} == {8: [0], 7: [1]}


def test_picking(two):
    picked = two[np.array([1, 0, 1])]
    assert len(picked) == 3
    assert picked.target.tolist() == [2, 4, 2]
    assert picked.path_length.tolist() == [4, 9, 4]


def test_solve_keeps_mazes_with_one_shortest_path_only():
    grid = lattice(3)
    # LADDER from its top left corner to its middle can go two ways; ISLANDS has no way.
    connections = np.stack([HOOK.bits, LADDER.bits, ISLANDS.bits, LADDER.bits])
    solved = mazes.solve(
        grid, connections, np.array([0, 0, 0, 3]), np.array([4, 4, 8, 2]), np.full(4, "drawn")
    )
    assert solved.maze_id.tolist() == [0, 3]
    assert solved.path[0].tolist() == [0, 1, 2, 5, 8, 7, 6, 3, 4]
    assert solved.path[1, :5].tolist() == [3, 4, 5, 2, -1]


def test_parquet_round_trip(two, tmp_path):
    mazes.write(tmp_path / "m.parquet", two)
    assert_equal(mazes.read(tmp_path / "m.parquet"), two)
    again = two[np.array([1, 0])]
    mazes.write(tmp_path / "m.parquet", again)
    assert_equal(mazes.read(tmp_path / "m.parquet"), again)


def test_round_trip_of_another_size(tmp_path):
    mazes.write(tmp_path / "m.parquet", batch(RING))
    assert_equal(mazes.read(tmp_path / "m.parquet"), batch(RING))


def test_the_same_mazes_are_the_same_bytes(two, tmp_path):
    mazes.write(tmp_path / "a.parquet", two)
    mazes.write(tmp_path / "b.parquet", two)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def refusal(path):
    with pytest.raises(BadInput) as caught:
        mazes.read(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    assert "missing" in refusal(tmp_path / "m.parquet")


def test_a_truncated_file_is_named(two, tmp_path):
    path = tmp_path / "m.parquet"
    mazes.write(path, two)
    whole = path.read_bytes()
    for size in (0, 3, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        assert "MazeRow" in refusal(path)


def test_a_foreign_file_is_named(tmp_path):
    path = tmp_path / "m.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    assert "expected a table of MazeRow" in refusal(path)
    path.write_text("maze_id,family\n")
    refusal(path)


def row(bits):
    return mazes.MazeRow(0, "drawn", bits, 0, 1, [0, 1])


def test_bits_that_are_no_lattice_are_refused(tmp_path):
    path = tmp_path / "m.parquet"
    tables.write_rows(path, mazes.MazeRow, [row([True] * 5)])
    assert "connections" in refusal(path)


def test_an_empty_table_is_refused(tmp_path):
    path = tmp_path / "m.parquet"
    tables.write_rows(path, mazes.MazeRow, [])
    assert "at least one maze" in refusal(path)
