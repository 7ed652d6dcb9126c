"""Claims W1 with answers and maps of which the truth is known."""

import pandas as pd
import pytest
from planted import N_SETS, answers, beliefs

from mazewm.claims import world
from mazewm.claims.claim import decided


@pytest.mark.parametrize(
    ("p", "blind", "near", "untrained", "verdict", "control"),
    [
        (0.9, 0.1, 0.2, 0.0, "supported", "the near-sighted walker"),
        (0.9, 0.3, 0.2, 0.0, "supported", "the blind walker"),
        (0.9, 0.1, 0.2, 0.3, "supported", "an untrained model"),
        (0.31, 0.1, 0.3, 0.0, "undecided", "the near-sighted walker"),
        (0.1, 0.2, 0.4, 0.0, "refuted", "the near-sighted walker"),
        (0.3, 0.1, 0.2, 0.9, "refuted", "an untrained model"),
    ],
)
def test_answers_take_more_than_walls(p, blind, near, untrained, verdict, control):
    rows = [answers(p, blind=blind, near=near), answers(untrained, model="untrained", seed=1)]
    [found] = decided([world.answers_take_more_than_walls(pd.concat(rows))])
    assert (found.id, found.verdict, found.control.name) == ("W1a", verdict, control)
    value, low, high, n = found.value
    assert n == 6 * N_SETS
    assert value == pytest.approx(rows[0].n_solved.sum() / n)
    assert low < value < high


def test_only_questions_that_tell_count():
    rows = pd.concat([answers(0.9, n_telling=0), answers(0.0, model="untrained")])
    for claim in (world.answers_take_more_than_walls, world.answers_take_more_than_looking_ahead):
        found = claim(rows)
        assert (found.verdict, found.value.n) == ("unmeasured", 0)
        assert found.reason == "there is no such question"


@pytest.mark.parametrize(
    ("p", "verdict"), [(0.9, "supported"), (0.41, "not beyond the control"), (0.1, "refuted")]
)
@pytest.mark.parametrize("name", ["random", "random_2"])
def test_who_walks_at_random_may_solve_what_those_who_head_for_the_target_do_not(name, p, verdict):
    """The questions are those that the others fail, so that they are weak controls there."""
    rows = pd.concat([answers(p, n_telling=60), answers(0.0, model="untrained", seed=1)])
    rows[f"{name}_telling"] = rows[f"{name}_beyond"] = 0.4 * rows.n_telling
    [found] = decided([world.answers_take_more_than_looking_ahead(rows)])
    who = "a random walker who looks two steps ahead" if name == "random_2" else "the random walker"
    assert (found.verdict, found.control.name) == (verdict, who)
    assert found.control.value.value == pytest.approx(0.4)
    [found] = decided([world.answers_take_more_than_walls(rows)])
    is_seen = name == "random"  # W1a is about those who see the walls of their own cell
    assert (found.control.name == "the random walker") == is_seen


@pytest.mark.parametrize(("p", "verdict"), [(0.9, "supported"), (0.1, "refuted")])
def test_answers_take_more_than_looking_ahead(p, verdict):
    rows = pd.concat([answers(p), answers(0.0, model="untrained", seed=1)])
    rows.n_beyond_solved = rows.n_telling_solved - rows.n_telling_solved // 3
    rows.ahead_2_beyond, rows.ahead_3_beyond = 0.4 * rows.n_beyond, 0.99 * rows.n_beyond
    [found] = decided([world.answers_take_more_than_looking_ahead(rows)])
    assert (found.id, found.verdict) == ("W1c", verdict)
    assert found.control.name == "a walker who looks two steps ahead"
    solved, n = (
        rows[rows.model == "trained"][name].sum() for name in ("n_beyond_solved", "n_beyond")
    )
    assert found.value.value == pytest.approx(solved / n) and found.value.n == n


