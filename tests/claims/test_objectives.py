"""C10: the share of binding at ``;`` under two objectives."""

import numpy as np
import pandas as pd
import pytest
from planted_runs import geometries, numbers, of_ten
from scipy import stats

from mazewm.claims.comparison import between_runs
from mazewm.claims.objectives import objective_decides
from mazewm.claims.tested import decided_together

BOTH = ("all", "path")


def pairs(one, other, objectives=BOTH):
    parts = [
        pd.DataFrame({"encoding": "learned", "seed": range(len(some)), "value": some})
        for some in (one, other)
    ]
    named = zip(parts, objectives, strict=True)
    return pd.concat([part.assign(objective=name) for part, name in named])


def verdict_of(rows):
    [one] = decided_together([objective_decides(rows)])
    return one.verdict


def test_pairs_are_compared_by_exchange_and_students_interval():
    low, high = [0.1, 0.3, 0.2, 0.4, 0.25, 0.15], [0.5, 0.8, 0.55, 0.9, 0.6, 0.6]
    one = objective_decides(pairs(low, high)).claim
    student = stats.ttest_rel(high, low)
    ends = student.confidence_interval(0.95)
    assert one.value[:3] == pytest.approx((np.mean(high) - np.mean(low), ends.low, ends.high))
    assert 2 * one.p_above == pytest.approx(2 / 2**6), "two of 64 ways; Student's is smaller"
    assert "path - all, over 6 pairs" in one.measure and student.pvalue < 2 / 2**6
    assert verdict_of(pairs(low, high)) == verdict_of(pairs(high, low)) == "supported"


def test_pairs_that_differ_in_both_directions_show_nothing():
    low, high = [0.1, 0.3, 0.2, 0.4, 0.6, 0.9], [0.5, 0.8, 0.55, 0.1, 0.2, 0.5]
    assert verdict_of(pairs(low, high)) == "undecided"


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (of_ten(numbers()), "only one objective, all"),
        (pairs([0.1] * 5, [0.9] * 5), "the smallest p that 5 can give is 0.062"),
        (pairs([0.4] * 6, [0.4] * 6), "the objectives of no pair differ"),
    ],
)
def test_what_cannot_be_decided_is_unmeasured(rows, reason):
    one = objective_decides(rows)
    assert verdict_of(rows) == "unmeasured" and reason in one.claim.reason


def test_equal_differences_are_no_point():
    one = objective_decides(pairs([0.1] * 6, [0.9] * 6)).claim
    assert 0 < one.value.low < 0.8 < one.value.high


def test_only_runs_with_a_partner_count():
    rows = pairs([0.1, 0.3, 0.2, 0.4, 0.25, 0.15], [0.5, 0.8, 0.55, 0.9, 0.6, 0.6])
    lone = pd.DataFrame({"encoding": ["rotary"], "seed": [9], "value": [7.0], "objective": ["all"]})
    more = objective_decides(pd.concat([rows, lone])).claim
    assert more.value == objective_decides(rows).claim.value


def test_with_two_objectives_all_verdicts_are_corrected_together():
    found = numbers({"share_at_delimiter": {"path": 3.0}}, objectives=BOTH)
    said = between_runs(found, geometries(found, 0.0), {})
    assert said["C10"]["verdict"] == "supported" and len(said) == 13
    assert not [id for id, one in said.items() if one["verdict"] == "supported" and id != "C10"]
    shown = said["C10"]["values"]["share of binding at ;"]
    assert len(shown) == 10 and shown["rotary-path"]["n_seeds"] == 5
