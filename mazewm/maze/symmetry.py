"""One form for all mazes that are the same but turned, mirrored or moved."""

import numpy as np
from jaxtyping import Bool, UInt64

from mazewm.maze.lattice import Lattice
from mazewm.maze.truths import touched_cells

Connections = Bool[np.ndarray, "maze connection"]
Words = UInt64[np.ndarray, "maze word"]


def canonical_form(grid: Lattice, connections: Connections) -> Connections:
    """The canonical form of each connection set, itself a connection set on the same lattice.

    Each of the 8 images of a set under the symmetries of the square is moved into the top left
    corner of the lattice; the canonical form is the one whose bits come first in lexicographic
    order. So two sets have equal forms if and only if a symmetry and a translation take one to
    the other.
    """
    n, n_mazes = grid.n, len(connections)
    maze, connection = np.nonzero(connections)
    first, last = _corners(grid, connections)
    a, b = grid.ends.T
    # One column to the left is one number less; one row up is a row of connections less, and a
    # row has n vertical and n - 1 horizontal ones.
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
    """Rows of bits as rows of numbers that are ordered as the bits are."""
    packed = np.packbits(bits, axis=1)
    padded = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    return padded.view(">u8").astype(np.uint64)


def _comes_first(a: Words, b: Words) -> Bool[np.ndarray, " maze"]:
    """Whether each row of ``a`` is before that of ``b`` in lexicographic order."""
    is_less, is_equal = np.zeros(len(a), bool), np.ones(len(a), bool)
    for left, right in zip(a.T, b.T, strict=True):
        is_less |= is_equal & (left < right)
        is_equal &= left == right
    return is_less
