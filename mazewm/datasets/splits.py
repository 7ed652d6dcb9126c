"""Which connection sets are for training and which are held out.

Sets with equal canonical forms (the same maze turned, mirrored or moved) are one class, and a class
belongs to one split. Small mazes have few classes: a tree of 5 connections is one of 24. So classes
are dealt out within each *kind* of maze, its number of connections and of cells. In the order of a
hash of their forms, the first are for ``test`` until these are half of the held-out share of the
mazes that are drawn, the next for ``validation`` likewise, and the others for ``train``, each at
least one. A kind with fewer than three classes is for training only.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from mazewm.maze.lattice import Lattice
from mazewm.maze.symmetry import canonical_form
from mazewm.maze.truths import touched_cells

SPLITS = ("train", "validation", "test")
Connections = Bool[np.ndarray, "maze connection"]


def set_hash(connections: Connections) -> Float[np.ndarray, " maze"]:
    """A number from 0 to 1 for each set: equal for equal sets, as good as random for others."""
    rng = np.random.default_rng(0x6D617A65)
    weights = rng.integers(2**64, size=connections.shape[1], dtype=np.uint64)
    mixed = (connections * weights).sum(axis=1, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    return mixed / 2**64


def kinds(grid: Lattice, connections: Connections) -> Int[np.ndarray, " maze"]:
    """A number for each pair of a number of connections and a number of cells."""
    n_cells = touched_cells(grid, connections).sum(axis=1)
    return connections.sum(axis=1) * (grid.n_cells + 1) + n_cells


@dataclass(frozen=True)
class Splits:
    """Up to which hash the classes of a kind are for ``test``, and from there ``validation``."""

    grid: Lattice
    test_until: Float[np.ndarray, " kind"]
    validation_until: Float[np.ndarray, " kind"]

    def of(self, connections: Connections) -> np.ndarray:
        """The name of the split that each connection set belongs to."""
        u = set_hash(canonical_form(self.grid, connections))
        kind = kinds(self.grid, connections)
        is_test, is_validation = u <= self.test_until[kind], u <= self.validation_until[kind]
        return np.where(is_test, "test", np.where(is_validation, "validation", "train"))


def deal(grid: Lattice, drawn: Connections, held_out_share: float) -> Splits:
    """Splits in which test and validation have half of the share of each kind, or a little more.

    The share is counted among ``drawn``. Kinds that are not there are split at the hashes
    ``held_out_share / 2`` and ``held_out_share``.
    """
    n_kinds = (grid.n_connections + 1) * (grid.n_cells + 1)
    test_until = np.full(n_kinds, held_out_share / 2)
    validation_until = np.full(n_kinds, held_out_share)
    u, kind = set_hash(canonical_form(grid, drawn)), kinds(grid, drawn)
    for one in np.unique(kind):
        classes, n_mazes = np.unique(u[kind == one], return_counts=True)
        if len(classes) < len(SPLITS):
            test_until[one] = validation_until[one] = -1  # before every hash
            continue
        wanted = held_out_share / 2 * n_mazes.sum()
        n_test = min(_first(n_mazes, wanted), len(classes) - 2)
        n_held_out = min(n_test + _first(n_mazes[n_test:], wanted), len(classes) - 1)
        test_until[one], validation_until[one] = classes[n_test - 1], classes[n_held_out - 1]
    return Splits(grid, test_until, validation_until)


def _first(n_mazes: Int[np.ndarray, " class"], wanted: float) -> int:
    """How many classes, from the first on, have as many mazes as wanted."""
    return int(np.searchsorted(np.cumsum(n_mazes), wanted)) + 1
