"""C2 and C2b on made-up tables in which the truth is planted."""

import pytest
from planted import verdict
from planted_paths import N_PAIRS, binding_rows, circuit_rows, edge_rows, prediction_rows

from mazewm.claims import circuits

HERE = "1.resid_post at c2"


def test_c2_the_binding_heads_against_all_others():
    rows = binding_rows({"binding": 0.9, "others": 0.1, "0.1": 0.9}, HERE)
    found = circuits.binds_the_cells(rows, HERE)
    assert (found.id, verdict(found)) == ("C2", "supported")
    assert found.value.value == pytest.approx(0.9, abs=0.05) and found.value.n == 60
    values = {one.name: one.value.value for one in found.controls}
    assert values == {
        "all other heads": pytest.approx(0.1, abs=0.05),
        "as many heads at random": pytest.approx(0.5, abs=0.05),
    }
    assert found.controls[0].gap.n_clusters == 30, "mazes with equal connections count together"
    others = circuits.binds_the_cells(binding_rows({"binding": 0.3, "others": 0.8}, HERE), HERE)
    assert verdict(others) == "refuted"
    alike = binding_rows({"binding": 0.5, "others": 0.1}, HERE)
    assert verdict(circuits.binds_the_cells(alike, HERE)) == "not beyond the control"
    assert verdict(circuits.binds_the_cells(rows, "0.resid_post at ;")) == "unmeasured"


def test_what_each_head_loses_is_in_the_table():
    rows = binding_rows({"binding": 0.9, "others": 0.1, "0.1": 0.7, "1.0": 0.2}, HERE)
    table = circuits.binding_shares(rows).set_index("heads")
    assert set(table.index) == {"binding", "others", "random", "0.1", "1.0"}
    assert table.lost["0.1"] == pytest.approx(0.7, abs=0.05)
    assert table.lost["random"] == pytest.approx(0.5, abs=0.05)
    assert (table.low < table.lost).all() and (table.lost < table.high).all()


def test_c2b_a_circuit_is_more_than_its_complement():
    found = circuits.is_a_circuit(circuits.Edges(edge_rows()), circuit_rows())
    assert (found.id, verdict(found)) == ("C2b", "supported")
    assert found.value.value == pytest.approx(0.95, abs=0.01) and found.value.n == N_PAIRS
    assert "own c1 > own c2, own c2 > last path" in found.measure
    as_well = circuits.Edges(edge_rows({"complement": 0.95}))
    assert verdict(circuits.is_a_circuit(as_well, circuit_rows())) == "not beyond the control"
    better = circuits.Edges(edge_rows({"random": 1.1}))
    assert verdict(circuits.is_a_circuit(better, circuit_rows())) == "refuted"
    nothing = circuits.is_a_circuit(circuits.Edges(edge_rows()), circuit_rows(()))
    assert verdict(nothing) == "unmeasured" and nothing.reason == "no edge was needed"


def test_pairs_that_are_read_wrongly_do_not_count():
    rows = edge_rows(n_wrong=7)
    edges = circuits.Edges(rows)
    assert edges.n_wrong == 7 and len(edges.wide) == N_PAIRS
    wrong = rows[rows.pair >= N_PAIRS]
    found = circuits.is_a_circuit(circuits.Edges(wrong), circuit_rows())
    assert verdict(found) == "unmeasured"
    assert circuits.edge_shares(circuits.Edges(wrong), circuit_rows()).empty
    assert circuits.edge_shares(circuits.Edges(rows[:0]), circuit_rows(())).empty


def test_the_table_of_edges():
    table = circuits.edge_shares(circuits.Edges(edge_rows()), circuit_rows())
    cuts = table[table.kind == "cut"].set_index("of")
    assert cuts.value["own c1 > own c2"] == pytest.approx(0.9, abs=0.01)
    assert cuts.value["own c1 > last path"] == pytest.approx(0, abs=0.01)
    assert set(cuts.index[cuts.is_in_circuit]) == {"own c1 > own c2", "own c2 > last path"}
    heads = table[table.kind == "head"]
    assert len(heads) == 4 and heads.value.mean() == pytest.approx(0.2, abs=0.01)
    assert table.set_index("kind").value["complement"] == pytest.approx(0.05, abs=0.01)


def test_c3d_the_binding_heads_predict_latents():
    rows = prediction_rows({"binding": 0.9, "others": 0.5, "token": 0.1}, HERE)
    found = circuits.predicts_latents(rows, HERE)
    assert (found.id, verdict(found)) == ("C3d", "supported")
    assert found.value.value == pytest.approx(0.9, abs=0.02) and found.value.n == 60
    values = {one.name: one.value.value for one in found.controls}
    assert values == {
        "all other heads": pytest.approx(0.5, abs=0.03),
        "no head: the token itself": pytest.approx(0.1, abs=0.05),
    }
    assert found.controls[0].gap.n_clusters == 30
    as_well = prediction_rows({"binding": 0.9, "others": 0.9, "token": 0.1}, HERE)
    assert verdict(circuits.predicts_latents(as_well, HERE)) == "not beyond the control"
    worse = prediction_rows({"binding": 0.3, "others": 0.5, "token": 0.6}, HERE)
    assert verdict(circuits.predicts_latents(worse, HERE)) == "refuted"
    assert verdict(circuits.predicts_latents(rows, "0.resid_post at ;")) == "unmeasured"


def test_predicted_values_by_connection():
    rows = prediction_rows({"binding": 0.9, "others": 0.5, "token": 0.1}, HERE)
    table = circuits.predicted_values(rows).set_index(["circuit", "connection"])
    assert table.explained["binding", -1] == pytest.approx(0.9, abs=0.02)
    mine = rows[(rows.circuit == "others") & (rows.connection == 4)]
    one = table.loc["others", 4]
    assert one.value == pytest.approx(mine.value.mean()) and one.n == len(mine) == 5
    assert one.predicted == pytest.approx(0.5 * mine.value.mean())
