"""Edges between tokens, in models in which the path of a connection is known."""

import numpy as np
import pytest
from circuits.planted_circuit import trees
from circuits.test_patching import EIGHT, MIXED, reads_c2
from toys import wanderer

from mazewm.circuits import edges
from mazewm.circuits.edges import EDGES, LAST, NODES, EdgeRow
from mazewm.circuits.patching import patch
from mazewm.counterfactuals.swaps import swaps
from mazewm.inference.subject import Subject
from mazewm.io import tables

OWN_C1, OWN_C2 = NODES.index("own c1"), NODES.index("own c2")
PATH = [(OWN_C1, OWN_C2), (OWN_C2, LAST)]
OTHERS = swaps(trees(83, smallest=9, seed=5), np.random.default_rng(2), 13)


def subject_of(model, some, batch=100) -> Subject:
    return Subject(model, some.mazes, 0, batch)


@pytest.fixture(scope="module")
def measured():
    model = reads_c2()
    circuit = edges.choose_circuit(subject_of(model, OTHERS), OTHERS)
    rows = edges.measure_edges(subject_of(model, EIGHT), EIGHT, edges.edges_of(circuit))
    return circuit, tables.frame(rows, EdgeRow)


def effect(rows):
    total = rows.groupby(["kind", "of"], sort=False).metric.sum()
    none, whole = total["none", ""], total["all", ""]
    return (none - total) / (none - whole)


def test_the_circuit_is_what_was_wired(measured):
    circuit, _ = measured
    assert sorted(edges.edges_of(circuit)) == PATH
    assert all(row.lost == pytest.approx(1, abs=1e-4) for row in circuit)


def test_what_is_lost_by_each_cut(measured):
    found = effect(measured[1])
    assert found["circuit", ""] == pytest.approx(1, abs=1e-4)
    assert found["complement", ""] == pytest.approx(0, abs=1e-4)
    for a, b in EDGES:
        expected = 0 if (a, b) in PATH else 1
        assert found["cut", edges.name_of((a, b))] == pytest.approx(expected, abs=1e-4)
    # c1 comes there by way of c2 only, and c2 by itself
    assert found["from", "own c1"] == pytest.approx(0, abs=1e-4)
    assert found["direct", "own c1"] == pytest.approx(1, abs=1e-4)
    assert found["direct", "own c2"] == pytest.approx(0, abs=1e-4)
    assert found["head", "2.0"] == pytest.approx(0, abs=1e-4)
    assert found["head", "1.0"] == found["head", "0.0"] == pytest.approx(1, abs=1e-4)


def test_random_sets_are_as_large_as_the_circuit():
    circuit = PATH
    every = edges.cuts(reads_c2(), circuit, np.random.default_rng(0))
    drawn = [cut for cut in every if cut.kind == "random"]
    assert len(drawn) == edges.N_RANDOM and {len(cut.edges) for cut in drawn} == {2}
    assert len({cut.edges for cut in drawn}) > 1
    assert len({(cut.kind, cut.of) for cut in every}) == len(every)


def test_the_ends_are_the_two_runs():
    """As patching finds them, which reads the same pairs, all at once."""
    model = wanderer("rotary")
    rows = tables.frame(edges.measure_edges(subject_of(model, EIGHT), EIGHT, PATH), EdgeRow)
    alone = rows.pivot(index="pair", columns=["kind", "of"], values="metric")
    few = patch(Subject(model, EIGHT.mazes, 0, 1700), EIGHT).pairs
    for one in few:
        assert alone["none", ""][one.pair] == pytest.approx(one.metric_clean, abs=1e-4)
        assert alone["all", ""][one.pair] == pytest.approx(one.metric_corrupted, abs=1e-4)


def test_batches_change_nothing_but_the_spelling():
    rows = edges.measure_edges(subject_of(wanderer("alibi"), MIXED, batch=5), MIXED, PATH)
    frame = tables.frame(rows, EdgeRow)
    assert sorted(frame.pair.unique()) == list(range(len(MIXED)))
    assert not frame.duplicated(["pair", "kind", "of"]).any()
    assert (frame.set_index("pair").maze_id == MIXED.mazes.maze_id[frame.pair]).all()
