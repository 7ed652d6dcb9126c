"""Claims W1 with answers and maps of which the truth is known."""

import pandas as pd
import pytest
from planted import N_SETS, answers, beliefs

from mazewm.claims import world


@pytest.mark.parametrize(
    ("p", "blind", "untrained", "verdict", "control"),
    [
        (0.9, 0.1, 0.0, "supported", "the blind walker"),
        (0.9, 0.1, 0.2, "supported", "an untrained model"),
        (0.3, 0.3, 0.0, "undecided", "the blind walker"),
        (0.1, 0.4, 0.0, "refuted", "the blind walker"),
        (0.3, 0.1, 0.9, "refuted", "an untrained model"),
    ],
)
def test_answers_show_walls(p, blind, untrained, verdict, control):
    rows = [answers(p, blind=blind), answers(untrained, model="untrained", blind=blind, seed=1)]
    found = world.answers_show_walls(pd.concat(rows))
    assert (found.id, found.verdict, found.control_name) == ("W1a", verdict, control)
    assert found.n == 6 * N_SETS
    assert found.value == pytest.approx(rows[0].n_solved.sum() / found.n)
    assert found.low < found.value < found.high


def test_only_questions_that_tell_count():
    rows = pd.concat([answers(0.9, n_telling=0), answers(0.0, model="untrained")])
    assert world.answers_show_walls(rows).verdict == "undecided"
    assert world.answers_show_walls(rows).n == 0


@pytest.mark.parametrize(
    ("p_open", "p_closed", "untrained", "verdict"),
    [
        (0.99, 0.02, (0.1, 0.1), "supported"),
        (0.97, 0.96, (0.1, 0.1), "undecided"),  # claims everything, as the blind walker does
        (0.1, 0.9, (0.1, 0.1), "refuted"),
        (0.6, 0.4, (0.9, 0.1), "refuted"),
    ],
)
def test_the_map(p_open, p_closed, untrained, verdict):
    rows = pd.concat([beliefs(p_open, p_closed), beliefs(*untrained, model="untrained", seed=1)])
    found = world.map_is_that_of_the_maze(rows)
    assert (found.id, found.verdict) == ("W1b", verdict)
    own = rows[rows.model == "trained"]
    gap = own[own.is_open].is_claimed.mean() - own[~own.is_open].is_claimed.mean()
    assert found.value == pytest.approx(gap)


def test_the_summary_by_hand():
    asked = answers(1.0).assign(n_crossings=0)
    pairs = beliefs(1.0, 0.0)
    found = world.summary(asked, pairs)["test"]["trained"]
    for name in ("solved", "telling_solved", "valid", "map_recall", "map_precision"):
        assert found[name]["value"] == 1, name
    assert found["crossings"]["value"] == found["closed_claimed"]["value"] == 0
    assert found["solved_by_blind_walker"] == pytest.approx(0.1)
    assert found["brier"] == pytest.approx((0.07**2 + 0.04**2) / 2)


def test_curves_keep_the_counts():
    asked = pd.concat([answers(0.5), answers(0.2, model="untrained")])
    curve = world.answer_curve(asked)
    assert curve.n_solved.sum() == asked.n_solved.sum() and len(curve) == 2
    pairs = beliefs(0.8, 0.3)
    curve = world.belief_curve(pairs)
    assert curve.n.sum() == len(pairs) and curve.n_open.sum() == pairs.is_open.sum()
    assert curve.bin.tolist() == [0, 9]
