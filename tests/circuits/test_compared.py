"""Where all models are compared, whatever block a run reads connections after."""

import pandas as pd
import pytest
from circuits import planted_circuit as toy

from mazewm.circuits import tracing
from mazewm.circuits.params import CircuitParams
from mazewm.circuits.readable import Readable
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.localize.locations import Location
from mazewm.maze.tokens import TokenClass

PARAMS = CircuitParams(
    n_mazes=43, batch_size=17, connectivity_threshold=0.5, n_binding_mazes=40, n_position_bins=3,
    n_swaps=7, n_threads=1,
)  # fmt: skip
COMPARED = [f"1.resid_post at {token}" for token in ("<-->", "c2", ";")]


@pytest.fixture(scope="module")
def by_block():
    """Heads and binding rows of a model of three blocks, if it reads connections at c2 after the
    first one, and if it reads them after the last."""
    model, found = toy.planted(n_layers=3), {}
    subject, chosen_on = (
        Subject(model, mazes, 0, PARAMS.batch_size)
        for mazes in (toy.trees(43), toy.trees(43, seed=3))
    )
    for layer in (0, 2):
        known = [Readable(Location(layer, TokenClass.C2), toy.planted_sae(), {})]
        rows = tracing.trace_subject(subject, chosen_on, known, PARAMS).rows
        found[layer] = {
            name: tables.frame(rows[name], tracing.ROW_TYPES[name]) for name in ("heads", "binding")
        }
    return found


@pytest.mark.parametrize("name", ["heads", "binding"])
def test_models_are_compared_after_the_last_block_but_one(by_block, name):
    first, last = (
        by_block[layer][name].query("site in @COMPARED").reset_index(drop=True) for layer in (0, 2)
    )
    assert set(first.site) == set(COMPARED)
    pd.testing.assert_frame_equal(first, last)


def test_what_is_compared_is_what_was_planted(by_block):
    heads, binding = (by_block[0][name] for name in ("heads", "binding"))
    assert set(binding.site) == {"0.resid_post at c2", *COMPARED}
    chosen = heads[heads.site == COMPARED[1]]
    assert chosen[["layer", "head"]].values.tolist() == [[0, 0]], "the one that fetches"
    wide = binding[binding.site == COMPARED[1]].pivot(
        index="maze_id", columns="heads", values="projection"
    )
    lost = wide.rsub(wide["none"], axis=0).mean()
    assert lost["all"] > 0.1 and lost["binding"] == pytest.approx(lost["all"], rel=0.1)
    assert lost["1.0"] == pytest.approx(0, abs=1e-6), "later blocks add nothing"
