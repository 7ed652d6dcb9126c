"""A canonical form, equal for all mazes that differ only by rotation, reflection or translation."""

import numpy as np
from jaxtyping import Bool, UInt64

from mazewm.maze.lattice import Lattice
from mazewm.maze.truths import touched_cells

Connections = Bool[np.ndarray, "maze connection"]
Words = UInt64[np.ndarray, "maze word"]


def canonical_form(grid: Lattice, connections: Connections) -> Connections:
    """The canonical form of each connection set, itself a connection set on the same lattice
    (docs/science.md#held-out).

    Each of the 8 images of a set under the symmetries of the square is moved into the top left
    corner of the lattice. The canonical form is the image whose bits come first in lexicographic
    order. So two sets have equal forms if and only if a symmetry followed by a translation takes
    one to the other.

    >>> from mazewm.maze.lattice import lattice
    >>> single = np.eye(12, dtype=bool)  # every maze of one connection on the 3 x 3 lattice
    >>> forms = canonical_form(lattice(3), single)
    >>> len(np.unique(forms, axis=0))  # all are the same maze, turned or moved
    1
    """
    n, n_mazes = grid.n, len(connections)
    maze, connection = np.nonzero(connections)
    first, last = _corners(grid, connections)
    a, b = grid.ends.T
    # Moving a connection one column to the left lowers its number by 1. Moving it one row up lowers
    # it by the connections of a row: n for vertical ones, n - 1 for horizontal ones.
    row = np.where(np.arange(grid.n_connections) < n * (n - 1), n, n - 1)
    best = None
    for image in grid.symmetries:
        moved = grid.connection_of[image[a], image[b]]
        top = np.minimum(image[first] // n, image[last] // n)
        left = np.minimum(image[first] % n, image[last] % n)
        number = moved[connection] - top[maze] * row[moved][connection] - left[maze]
        bits = np.zeros((n_mazes, grid.n_connections), bool)
        bits[maze, number] = True
        words = _words(bits)
        best = words if best is None else np.where(_comes_first(words, best)[:, None], words, best)
    assert best is not None
    packed = best.astype(">u8").view(np.uint8)
    return np.unpackbits(packed, axis=1, count=grid.n_connections).astype(bool)


def _corners(grid: Lattice, connections: Connections) -> tuple[np.ndarray, np.ndarray]:
    """The top left and the bottom right cell of the smallest rectangle around each set."""
    n = grid.n
    cells = np.reshape(touched_cells(grid, connections), (-1, n, n))
    rows, cols = np.any(cells, axis=2), np.any(cells, axis=1)
    first = rows.argmax(axis=1) * n + cols.argmax(axis=1)
    last = (n - 1 - rows[:, ::-1].argmax(axis=1)) * n + n - 1 - cols[:, ::-1].argmax(axis=1)
    return first, last


def _words(bits: Connections) -> Words:
    """Rows of bits as rows of integers that keep the lexicographic order of the bits."""
    packed = np.packbits(bits, axis=1)
    padded = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    return padded.view(">u8").astype(np.uint64)


def _comes_first(a: Words, b: Words) -> Bool[np.ndarray, " maze"]:
    """Whether each row of ``a`` comes before the same row of ``b`` in lexicographic order."""
    is_less, is_equal = np.zeros(len(a), bool), np.ones(len(a), bool)
    for left, right in zip(a.T, b.T, strict=True):
        is_less |= is_equal & (left < right)
        is_equal &= left == right
    return is_less
