"""What a circuit predicts of latents, in a model in which one head does all."""

import numpy as np
import pytest
from circuits import planted_circuit as toy

from mazewm.circuits.knockout import Knockout
from mazewm.circuits.prediction import PredictionRow, predict
from mazewm.circuits.readable import Readable
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.localize.locations import Location
from mazewm.maze.tokens import TokenClass

MAZES = toy.trees(181)
HERE = Location(0, TokenClass.C2)


def predicted(binding, best=toy.BEST):
    known = Readable(HERE, toy.planted_sae(), best)
    rows = predict(Knockout.of(Subject(toy.planted(), MAZES, 0, 53), known), binding)
    return tables.frame(rows, PredictionRow)


@pytest.fixture(scope="module")
def rows():
    return predicted([(0, 0)])


def test_the_head_that_does_all_predicts_all(rows):
    sums = rows.groupby("circuit")[["sse", "sst"]].sum()
    explained = 1 - sums.sse / sums.sst
    assert explained["binding"] == pytest.approx(1.0, abs=1e-6)
    assert explained["others"] == pytest.approx(explained["token"]) and explained["token"] < 0.5
    own = rows[rows.circuit == "binding"]
    assert np.allclose(own.value, own.predicted, atol=1e-5) and (own.value > 0).all()
    other = predicted([(0, 1)]).groupby("circuit")[["sse", "sst"]].sum()
    assert (other.sse / other.sst)["others"] == pytest.approx(0, abs=1e-6), "the sets swap places"


def test_every_maze_is_asked_once_for_each_circuit(rows):
    assert len(rows) == 4 * len(MAZES)
    assert (rows.groupby("circuit").maze_id.nunique() == len(MAZES)).all()
    assert (rows.groupby("maze_id").connection.nunique() == 1).all()
    some = {e: latent for e, latent in toy.BEST.items() if e < 7}
    assert predicted([(0, 0)], some).connection.max() < 7


def test_the_table_leaves_the_maze_itself_out(rows):
    table = rows[rows.circuit == "connection"].set_index("maze_id")
    for e, mine in table.groupby("connection"):
        if len(mine) > 1:
            others = (mine.value.sum() - mine.value) / (len(mine) - 1)
            assert np.allclose(mine.predicted, others), e


def test_mazes_without_any_known_connection_are_not_asked():
    """The last connections are in few mazes only; of the others, none is drawn."""
    last = {e: latent for e, latent in toy.BEST.items() if e == 0}
    found = predicted([(0, 0)], last)
    bits = MAZES.connections[:, 0]
    assert 0 < bits.sum() < len(MAZES)
    assert set(found.connection) == {0} and len(found) == 4 * bits.sum()
    assert set(found.maze_id) == set(MAZES.maze_id[bits].tolist())
