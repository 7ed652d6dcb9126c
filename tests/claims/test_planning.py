"""C8 from made-up tables: facts represented or not, and used or not."""

import pytest
from planted import N_SETS, STEERED, probe_rows, steer_rows

from mazewm.claims.claim import decided
from mazewm.claims.planning import (
    probe_curves,
    represents,
    steering_curves,
    step_curve,
    summary,
    uses,
)

HIGH = {("target", 0): 0.5, ("target", 2): 0.9, ("origin", 2): 0.8}


def test_the_place_is_chosen_on_validation_and_the_strongest_control_counts():
    [found] = decided([represents(probe_rows(HIGH), "on_path")])
    assert (found.id, found.verdict, found.value.n) == ("C8b", "supported", N_SETS)
    assert found.control.name == "input_pairs" and len(found.controls) == 5
    assert found.value.value == pytest.approx(0.9, abs=0.01)
    assert found.control.value.value == pytest.approx(0.6, abs=0.01)
    assert found.control.gap.n_clusters == N_SETS and "at target, depth 2" in found.measure
    elsewhere = represents(probe_rows(HIGH, validation=HIGH | {("origin", 2): 0.95}), "on_path")
    assert elsewhere.value.value == pytest.approx(0.8, abs=0.01)
    assert "at origin" in elsewhere.measure
    [beaten] = decided([represents(probe_rows(HIGH, pairs=0.95), "on_path")])
    assert beaten.verdict == "not beyond the control", "a better reader refutes nothing"
    other = represents(probe_rows(HIGH, other=0.97), "on_path")
    assert other.control.name == "untrained_model"


def test_what_the_embedding_states_already_is_no_finding():
    rows = probe_rows(HIGH | {("target", 0): 0.9}, pairs=0.1)
    [found] = decided([represents(rows, "on_path")])
    assert found.control.name == "embedding" and found.verdict == "not beyond the control"


def test_every_method_of_steering_is_reported_at_its_own_dose():
    [found] = decided([uses(steer_rows(STEERED))])
    assert (found.id, found.verdict, found.value.n, found.value.value) == (
        "C8d",
        "supported",
        10,
        0.9,
    )
    assert (found.control.name, found.control.value.value) == ("other_units", 0.2)
    assert "depth 2, dose 4" in found.measure
    [tie] = decided([uses(steer_rows(STEERED | {("test", "random_direction", 2.0): 9}))])
    assert tie.verdict == "undecided" and tie.control.name == "random_direction"
    assert uses(steer_rows(STEERED, situation="first")).verdict == "unmeasured", (
        "the next step may be the output itself"
    )


def test_no_fork_to_steer_at_is_unmeasured():
    unsolved = steer_rows(STEERED)
    unsolved.loc[unsolved.split == "test", "solved_before"] = False
    nothing, solved = uses(steer_rows(STEERED).head(0)), uses(unsolved)
    assert nothing.verdict == solved.verdict == "unmeasured" and nothing.reason != solved.reason


def test_the_curve_of_steering_has_the_best_dose_of_validation_forks():
    table = steering_curves(steer_rows(STEERED)).set_index(["split", "method"])
    chosen = table.loc["validation", "given_target"]
    assert (chosen.dose, chosen.value, chosen.n) == (4.0, 0.8, 10)
    assert chosen.low < 0.8 < chosen.high
    one = table.loc["test", "random_direction"]
    assert (one.dose, one.value) == (2.0, 0.1)


def test_probe_curves_are_of_test_mazes_and_summaries_at_the_chosen_place():
    table = probe_curves(probe_rows(HIGH, validation={("target", 2): 0.0})).set_index(
        ["fact", "token", "depth", "readout"]
    )
    one = table.loc[("on_path", "target", 2, "model")]
    assert one.value == pytest.approx(0.9, abs=0.01) and one.low < one.value < one.high
    assert one.n == N_SETS
    rows = probe_rows(HIGH)
    figures = summary(rows, step_curve(rows))
    assert figures["on_path"]["model"] == pytest.approx(0.9, abs=0.01)
    assert figures["step_2"]["model"] == pytest.approx(0.9, abs=0.01)
    rows = probe_rows(HIGH, validation=HIGH | {("origin", 2): 0.95})
    other = summary(rows, step_curve(rows))["on_path"]
    assert other["model"] == pytest.approx(0.8, abs=0.01), "the place is chosen on validation mazes"


def test_steps_are_shown_where_validation_mazes_read_them_best_at_each_depth():
    rows = probe_rows(HIGH, validation=HIGH | {("origin", 2): 0.95})
    table = step_curve(rows).set_index(["k", "readout", "depth"])
    assert table.loc[(1, "model", 2)].token == "origin"
    assert table.loc[(1, "model", 2)].value == pytest.approx(0.8, abs=0.01)
    assert table.loc[(2, "model", 0)].value == pytest.approx(0.5, abs=0.01)
    assert table.loc[(2, "input_pairs", -1)].value == pytest.approx(0.6, abs=0.01)
