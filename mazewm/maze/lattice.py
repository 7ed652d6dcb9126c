"""The n x n lattice: its cells, which cells are adjacent, and the connections that can exist.

A cell is ``(row, col)``, 0-based from the top left, and has the number ``row * n + col``. A
connection is an unordered pair of adjacent cells (docs/science.md#cell-and-connection). Connections
are numbered: all vertical ones first, row by row, then all horizontal ones. So a maze is a vector
of 2n(n-1) bits.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Int


@dataclass(frozen=True)
class Lattice:
    """An n x n lattice. Use ``lattice(n)``, which makes each only once."""

    n: int

    @property
    def n_cells(self) -> int:
        """The number of cells."""
        return self.n * self.n

    @property
    def n_connections(self) -> int:
        """The number of pairs of adjacent cells."""
        return 2 * self.n * (self.n - 1)

    @cached_property
    def ends(self) -> Int[np.ndarray, "connection 2"]:
        """The two cells of each connection, the upper or left one first."""
        cell = np.arange(self.n_cells).reshape(self.n, self.n)
        vertical = np.stack([cell[:-1].ravel(), cell[1:].ravel()], axis=1)
        horizontal = np.stack([cell[:, :-1].ravel(), cell[:, 1:].ravel()], axis=1)
        return np.concatenate([vertical, horizontal])

    @cached_property
    def connection_of(self) -> Int[np.ndarray, "cell cell"]:
        """The number of the connection between two cells; -1 for cells that are not adjacent."""
        table = np.full((self.n_cells, self.n_cells), -1)
        a, b = self.ends.T
        table[a, b] = table[b, a] = np.arange(self.n_connections)
        return table

    @cached_property
    def neighbours(self) -> Int[np.ndarray, "cell 4"]:
        """The cells above, below, left and right of each cell, in this order; -1 outside the
        lattice."""
        table = np.full((self.n_cells, 4), -1)
        for cell in range(self.n_cells):
            row, col = divmod(cell, self.n)
            for side, (r, c) in enumerate(
                [(row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)]
            ):
                if 0 <= r < self.n and 0 <= c < self.n:
                    table[cell, side] = r * self.n + c
        return table

    @cached_property
    def symmetries(self) -> Int[np.ndarray, "symmetry cell"]:
        """The image of each cell under the 8 symmetries of the square: four rotations, then the
        same four mirrored."""
        cell = np.arange(self.n_cells).reshape(self.n, self.n)
        turned = [np.rot90(cell, quarters) for quarters in range(4)]
        return np.stack([image.ravel() for image in (*turned, *(one.T for one in turned))])

    def name(self, connection: int) -> str:
        """A readable name of a connection, such as ``(0,1)-(1,1)``."""
        a, b = (divmod(int(cell), self.n) for cell in self.ends[connection])
        return f"({a[0]},{a[1]})-({b[0]},{b[1]})"

    def corner_connections(self, size: int) -> Int[np.ndarray, " inner"]:
        """The connections of the size x size lattice, seen as the top left corner of this one:
        their numbers in this lattice, in the order of the smaller one."""
        inner = lattice(size)
        rows, cols = np.divmod(inner.ends, size)
        a, b = (rows * self.n + cols).T
        return self.connection_of[a, b]


@lru_cache
def lattice(n: int) -> Lattice:
    """The n x n lattice, made only once for each n.

    >>> grid = lattice(3)
    >>> grid.n_cells, grid.n_connections
    (9, 12)
    >>> int(grid.connection_of[0, 3])  # from (0, 0) down to (1, 0)
    0
    >>> grid.name(6)  # the first horizontal connection
    '(0,0)-(0,1)'
    """
    return Lattice(n)
