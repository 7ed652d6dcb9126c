"""Where all models are compared, whatever block a run reads connections after."""

import pandas as pd
import pytest
from circuits import planted_circuit as toy

from mazewm.circuits import tracing
from mazewm.circuits.params import CircuitParams
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.localize.locations import Location
from mazewm.maze.tokens import TokenClass

PARAMS = CircuitParams(
    n_mazes=13, batch_size=17, connectivity_threshold=0.5, n_binding_mazes=13, n_position_bins=3,
    n_swaps=7, n_threads=1,
)  # fmt: skip
COMPARED = [f"1.resid_post at {token}" for token in ("<-->", "c2", ";")]


@pytest.fixture(scope="module")
def by_block():
    """Binding heads by location, and their rows, of a model of three blocks, if it reads
    connections at c2 after the first one, and if it reads them after the last."""
    model, found = toy.planted(n_layers=3), {}
    subject, chosen_on = (
        Subject(model, mazes, 0, PARAMS.batch_size)
        for mazes in (toy.trees(13), toy.trees(13, seed=3))
    )
    for layer in (0, 2):
        traced, read_at = tracing.Traced(), Location(layer, TokenClass.C2)
        heads = tracing._bind(subject, chosen_on, [read_at], PARAMS, traced)
        rows = tables.frame(traced.rows["binding"], tracing.BindingRow)
        found[layer] = {str(location): some for location, some in heads.items()}, rows
    return found


def test_models_are_compared_after_the_last_block_but_one(by_block):
    (heads, first), (other_heads, last) = by_block[0], by_block[2]
    assert [heads[at] for at in COMPARED] == [other_heads[at] for at in COMPARED]
    parts = [rows[rows.site.isin(COMPARED)].reset_index(drop=True) for rows in (first, last)]
    assert set(parts[0].site) == set(COMPARED)
    pd.testing.assert_frame_equal(*parts)


def test_what_is_compared_is_what_was_planted(by_block):
    heads, binding = by_block[0]
    assert set(binding.site) == {"0.resid_post at c2", *COMPARED}
    assert heads[COMPARED[1]] == [(0, 0)], "the one that fetches"
    wide = binding[binding.site == COMPARED[1]].pivot(
        index="maze_id", columns="heads", values="projection"
    )
    lost = wide.rsub(wide["none"], axis=0).mean()
    assert lost["all"] > 0.1 and lost["binding"] == pytest.approx(lost["all"], rel=0.1)
    assert lost["1.0"] == pytest.approx(0, abs=1e-6), "later blocks add nothing"
