"""Claims over seeds, and what differs between encodings."""

import numpy as np
import pytest
from scipy import stats

from mazewm.claims.pooling import CODE, code_claims, code_differs, pool


def of_seed(value, verdict, n=10, control=0.1, name="chance"):
    return {
        "C1": {
            "statement": "it is so",
            "measure": f"how much: head {value}",
            "value": value,
            "low": value - 0.1,
            "high": value + 0.2,
            "control": control,
            "control_name": name,
            "n": n,
            "verdict": verdict,
        }
    }


def test_seeds_pool_to_their_mean_and_are_never_outvoted():
    one = pool(
        [of_seed(0.5, "supported"), of_seed(0.8, "supported", n=7, control=0.3, name="noise")]
    )["C1"]
    assert (one["value"], one["control"], one["low"], one["high"], one["n"], one["n_seeds"]) == (
        0.65,
        0.2,
        0.4,
        1.0,
        17,
        2,
    )
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
    assert pool([of_seed(0.5, "refuted")])["C1"]["verdict"] == "refuted"
    assert "sd_over_seeds" not in pool([of_seed(0.5, "refuted")])["C1"]


def test_a_seed_without_data_is_no_zero():
    one = pool([of_seed(0.5, "supported"), of_seed(0.0, "undecided", n=0)])["C1"]
    assert (one["value"], one["low"], one["n"], one["n_seeds"], one["verdict"]) == (
        0.5,
        0.4,
        10,
        2,
        "undecided",
    )
    assert one["measure"].startswith("mean over 1 of 2 seeds") and "sd_over_seeds" not in one


def test_c7_encodings_against_seeds():
    found = code_differs("C7a", {"learned": [2.0, 2.2, 1.8], "rotary": [1.0, 1.1, 0.9]})
    assert (found.id, found.verdict, found.n) == (
        "C7a",
        "supported",
        3,
    ) and found.value == pytest.approx(1.0)
    welch = stats.ttest_ind([2.0, 2.2, 1.8], [1.0, 1.1, 0.9], equal_var=False).confidence_interval(
        0.95
    )
    assert (found.low, found.high) == pytest.approx((welch.low, welch.high))
    assert "learned - rotary" in found.measure
    assert (
        code_differs("C7a", {"learned": [1.0, 2.0, 1.5], "rotary": [1.2, 2.4, 1.9]}).verdict
        == "undecided"
    )
    assert code_differs("C7a", {"learned": [1.5] * 3, "rotary": [1.5] * 3}).verdict == "refuted"
    assert code_differs("C7a", {"learned": [2.0], "rotary": [1.0]}).verdict == "undecided", (
        "one seed each"
    )
    assert code_differs("C7a", {"learned": [2.0, 1.0]}).verdict == "undecided", "one encoding"


def test_c7_with_three_encodings_pays_for_three_comparisons():
    two = code_differs("C7a", {"a": [2.0, 2.2, 1.8], "b": [1.0, 1.1, 0.9]})
    three = code_differs("C7a", {"a": [2.0, 2.2, 1.8], "b": [1.0, 1.1, 0.9], "c": [1.5, 1.5, 1.6]})
    ratio = stats.t.ppf(1 - 0.025 / 3, 2.94) / stats.t.ppf(0.975, 2.94)
    assert (three.high - three.low) / (two.high - two.low) == pytest.approx(ratio, rel=0.01)


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
    assert list(found) == list(CODE) and all(
        one.value == pytest.approx(np.mean([3.0, 3.2]) - 1.05) for one in found.values()
    )
    assert all(one.n == 2 for one in found.values())
