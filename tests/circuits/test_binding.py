"""Binding heads by effect, in models whose binding is wired by hand."""

import numpy as np
import pytest
import torch
from circuits import planted_circuit as toy

from mazewm.circuits import binding
from mazewm.circuits.binding import BindingRow
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.localize.locations import Location
from mazewm.maze.lattice import lattice
from mazewm.maze.tokens import SPECIALS, TokenClass, encode

MAZES, OTHERS = toy.trees(101), toy.trees(61, seed=7)
C2 = Location(0, TokenClass.C2)


def arrows() -> np.ndarray:
    """Both cells of each connection, as fetched ones."""
    found = np.zeros((toy.N_CONNECTIONS, 2 * toy.D_HEAD))
    for e, ends in enumerate(lattice(toy.N).ends):
        found[e, toy.FETCHED + ends] = 1.0
    return found


def measured(model, site, chosen=None):
    chosen = (
        binding.choose_heads(Subject(model, OTHERS, 0, 20), site, arrows())
        if chosen is None
        else chosen
    )
    rows = binding.measure_heads(Subject(model, MAZES, 0, 30), site, arrows(), chosen)
    frame = tables.frame(rows, BindingRow)
    assert not frame.duplicated(["heads", "maze_id"]).any()
    total = frame.groupby("heads").projection.sum()
    return chosen, (total["none"] - total) / (total["none"] - total["all"]), frame


def test_the_head_that_fetches_binds():
    chosen, lost, frame = measured(toy.planted(), C2)
    assert chosen == [(0, 0)]
    assert lost["binding"] == pytest.approx(1) and lost["0.0"] == pytest.approx(1)
    assert lost["others"] == pytest.approx(0, abs=1e-6) == lost["0.1"]
    assert set(lost[[f"random {n}" for n in range(binding.N_RANDOM)]].round(4)) <= {0, 1}
    none = frame[frame.heads == "none"]
    assert np.allclose(none.projection, 0.49, atol=0.01), "one of two cells is fetched"


def two_hops() -> object:
    """Block 0 copies each cell one token on, to ``<-->``, and block 1 copies that one on to c2."""
    model = toy.planted(n_layers=2)
    d = 2 * toy.D_HEAD
    one = ((1 - 2 / d) / (2 / d - 4 / d**2) ** 0.5) ** -1
    cells = torch.arange(toy.N_CELLS)
    with torch.no_grad():
        for layer, (source, to) in enumerate([(toy.CELL, toy.BLURRED), (toy.BLURRED, toy.FETCHED)]):
            attn = model.blocks[layer].attn
            for weight in (attn.Q, attn.K, attn.V, attn.O):
                weight.zero_()
            attn.Q[torch.arange(1, toy.N_POS), torch.arange(toy.N_POS - 1)] = 10.0
            attn.K[: toy.N_POS, : toy.N_POS] = torch.eye(toy.N_POS)
            attn.V[source + cells, cells] = one
            attn.O[cells, to + cells] = 1.0
    return model


def test_two_heads_that_pass_a_cell_on_are_both_found():
    """Neither does anything by itself."""
    chosen, lost, _ = measured(two_hops(), Location(1, TokenClass.C2))
    assert sorted(chosen) == [(0, 0), (1, 0)]
    assert lost["binding"] == pytest.approx(1)
    assert lost["0.0"] == pytest.approx(0, abs=1e-6) == lost["1.0"] == lost["others"]


def test_nothing_binds_where_the_change_does_not_come():
    chosen, *_ = measured(toy.planted(), C2, chosen=[])
    assert chosen == []
    silent = toy.planted(writes=(False, False))
    assert binding.choose_heads(Subject(silent, OTHERS, 0, 20), C2, arrows()) == []


def test_the_other_first_cell_makes_an_absent_connection():
    for index in MAZES.batches(30):
        encoded = encode(MAZES[index], np.random.default_rng(1))
        mazes, grid = MAZES[index], MAZES.grid
        found = binding.change_first_cell(
            encoded, np.arange(len(index)), mazes, 2, np.random.default_rng(0)
        )
        assert len(found.maze) > 0
        for row, e, clean, changed in zip(*found, strict=True):
            assert encoded.order[row, 2] == e and clean.tolist() == encoded.lists[row, :13].tolist()
            assert np.flatnonzero(clean != changed).tolist() == [9]
            c1, c2 = changed[[9, 11]] - len(SPECIALS)
            assert not mazes.connections[row, grid.connection_of[c1, c2]]
            assert grid.connection_of[c1, c2] not in (-1, e)
