"""The rows of the tables of interventions, from answers that are written down by hand."""

import numpy as np
import pytest
from planted import SITE, plain_sae

from mazewm.counterfactuals.pairs import Pairs
from mazewm.counterfactuals.spelling import Lists
from mazewm.inference.posed import Compared
from mazewm.inference.trials import Counts, Paths, Trial
from mazewm.interventions.directions import Dictionary, Directions, Units
from mazewm.interventions.edits import Writer
from mazewm.interventions.labels import Label
from mazewm.interventions.ledger import Batch, EditedRow, Ledger, LedgerRow, PairRow, UnitRow
from mazewm.io import tables
from mazewm.maze.lattice import Lattice

LABEL = Label("latents", 3, "0.resid_post", "c2", 2.0)
NUMBERS = np.array([4, 9])  # of the two pairs


def flags(*rows):
    """Flags of the questions about each pair: those that are listed hold."""
    return np.array([[nth in row for nth in range(4)] for row in rows])


# of each pair four questions; the last one of the first pair is about a belief alone
COUNTS, ADJACENT = flags([0, 1], [1, 2, 3]), flags([0, 3], [])
DIFFERS, UNIQUE = flags([0, 3], [1, 2]), flags([0, 1, 2], [1, 2, 3])
FIRST = flags([0], [2])
SOLVED, TOLD = flags([0, 1, 3], [1]), flags([0, 3], [0, 1, 2])
AGREES, STRAIGHT = flags([1], [1, 3]), flags([0], [0, 1])
ORIGIN, TARGET = np.array([[0, 1, 2, 3], [3, 2, 1, 0]]), np.array([[3, 0, 1, 2], [2, 1, 0, 3]])
N_RIGHT, INSTEAD = np.arange(8).reshape(2, 4), np.arange(8).reshape(2, 4) - 1
BELIEF = np.arange(8).reshape(2, 4) / 10
BLIND, NEAR = np.full((2, 4), 0.25), np.array([[1.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.25, 0.25]])


def pairs(added=((1,), (2,)), removed=((), ())):
    before = np.array([[True, False, True, False], [True, False, False, True]])
    edited = (np.array(list(map(list, each)), int).reshape(2, -1) for each in (added, removed))
    return Pairs("add", Lattice(2), np.array([70, 80]), before, *edited, np.array([-1, 3]))


def batch(some=None):
    """Two pairs that were put to a model which answered as above."""
    trial, writer = Trial.__new__(Trial), Writer.__new__(Writer)
    trial.pairs = some or pairs()
    steps = np.zeros((2, 4, 1), int)
    trial.paths = Paths(ORIGIN, TARGET, steps, steps, UNIQUE, DIFFERS)
    trial.counts, trial.solved, trial.chances, trial.is_first = COUNTS, SOLVED, (BLIND, NEAR), FIRST
    trial.told = Compared(TOLD, N_RIGHT, INSTEAD, BELIEF, STRAIGHT)
    trial._connection, trial.is_posed = np.where(ADJACENT, 0, -1), np.ones_like(ADJACENT)
    trial.lists = Lists(ORIGIN, ORIGIN, np.array([[0, 2], [0, 3]]))
    return Batch("test", 1, NUMBERS, trial, writer)


def test_pairs_and_what_walkers_would_do_about_them():
    ledger = Ledger()
    ledger.add_pairs(batch())
    [rows] = ledger.pairs
    assert set(rows.split) == {"test"} and set(rows.kind) == {"add"} and set(rows.k) == {1}
    assert rows.pair.tolist() == [4, 9] and rows.maze_id.tolist() == [70, 80]
    assert rows.end.tolist() == [-1, 3] and [list(each) for each in rows.added] == [[1], [2]]
    assert [each.sum() for each in rows.connections] == [2, 2]
    assert rows.n_questions.tolist() == [4, 4] and rows.n_unique.tolist() == [3, 3]
    assert rows.n_solved.tolist() == [2, 1] and rows.n_told.tolist() == [1, 2]
    # of the questions that count, the first of one pair and two of the other are affected
    assert rows.n_affected.tolist() == [1, 2]
    assert rows.blind.tolist() == [0.25, 0.5] and rows.near.tolist() == [1.0, 0.75]
    # and one of each is not
    assert rows.n_unaffected.tolist() == [1, 1]
    assert rows.blind_spill.tolist() == [0.75, 0.75] and rows.near_spill.tolist() == [1.0, 0.75]


