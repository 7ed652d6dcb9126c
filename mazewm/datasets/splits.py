"""Which connection sets are for training and which are held out (docs/science.md#held-out).

Sets with equal canonical forms (the same maze turned, mirrored or moved) are one class, and a class
belongs to one split. Small mazes have few classes: there are 24 of trees with 5 connections. So
classes are dealt out separately within each *kind* of maze: the mazes with the same number of
connections and the same number of cells. Within a kind, classes are sorted by a hash of their
canonical form. The first go to ``test`` until it has half of ``held_out_share`` of the mazes drawn,
the next likewise to ``validation``, the others to ``train``; each split gets at least one class. A
kind with fewer than three classes is for training only.
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
    """A hash of each connection set, from 0 to 1: equal for equal sets, pseudo-random otherwise."""
    rng = np.random.default_rng(0x6D617A65)
    weights = rng.integers(2**64, size=connections.shape[1], dtype=np.uint64)
    mixed = (connections * weights).sum(axis=1, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    return mixed / 2**64


def kinds(grid: Lattice, connections: Connections) -> Int[np.ndarray, " maze"]:
    """The kind of each maze as one number: its number of connections and of cells combined."""
    n_cells = touched_cells(grid, connections).sum(axis=1)
    return connections.sum(axis=1) * (grid.n_cells + 1) + n_cells


@dataclass(frozen=True)
class Splits:
    """The splits, as two thresholds for each kind of maze: classes with a hash up to the first are
    for ``test``, up to the second for ``validation``, and beyond it for ``train``."""

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
    """Splits in which test and validation each have at least ``held_out_share / 2`` of the mazes of
    each kind, counted among the mazes ``drawn``, unless training would be left without a class.

    Kinds that do not occur in ``drawn`` are split at the hashes ``held_out_share / 2`` and
    ``held_out_share``.
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
    """How many of the first classes together have at least ``wanted`` mazes."""
    return int(np.searchsorted(np.cumsum(n_mazes), wanted)) + 1
