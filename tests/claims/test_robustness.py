"""Detours, states and spellings of which the counts are known."""

import pandas as pd
import pytest
from planted import N_SETS, STATES, detours, spellings, states

from mazewm.claims import robustness
from mazewm.claims.counts import ratio, share_of


def test_detours_by_hand():
    rows = detours({"undisturbed": 1.0, "free": 1.0, "must turn back": 0.0})
    found = robustness.detours(rows)
    assert list(found) == ["p_0", "p_0_1"] and list(found["p_0"]) == ["all"]
    led_astray = found["p_0_1"]
    n = 4 * N_SETS
    expected = {"all": (2 / 3, 3 * n), "with_detours": (0.5, 2 * n), "free": (1, n)}
    expected["must_turn_back"] = (0, n)
    for name, (value, number) in expected.items():
        one = led_astray[name]["valid"]
        assert (one["value"], one["n"]) == (pytest.approx(value, abs=1e-6), number)
        assert led_astray[name]["valid_by_near_sighted_walker"] == 0.5
        assert led_astray[name]["shortest"]["value"] == pytest.approx(value / 2, abs=1e-6)
    assert led_astray["with_detours"]["detours"] == 2 * 5 * N_SETS


def test_states_by_hand():
    rows = states({"spelling": 1.0, "connection": 1.0})
    wrong = rows.assign(model="untrained", is_right=False, n_claimed=2)
    found = robustness.states(pd.concat([rows, wrong]))
    for kind in ("spelling", "connection"):
        one = found["trained"][kind]
        assert one["right"]["value"] == 1 and found["untrained"][kind]["right"]["value"] == 0
        assert one["right_by_near_sighted_walker"] == 0.75
        hard = one["right_where_near_sighted_walker_is_not"]
        assert (hard["value"], hard["n"]) == (1, 10)
    assert "precision" not in found["trained"]["spelling"]
    assert found["trained"]["connection"]["precision"]["value"] == 1
    assert found["untrained"]["connection"]["precision"]["value"] == 0
    half = robustness.states(rows.assign(n_claimed=2))["trained"]["connection"]
    assert half["precision"]["value"] == 0.5
    assert half["precision_of_near_sighted_walker"] == 0.75


def test_spellings_by_hand():
    found = robustness.spellings(spellings({"order and directions": [8, 8, 8, 4]}))
    one = found["order_and_directions"]
    assert one["solved"]["value"] == 28 / 32 and one["solved"]["n"] == 32
    assert one["solved_every_time"]["value"] == 0.75 and one["solved_every_time"]["n"] == 4
    assert one["worst_maze"] == 0.5
    assert one["if_independent"] == pytest.approx((28 / 32) ** 8, abs=1e-6)
    assert robustness.spellings(spellings({"order": [8]}).head(0)) == {}


def test_curves_keep_the_counts():
    walks, pairs = detours({"undisturbed": 0.9, "free": 0.5}), states(STATES)
    lists = spellings({"order": [8, 8, 3]})
    curve = robustness.detour_curve(walks)
    assert curve.n_valid.sum() == walks.n_valid.sum() and len(curve) == 3
    curve = robustness.state_curve(pairs)
    assert curve.n_right.sum() == pairs.is_right.sum() and curve.n.sum() == len(pairs)
    assert (curve.n_hard == 10).all()
    assert curve.n_hard_right.sum() == pairs[~pairs.is_near_right].is_right.sum()
    assert robustness.spelling_curve(lists).n_mazes.tolist() == [1, 2]


def test_shares_of_counts():
    rows = pd.DataFrame({"of": [1, 0], "n": [2, 3], "connection_set": [0, 1]})
    assert share_of(rows, "of", "n").value == ratio(rows, "of", "n") == 0.2
    assert share_of(rows, "of", "n").n == 5
    assert ratio(rows.head(0), "of", "n") == 0