def test_answers_to_questions_that_count_and_about_beliefs():
    ledger = Ledger()
    answers = Compared(AGREES, N_RIGHT, INSTEAD, BELIEF, STRAIGHT)
    ledger.add_answers(batch(), LABEL, answers, COUNTS)
    [rows] = ledger.answers
    assert rows.pair.tolist() == [4, 4, 4, 9, 9, 9]
    assert rows.origin.tolist() == [0, 1, 3, 2, 1, 0]
    assert rows.target.tolist() == [3, 0, 2, 1, 0, 3]
    assert rows.counts.tolist() == [True, True, False, True, True, True]
    assert rows.is_affected.tolist() == [True, False, True, True, True, False]
    assert rows.is_first.tolist() == [True, False, False, False, True, False]
    # where neither walker takes the path of the edited maze half of the time
    assert rows.is_telling.tolist() == [False, True, True, False, True, True]
    assert rows.agrees.tolist() == [False, True, False, True, False, True]
    assert rows.is_straight.tolist() == [True, False, False, True, False, False]
    assert rows.n_right.tolist() == [0, 1, 3, 5, 6, 7]
    assert rows.instead.tolist() == [-1, 0, 2, 4, 5, 6]
    assert rows.belief.tolist() == [0.0, 0.1, 0.3, 0.5, 0.6, 0.7]
    assert set(rows.kind) == {"add"} and set(rows.k) == {1}
    for name, value in vars(LABEL).items():
        assert set(rows[name]) == {value}


@pytest.mark.parametrize(
    ("added", "removed", "connection"),
    [
        (((1,), (2,)), ((), ()), [1, 2]),
        (((), ()), ((0,), (3,)), [0, 3]),
        (((1,), (2,)), ((0,), (3,)), [0, 3]),  # moved: the one that is removed
        (((1, 3), (1, 2)), ((), ()), [-1, -1]),  # several at once
        (((), ()), ((), ()), [-1, -1]),
    ],
)
def test_counts_and_the_edited_connection(added, removed, connection):
    ledger, counts = Ledger(), Counts(*(np.array([nth, 100 + nth]) for nth in range(16)))
    ledger.add(batch(pairs(added, removed)), LABEL, counts, 2.5)
    ledger.add(batch(), LABEL, counts, 7.5)
    rows = ledger.frame()
    assert len(ledger) == len(rows) == 4 and rows.length.tolist() == [2.5, 2.5, 7.5, 7.5]
    assert rows.connection.tolist()[:2] == connection
    assert rows.pair.tolist() == [4, 9, 4, 9] and set(rows.n_connections) == {2}
    for nth, name in enumerate(vars(counts)):
        assert rows[name].tolist() == [nth, 100 + nth] * 2
    assert set(rows.method) == {"latents"} and set(rows.dose) == {2.0}


def test_every_table_has_a_file(tmp_path):
    ledger = Ledger()
    counts = Counts(*(np.array([nth, 100 + nth]) for nth in range(16)))
    for _ in range(2):
        ledger.add_pairs(batch())
        ledger.add(batch(), LABEL, counts, 2.5)
        answers = Compared(AGREES, N_RIGHT, INSTEAD, BELIEF, STRAIGHT)
        ledger.add_answers(batch(), LABEL, answers, COUNTS)
    units = Units(np.array([[7, 5], [2, 3]]), np.array([[0.9, 0.5], [0.8, 0.1]]))
    mean_on = np.array([[1.0, 2.0], [3.0, 4.0]])
    latents = {"latents": Dictionary(plain_sae(), units, mean_on)}
    ledger.add_units(Directions(SITE, latents, {}, units))
    ledger.write(tmp_path)
    types = {"ledger": LedgerRow, "pairs": PairRow, "edited": EditedRow, "units": UnitRow}
    read = {
        name: tables.read_columns(tmp_path / f"{name}.parquet", row_type).to_pandas()
        for name, row_type in types.items()
    }
    assert {name: len(rows) for name, rows in read.items()} == {
        "ledger": 4, "pairs": 4, "edited": 12, "units": 4,
    }  # fmt: skip
    assert read["units"].to_dict("list") == {
        "site": [str(SITE)] * 4,
        "method": ["latents"] * 4,
        "connection": [0, 0, 1, 1],
        "rank": [0, 1, 0, 1],
        "unit": [7, 5, 2, 3],
        "correlation": [0.9, 0.5, 0.8, 0.1],
        "mean_on": [1.0, 2.0, 3.0, 4.0],
    }
    assert read["pairs"].near.tolist() == [1.0, 0.75] * 2
    assert read["ledger"].n_others_kept.tolist() == [14, 114] * 2
