"""Claims over seeds."""

import pytest
from scipy import stats

from mazewm.claims.pooling import pool


def of_seed(value, verdict, n=10, control=0.1, name="chance"):
    numbers = {"value": value, "control": control, "gap": value - control}
    ends = {
        f"{prefix}{end}": numbers[of] + shift
        for of, prefix in (("value", ""), ("control", "control_"), ("gap", "gap_"))
        for end, shift in (("low", -0.1), ("high", 0.2))
    }
    return {
        "C1": numbers
        | ends
        | {
            "statement": "it is so",
            "measure": f"how much: head {value}",
            "control_name": name,
            "p": value / 10,
            "n": n,
            "n_clusters": n,
            "verdict": verdict,
            "reason": "no data" if verdict == "unmeasured" else "",
        }
    }


def test_seeds_pool_to_their_mean_and_are_never_outvoted():
    one = pool(
        [of_seed(0.5, "supported"), of_seed(0.8, "supported", n=7, control=0.3, name="noise")]
    )["C1"]
    expected = {"value": 0.65, "control": 0.2, "gap": 0.45, "p": 0.08, "n": 17, "n_seeds": 2}
    assert {name: one[name] for name in expected} == pytest.approx(expected)
    half = stats.t.ppf(0.975, 1) * 0.15  # Student's, of two seeds
    assert (one["low"], one["high"]) == pytest.approx((0.65 - half, 0.65 + half), abs=1e-6)
    assert (
        one["verdict"] == "supported"
        and one["verdicts"] == {"supported": 2}
        and one["control_name"] == "chance / noise"
    )
    assert (
        one["sd_over_seeds"] == pytest.approx(0.3 / 2**0.5, abs=1e-6)
        and one["measure"] == "mean over 2 of 2 seeds; how much"
    )
    mixed = pool([of_seed(0.5, "supported")] * 4 + [of_seed(0.1, "undecided")])["C1"]
    assert mixed["verdict"] == "undecided" and mixed["verdicts"] == {"supported": 4, "undecided": 1}


def test_one_seed_keeps_its_interval_and_equal_seeds_are_no_point():
    one = pool([of_seed(0.5, "refuted")])["C1"]
    assert (one["verdict"], one["low"], one["high"]) == ("refuted", 0.4, 0.7)
    assert "sd_over_seeds" not in one
    four = pool([of_seed(0.5, "refuted")] * 4)["C1"]
    assert (four["low"], four["high"]) == pytest.approx((0.45, 0.6)), "own ends over root of 4"


def test_a_seed_without_data_is_no_zero():
    one = pool([of_seed(0.5, "supported"), of_seed(0.0, "unmeasured", n=0)])["C1"]
    assert (one["value"], one["low"], one["n"], one["n_seeds"], one["verdict"]) == (
        0.5,
        0.4,
        10,
        2,
        "undecided",
    )
    assert one["measure"].startswith("mean over 1 of 2 seeds") and one["reason"] == "no data"
