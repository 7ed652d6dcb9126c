"""What heads of known weights are said to write, and how it is compared with known decoder
directions.
"""

import numpy as np
import pytest
import torch
from circuits import planted_circuit as toy

from mazewm.circuits.attention import BindingHead
from mazewm.circuits.consistency import (
    OvConsistencyRow,
    centred_cosines,
    compare,
    directions,
    other_heads,
)
from mazewm.circuits.ov import class_positions, head_outputs, mean_added, ov_norms, ov_ranks
from mazewm.circuits.readable import Readable
from mazewm.io import tables
from mazewm.localize.locations import PAPER_LOCATION, Location
from mazewm.maze.lattice import lattice
from mazewm.maze.tokens import TokenClass

C2 = Location(0, TokenClass.C2)
BINDING = [BindingHead(0, 0, 0.75)]
MAZES = toy.trees(31)


def by_path(heads: dict[str, list[BindingHead]], site: Location = C2):
    result = compare(toy.planted(), Readable(site, toy.planted_sae(), toy.BEST), heads, MAZES, 0)
    frame = tables.frame(result.rows, OvConsistencyRow)
    return {key: part for key, part in frame.groupby(["path", "heads"])}, result.cosines


def test_head_writes_the_cell_it_reads():
    outputs = head_outputs(toy.planted(), 0, MAZES)
    spread = outputs[0] - outputs[0].mean(dim=0)
    written = spread[:, toy.FETCHED : toy.FETCHED + toy.N_CELLS]
    assert torch.equal(written.argmax(dim=1), torch.arange(toy.N_CELLS))
    assert torch.allclose(spread.norm(dim=1), written.norm(dim=1))


def test_norms_are_those_of_the_outputs():
    model = toy.planted(n_layers=2)
    rows = ov_norms(model, [0, 1], MAZES)
    assert len(rows) == 2 * 2 * toy.N_CELLS
    norms = {(r.layer, r.head, r.cell): r.norm for r in rows}
    assert len({round(norms[0, 0, c], 4) for c in range(toy.N_CELLS)}) == 1
    assert norms[0, 0, 3] > 0.5
    # Head 1 leaves out the last two cells.
    assert norms[0, 1, 8] < 0.1 * norms[0, 1, 0]
    assert norms[1, 0, 3] == 0


def test_effective_rank_counts_equal_directions():
    ranks = {(r.layer, r.head): r.effective_rank for r in ov_ranks(toy.planted(n_layers=2))}
    assert ranks == pytest.approx(
        {(0, 0): toy.N_CELLS, (0, 1): toy.N_BLURRED, (1, 0): 0, (1, 1): 0}, abs=1e-5
    )


def test_mean_position_is_weighted_by_use():
    positions = class_positions(toy.trees(1, smallest=9), [TokenClass.C1, TokenClass.C2])
    assert sorted(positions) == [4 * n + k for n in range(8) for k in (1, 3)]
    added = mean_added(toy.planted(), np.array([2, 2, 2, 7]))
    assert added[[2, 7]].tolist() == [0.75, 0.25]
    assert added.sum().item() == pytest.approx(1)


def test_direction_is_the_mean_over_both_spellings():
    model, (v,) = toy.planted(), head_outputs(toy.planted(), 0, MAZES)[:1]
    for token_class in (TokenClass.C2, TokenClass.DELIMITER, TokenClass.CONNECTOR):
        d = directions(model, BINDING, Location(0, token_class), MAZES)
        for e, (a, b) in enumerate(lattice(toy.N).ends):
            assert torch.allclose(d["heads"].mean(dim=0)[e], 0.75 / 2 * (v[a] + v[b]), atol=1e-6)
        direct = (d["heads+embedding"] - d["heads"]).mean(dim=0)[0]
        cells = torch.zeros_like(direct)
        cells[[toy.CELL, toy.CELL + toy.N]] = 0.5
        assert torch.allclose(direct, cells, atol=1e-6) == (token_class == TokenClass.C2)


def test_matching_directions_are_found_and_controls_fail():
    paths, cosines = by_path({"binding": BINDING, "connectivity": []})
    heads = paths["heads", "binding"]
    assert np.allclose(heads.cosine_matched, 1)
    assert np.allclose(heads.cosine_mismatched_mean, -1 / 11, atol=0.05)
    assert (
        (heads["rank"] == 1).all()
        and (heads.auroc == 1).all()
        and (heads.n_connections == 12).all()
    )
    assert (paths["heads+embedding", "binding"]["rank"] == 1).all()
    # The cell that is fetched says which of the connections of the last cell it is; what is not
    # fetched cannot.
    assert (heads.picked == 1).all()
    for name in (("embedding", "none"), ("embedding+mlp", "none"), ("heads", "other")):
        assert np.allclose(paths[name].picked, paths[name].picked_chance), name
    corner = lattice(toy.N).ends.tolist().index([0, 1])
    assert heads.picked_chance.iloc[corner] == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert np.allclose(paths["heads", "other"].auroc, 0.5)
    assert np.allclose(paths["heads", "other"]["rank"], 6.5)
    shuffled = paths["heads", "shuffled"]
    assert (shuffled["rank"] > 1).all() and (shuffled.auroc < 0.9).all()
    # What the SAE writes is what head 0 fetched; the embedding lies elsewhere.
    assert np.allclose(paths["embedding", "none"].auroc, 0.5)
    assert ("heads", "connectivity") not in paths
    diagonal = [
        row.cosine for row in cosines if row.path == "heads" and row.connection == row.latent_of
    ]
    assert np.allclose(diagonal, 1)
    assert len(cosines) == 3 * 12 * 12


def test_without_heads_only_baselines_are_left():
    paths, cosines = by_path({"binding": [], "connectivity": []}, PAPER_LOCATION)
    assert list(paths) == [("embedding", "none")]
    assert cosines == []


def test_connections_without_a_latent_are_left_out():
    some = {e: latent for e, latent in toy.BEST.items() if e not in (2, 5)}
    rows = compare(
        toy.planted(), Readable(C2, toy.planted_sae(), some), {"binding": BINDING}, MAZES, 0
    ).rows
    assert {row.connection for row in rows} == set(some)
    assert {row.n_connections for row in rows} == {10}
    assert (
        compare(
            toy.planted(), Readable(C2, toy.planted_sae(), {3: 1}), {"binding": BINDING}, MAZES, 0
        ).rows
        == []
    )


def test_other_heads_take_the_weights_of_those_they_stand_for():
    assert other_heads(toy.planted(), BINDING, np.random.default_rng(0)) == [
        BindingHead(0, 1, 0.75)
    ]
    assert (
        other_heads(toy.planted(), [*BINDING, BindingHead(0, 1, 0.5)], np.random.default_rng(0))
        == []
    )


def test_what_all_connections_share_counts_for_nothing():
    x = torch.randn(7, 11, generator=torch.Generator().manual_seed(0))
    assert np.allclose(centred_cosines(x + 100, x), centred_cosines(x, x), atol=1e-4)
    assert (centred_cosines(torch.ones(7, 11) / 3, x) == 0).all()
