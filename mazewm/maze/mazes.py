"""Batches of mazes, each with an origin, a target and the shortest path between them, as arrays and
as parquet files.

Mazes of different sizes share cell and connection numbers: each lies in the top left corner of the
*vocabulary lattice*, the lattice whose cells have tokens.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int

from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.maze.lattice import Lattice, lattice
from mazewm.maze.maze import Maze
from mazewm.maze.truths import shortest_paths


@dataclass(frozen=True)
class MazeRow:
    """One maze as a row of a parquet file."""

    maze_id: tables.Int
    family: tables.Text
    connections: tables.Bits  # 2n(n-1) bits of the vocabulary lattice
    origin: tables.Int  # a cell number
    target: tables.Int
    path: tables.Cells  # the shortest path, origin and target included


@dataclass(frozen=True)
class Mazes:
    """A batch of mazes on one vocabulary lattice, each with exactly one shortest path.

    Iterating or indexing with a number gives single mazes (``Maze``); a slice, mask or index array
    gives a smaller batch."""

    grid: Lattice
    maze_id: Int[np.ndarray, " maze"]
    family: np.ndarray  # names, such as trees and loops
    connections: Bool[np.ndarray, "maze connection"]
    origin: Int[np.ndarray, " maze"]
    target: Int[np.ndarray, " maze"]
    path: Int[np.ndarray, "maze step"]  # cell numbers, padded with -1

    def __len__(self) -> int:
        return len(self.connections)

    @overload
    def __getitem__(self, index: int | np.integer) -> Maze: ...
    @overload
    def __getitem__(self, index: np.ndarray | slice) -> "Mazes": ...
    def __getitem__(self, index: int | np.integer | np.ndarray | slice) -> "Maze | Mazes":
        """One maze for a number; a batch for a slice, a mask or an index array."""
        if isinstance(index, int | np.integer):
            ends = (divmod(int(ends[index]), self.grid.n) for ends in (self.origin, self.target))
            return Maze(self.grid, self.connections[index].copy(), *ends)
        return Mazes(
            self.grid,
            self.maze_id[index],
            self.family[index],
            self.connections[index],
            self.origin[index],
            self.target[index],
            self.path[index],
        )

    def __iter__(self) -> Iterator[Maze]:
        return (self[nth] for nth in range(len(self)))

    @classmethod
    def of(cls, mazes: Sequence[Maze]) -> "Mazes":
        """Single mazes as a batch. BadInput if there are none, if they are not on one lattice, or
        for a maze that does not have exactly one shortest path.

        >>> line = Maze.of(2, [((0, 0), (0, 1)), ((0, 1), (1, 1))], origin=(0, 0), target=(1, 1))
        >>> mazes = Mazes.of([line, line.add((0, 0), (1, 0))])
        >>> mazes.n_connections, mazes.path_length
        (array([2, 3]), array([3, 3]))
        >>> mazes[1]
        <Maze 2x2, 3 connections, from (0, 0) to (1, 1)>
        """
        if len({one.grid.n for one in mazes}) != 1:
            raise BadInput(f"expected mazes on one lattice, found {list(mazes)!r}.")
        grid = mazes[0].grid
        origin, target = (
            np.array([one.number(end) for one, end in zip(mazes, ends, strict=True)])
            for ends in ([one.origin for one in mazes], [one.target for one in mazes])
        )
        found = solve(
            grid,
            np.stack([one.bits for one in mazes]),
            origin,
            target,
            np.full(len(mazes), "given"),
        )
        if len(found) < len(mazes):
            lost = next(one for one in mazes if not one.has_one_path)
            raise BadInput(
                f"{lost!r}: expected one and only one shortest path from origin to target."
            )
        return found

    @property
    def n_connections(self) -> Int[np.ndarray, " maze"]:
        """How many connections each maze has."""
        return self.connections.sum(axis=1)

    @property
    def path_length(self) -> Int[np.ndarray, " maze"]:
        """How many cells each shortest path has, origin and target included."""
        return (self.path >= 0).sum(axis=1)

    def by_n_connections(self) -> dict[int, np.ndarray]:
        """The indices of the mazes with each number of connections. Mazes with equally many
        connections have prompts of equal length."""
        counts = self.n_connections
        return {int(n): np.flatnonzero(counts == n) for n in np.unique(counts)}

    def batches(self, size: int) -> Iterator[Int[np.ndarray, " row"]]:
        """Batches of at most ``size`` mazes, as arrays of indices. All mazes of a batch have the
        same number of connections; batches with fewer connections come first.

        >>> line = Maze.of(2, [((0, 0), (0, 1)), ((0, 1), (1, 1))], origin=(0, 0), target=(1, 1))
        >>> mazes = Mazes.of([line, line.add((0, 0), (1, 0)), line])
        >>> [index.tolist() for index in mazes.batches(10)]
        [[0, 2], [1]]
        """
        for index in self.by_n_connections().values():
            yield from (index[start : start + size] for start in range(0, len(index), size))


def solve(
    grid: Lattice,
    connections: np.ndarray,
    origin: np.ndarray,
    target: np.ndarray,
    family: np.ndarray,
    maze_id: np.ndarray | None = None,
) -> Mazes:
    """Find the shortest paths of the given mazes. Only mazes with exactly one shortest path are in
    the result; ``maze_id`` (by default the place in the input) tells which these are.

    ``connections`` is ``[maze, connection]``; all other arrays have one entry for each maze.

    >>> bits = np.array([[True, True, True, True], [True, True, False, True]])
    >>> ends = np.array([0, 0]), np.array([3, 3])  # from the top left to the bottom right cell
    >>> found = solve(lattice(2), bits, *ends, family=np.array(["square", "tree"]))
    >>> found.maze_id, found.path[0]  # in the square, two paths are shortest
    (array([1]), array([ 0,  2,  3, -1], dtype=int16))
    """
    paths = shortest_paths(grid, connections, origin, target)
    keep = paths.is_unique
    ids = np.arange(len(connections)) if maze_id is None else maze_id
    return Mazes(
        grid,
        ids[keep],
        family[keep],
        connections[keep],
        origin[keep],
        target[keep],
        paths.cells[keep],
    )


def write(path: Path, mazes: Mazes) -> None:
    """Write a batch as a parquet file of ``MazeRow``."""
    bit_offsets = np.arange(len(mazes) + 1, dtype=np.int32) * mazes.grid.n_connections
    tables.write(
        path,
        MazeRow,
        {
            "maze_id": mazes.maze_id,
            "family": mazes.family,
            "connections": pa.ListArray.from_arrays(
                bit_offsets, pa.array(mazes.connections.ravel())
            ),
            "origin": mazes.origin,
            "target": mazes.target,
            "path": tables.ragged(mazes.path),
        },
    )


def read(path: Path) -> Mazes:
    """Read a batch that ``write`` wrote. Its lattice follows from the number of bits of a maze.
    BadInput if the file is missing or broken, has no mazes, mazes of different lattices, a maze_id
    twice, or a path that does not lead along connections from origin to target."""
    table = tables.read_columns(path, MazeRow)
    n_mazes = len(table)
    if n_mazes == 0:
        raise BadInput(f"{path}: expected at least one maze, found none.")
    bits = table["connections"].combine_chunks()
    widths = np.unique(np.diff(bits.offsets.to_numpy()))
    grid = lattice(round((1 + (1 + 2 * int(widths[0])) ** 0.5) / 2))
    if list(widths) != [grid.n_connections]:
        raise BadInput(
            f"{path}: column connections: expected the same 2n(n-1) bits in every row, found rows "
            f"of {widths.tolist()}."
        )
    steps = table["path"].combine_chunks()
    lengths = np.diff(steps.offsets.to_numpy())
    if not ((lengths >= 2) & (lengths <= grid.n_cells)).all():
        raise BadInput(
            f"{path}: column path: expected 2 to {grid.n_cells} cells, found "
            f"{sorted({int(lengths.min()), int(lengths.max())})}."
        )
    cells = np.full((n_mazes, grid.n_cells), -1, np.int16)
    cells[np.arange(grid.n_cells) < lengths[:, None]] = steps.flatten().to_numpy()
    found = Mazes(
        grid,
        table["maze_id"].to_numpy(),
        table["family"].to_numpy().astype(str),
        bits.flatten().to_numpy(zero_copy_only=False).reshape(n_mazes, -1),
        table["origin"].to_numpy(),
        table["target"].to_numpy(),
        cells,
    )
    _check_paths(path, found)
    if len(np.unique(found.maze_id)) < n_mazes:
        raise BadInput(f"{path}: column maze_id: expected different numbers, found some twice.")
    return found


def _check_paths(path: Path, mazes: Mazes) -> None:
    """BadInput for a maze whose path does not lead along its connections from origin to target.
    That no path is shorter is not checked: it would take as long as to find the paths."""
    grid, row, length = mazes.grid, np.arange(len(mazes)), mazes.path_length
    is_filled = np.arange(grid.n_cells) < length[:, None]
    is_good = ((mazes.path >= 0) == is_filled).all(axis=1) & (mazes.path < grid.n_cells).all(axis=1)
    is_good &= mazes.path[:, 0] == mazes.origin
    is_good &= mazes.path[row, length - 1] == mazes.target
    for step in range(grid.n_cells - 1):
        on = is_good & (step + 1 < length)
        here, there = mazes.path[on, step], mazes.path[on, step + 1]
        through = grid.connection_of[here, there]
        is_good[on] = (through >= 0) & mazes.connections[on, through]
    if not is_good.all():
        at = int(np.flatnonzero(~is_good)[0])
        raise BadInput(
            f"{path}: column path: expected cells along connections from {mazes.origin[at]} to "
            f"{mazes.target[at]}, found {mazes.path[at, : length[at]].tolist()} in row {at}."
        )