@pytest.mark.parametrize(
    ("p_open", "p_closed", "untrained", "verdict"),
    [
        (0.99, 0.02, (0.1, 0.1), "supported"),
        # crosses everything, as the blind walker does
        (0.97, 0.96, (0.1, 0.1), "not beyond the control"),
        (0.1, 0.9, (0.1, 0.1), "refuted"),
        (0.6, 0.4, (0.9, 0.1), "refuted"),
    ],
)
def test_the_map(p_open, p_closed, untrained, verdict):
    rows = pd.concat([beliefs(p_open, p_closed), beliefs(*untrained, model="untrained", seed=1)])
    [found] = decided([world.answers_agree_with_the_list(rows)])
    assert (found.id, found.verdict) == ("W1b", verdict)
    own = rows[rows.model == "trained"]
    gap = (own[own.is_open].n_straight == 2).mean() - (own[~own.is_open].n_straight > 0).mean()
    assert found.value.value == pytest.approx(gap)
    assert found.value.low < found.value.value < found.value.high


def test_one_direction_across_a_wall_counts_and_across_a_connection_does_not():
    rows = beliefs(1.0, 0.0).assign(n_straight=1)
    assert world.map_gap(rows, "trained").value == -1


def test_a_perfect_map_has_an_interval():
    """Of 40 connection sets, all alike: Wilson's for 40 of 40, on both sides."""
    found, z = world.map_gap(beliefs(1.0, 0.0), "trained"), 1.959964
    assert found.value == 1 == found.high
    assert 1 - found.low == pytest.approx(2**0.5 * z * z / (40 + z * z), rel=1e-3)
    assert world.map_gap(beliefs(1.0, 0.0)[lambda rows: rows.is_open], "trained").n == 0


def test_the_same_map_as_an_untrained_models_is_no_finding():
    rows = pd.concat([beliefs(0.6, 0.3), beliefs(0.6, 0.3, model="untrained")])
    [found] = decided([world.answers_agree_with_the_list(rows)])
    assert found.control.name == "an untrained model" and found.control.gap.value == 0
    assert found.verdict == "undecided", "two models that agree everywhere show no spread"


def test_the_summary_by_hand():
    asked = answers(1.0).assign(n_crossings=0)
    pairs = beliefs(1.0, 0.0)
    found = world.summary(asked, pairs)["test"]["trained"]
    for name in ("solved", "telling_solved", "valid", "straight_across_connections", "telling"):
        assert (found[name]["value"] if name != "telling" else found[name]) == 1, name
    assert found["crossings"]["value"] == found["straight_across_walls"]["value"] == 0
    assert found["solved_by_blind_walker"] == pytest.approx(0.1)
    for some in ("telling", "beyond"):
        assert found[f"{some}_solved_by_blind"] == pytest.approx(0.1)
        assert found[f"{some}_solved_by_ahead_3"] == pytest.approx(0.2)
    assert found["brier"] == pytest.approx((0.07**2 + 0.04**2) / 2)
    assert found["brier_connections"] == pytest.approx(0.07**2)
    assert found["brier_walls"] == pytest.approx(0.04**2)
    assert found["brier_of_base_rate"] == pytest.approx(0.25)
    by = {"by_family": "trees", "by_path_length": "4"}
    for name, value in by.items():
        assert list(found[name]) == [value]
        assert found[name][value]["solved"] == found["solved"]
        assert found[name][value]["solved_by_near_sighted_walker"] == pytest.approx(0.2)


def test_curves_keep_the_counts():
    asked = pd.concat([answers(0.5), answers(0.2, model="untrained")])
    curve = world.answer_curve(asked)
    assert curve.n_solved.sum() == asked.n_solved.sum() and len(curve) == 2
    pairs = beliefs(0.8, 0.3)
    curve = world.belief_curve(pairs)
    assert curve.n.sum() == len(pairs) and curve.n_open.sum() == pairs.is_open.sum()
    assert curve.bin.tolist() == [0, 9]
