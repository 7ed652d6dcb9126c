"""C8 from made-up tables: facts represented or not, and used or not."""

import numpy as np
import pytest
from planted import STEERED, probe_rows, steer_rows

from mazewm.claims.claim import decided
from mazewm.claims.planning import probe_curves, represents, steering_curves, summary, uses

UNITS = 7
HIGH = {("target", 0): 0.5, ("target", 2): 0.9, ("origin", 2): 0.8}


def test_the_place_is_chosen_on_validation_and_the_strongest_control_counts():
    [found] = decided([represents(noisy(probe_rows(HIGH)), "on_path")])
    assert (found.id, found.verdict, found.value.n) == ("C8b", "supported", UNITS)
    assert found.control.name == "input_pairs" and len(found.controls) == 5
    assert found.value.value == pytest.approx(0.93, abs=0.01)
    assert found.control.value.value == pytest.approx(0.63, abs=0.01)
    assert "at target, depth 2" in found.measure
    elsewhere = represents(probe_rows(HIGH, validation=HIGH | {("origin", 2): 0.95}), "on_path")
    assert elsewhere.value.value == pytest.approx(0.83) and "at origin" in elsewhere.measure
    [beaten] = decided([represents(noisy(probe_rows(HIGH, pairs=0.95)), "on_path")])
    assert beaten.verdict == "refuted"
    other = represents(noisy(probe_rows(HIGH, other=0.97)), "on_path")
    assert other.control.name == "untrained_model"


def noisy(probes):
    """Scores of which not all units differ alike."""
    wave = np.sin(np.arange(len(probes))) / 200
    return probes.assign(score=probes.score + wave)


def test_what_the_embedding_states_already_is_no_finding():
    rows = noisy(probe_rows(HIGH | {("target", 0): 0.9}, pairs=0.1))
    [found] = decided([represents(rows, "on_path")])
    assert found.control.name == "embedding" and found.verdict == "not beyond the control"


def test_steering_is_reported_at_the_dose_that_validation_forks_chose():
    [found] = decided([uses(steer_rows(STEERED))])
    assert (found.id, found.verdict, found.value.n, found.value.value) == (
        "C8d",
        "supported",
        10,
        0.9,
    )
    assert (found.control.name, found.control.value.value) == ("other_units", 0.2)
    assert "depth 2, dose 4" in found.measure
    [tie] = decided([uses(steer_rows(STEERED | {("test", "random_direction", 4.0): 9}))])
    assert tie.verdict == "undecided" and tie.control.name == "random_direction"
    assert uses(steer_rows(STEERED, situation="first")).verdict == "unmeasured", (
        "the next step may be the output itself"
    )


def test_no_fork_to_steer_at_is_unmeasured():
    unsolved = steer_rows(STEERED)
    unsolved.loc[unsolved.split == "test", "solved_before"] = False
    nothing, solved = uses(steer_rows(STEERED).head(0)), uses(unsolved)
    assert nothing.verdict == solved.verdict == "unmeasured" and nothing.reason != solved.reason


def test_curves_take_a_methods_dose_from_validation_and_a_controls_best():
    table = steering_curves(steer_rows(STEERED | {("test", "random_direction", 2.0): 3})).set_index(
        "method"
    )
    chosen = table.loc["given_target"]
    assert (chosen.dose, chosen.value, chosen.n) == (
        4.0,
        0.9,
        10,
    ) and chosen.low < 0.9 < chosen.high
    assert (table.loc["random_direction"].dose, table.loc["random_direction"].value) == (2.0, 0.3)


def test_probe_curves_are_means_over_units_of_test_mazes():
    table = probe_curves(probe_rows(HIGH, validation={("target", 2): 0.0})).set_index(
        ["fact", "token", "depth", "readout"]
    )
    one = table.loc[("on_path", "target", 2, "model")]
    assert (
        one.value == pytest.approx(0.93)
        and one.low < 0.93 < one.high
        and (one.n_units, one.n) == (UNITS, 101)
    )
    assert summary(probe_rows(HIGH))["on_path"]["model"] == pytest.approx(0.93)
    other = summary(probe_rows(HIGH, validation=HIGH | {("origin", 2): 0.95}))["on_path"]
    assert other["model"] == pytest.approx(0.83), "the place is chosen on validation mazes"
