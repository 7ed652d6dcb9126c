"""Claims over seeds, and what differs between encodings."""

import numpy as np
import pytest
from scipy import stats

from mazewm.claims.claim import decided
from mazewm.claims.pooling import CODE, code_claims, code_differs, pool


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


def verdict_of(values):
    [one] = decided([code_differs("C7a", values)])
    return one.verdict


def test_c7_encodings_against_seeds():
    a, b = [2.0, 2.2, 1.8, 2.1, 1.9], [1.0, 1.1, 0.9, 1.2, 1.0]
    found = code_differs("C7a", {"learned": a, "rotary": b})
    assert (found.id, found.value.n) == ("C7a", 5)
    assert found.value.value == pytest.approx(0.96)
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert found.value[1:3] == pytest.approx((welch.low, welch.high))
    assert "learned - rotary" in found.measure
    assert verdict_of({"learned": a, "rotary": b}) == "supported"
    # two of the 252 ways to part the ten runs differ as much; half of them in either direction
    assert found.p_above == pytest.approx(1 / 252, rel=0.4)
    assert verdict_of({"learned": a[:3], "rotary": b[:3]}) == "undecided", "20 ways are too few"
    assert verdict_of({"learned": [1.0, 2.0, 1.5], "rotary": [1.2, 2.4, 1.9]}) == "undecided"
    for nothing, reason in (
        ({"learned": [1.5] * 3, "rotary": [1.5] * 3}, "do not differ"),
        ({"learned": [2.0], "rotary": [1.0]}, "one seed"),
        ({"learned": [2.0, 1.0]}, "one encoding"),
    ):
        one = code_differs("C7a", nothing)
        assert one.verdict == "unmeasured" and reason in one.reason


def test_c7_with_three_encodings_pays_for_three_comparisons():
    a, b = [2.0, 2.2, 1.8], [1.0, 1.1, 0.9]
    two = code_differs("C7a", {"a": a, "b": b}).value
    three = code_differs("C7a", {"a": a, "b": b, "c": [1.5, 1.5, 1.6]}).value
    ratio = stats.t.ppf(1 - 0.025 / 3, 2.94) / stats.t.ppf(0.975, 2.94)
    assert (three.high - three.low) / (two.high - two.low) == pytest.approx(ratio, rel=0.01)


def test_c7_of_encodings_that_do_not_differ():
    """Of 40 tables of five claims about five encodings and five seeds, few support a claim."""
    rng, n = np.random.default_rng(0), 0
    for _ in range(40):
        claims = [
            code_differs(id, dict(zip("abcde", rng.normal(size=(5, 5)).tolist(), strict=True)))
            for id in CODE
        ]
        n += any(one.verdict == "supported" for one in decided(claims))
    assert n <= 5, "at most 5 % of the tables, and twice the error of 40"


def metrics(number):
    tree: dict = {}
    for _, place in CODE.values():
        inner = tree
        for name in place[:-1]:
            inner = inner.setdefault(name, {})
        inner[place[-1]] = number
    return tree


def test_every_claim_about_the_code_reads_its_number_of_every_run():
    runs = {
        ("learned", 0): metrics(3.0),
        ("learned", 1): metrics(3.2),
        ("rotary", 0): metrics(1.0),
        ("rotary", 1): metrics(1.1),
    }
    found = code_claims(runs)
    assert [one.id for one in found] == list(CODE)
    assert all(one.value.value == pytest.approx(np.mean([3.0, 3.2]) - 1.05) for one in found)
    assert all(one.value.n == 2 for one in found)
