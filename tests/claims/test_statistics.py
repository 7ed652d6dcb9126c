"""Intervals against figures worked out by hand, and how often they hold the truth."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mazewm.choosing import for_choosing
from mazewm.claims.resampling import Resampled, resample, weights
from mazewm.claims.statistics import (
    NO_CONTRAST,
    NOTHING,
    Interval,
    Ratio,
    Sample,
    _square_and_add,
    contrast,
    estimate,
    holm,
    mean,
    paired,
    rounded,
    share,
    wilson,
)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (1, 2, 0.0945, 0.9055),
        (50, 100, 0.4038, 0.5962),
    ],
)
def test_wilson_by_hand(successes, n, low, high):
    found = wilson(successes, n)
    assert (found.value, found.n) == (successes / n, n)
    assert found.low == pytest.approx(low, abs=1e-4) and found.high == pytest.approx(high, abs=1e-4)


@pytest.mark.parametrize(("successes", "n"), [(3, 7), (97, 101), (1, 1009)])
def test_wilson_by_its_formula(successes, n):
    p, z = successes / n, 1.959964
    centre, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    found = wilson(successes, n)
    assert found.low == pytest.approx((centre - half) / (1 + z * z / n), abs=1e-6)
    assert found.high == pytest.approx((centre + half) / (1 + z * z / n), abs=1e-6)


def test_wilson_holds_the_truth_in_nineteen_of_twenty():
    successes = np.random.default_rng(0).binomial(53, 0.3, size=401)
    held = [found.low <= 0.3 <= found.high for found in (wilson(int(s), 53) for s in successes)]
    assert 0.92 < np.mean(held) < 0.98


def test_shares():
    assert share(np.array([True] * 8 + [False] * 2)) == wilson(8, 10)
    assert share(np.zeros(0, bool)) == wilson(0, 0) == NOTHING


def test_a_share_of_clusters_by_hand():
    flags = np.array([True] * 4 + [False] * 4)
    assert share(flags, np.arange(8)) == pytest.approx(wilson(4, 8)), (
        "alone, every example is its own cluster"
    )
    # Four clusters of two equal examples: variance 4/3 * 4 / 64 = 1/12 against 1/28; 8 / (7/3) =
    # 24/7 examples in effect.
    found, z, n = share(flags, np.repeat(np.arange(4), 2)), 1.959964, 24 / 7
    half = z * (0.25 / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)
    assert (found.value, found.n) == (0.5, 8) and found.high - found.low == pytest.approx(
        2 * half, abs=1e-6
    )
    # Each cluster half and half: less than the variance of independent examples is not believed.
    assert share(np.array([True, False] * 4), np.repeat(np.arange(4), 2)) == pytest.approx(
        wilson(4, 8)
    )
    assert share(np.ones(8, bool), np.repeat(np.arange(4), 2)) == wilson(4, 4)._replace(n=8)
    assert share(np.array([True, False]), np.zeros(2)) == Interval(0.5, 0.0, 1.0, 2), (
        "one cluster says nothing about others"
    )
    assert share(np.zeros(0, bool), np.zeros(0)) == NOTHING


def test_intervals_of_clusters_hold_the_truth_where_independent_ones_do_not():
    rng = np.random.default_rng(0)
    held = {"clusters": [], "independent": []}
    for _ in range(199):
        clusters = np.repeat(np.arange(43), 7)
        # a share of 0.3 that differs between clusters
        flags = rng.random(len(clusters)) < rng.beta(1.2, 2.8, 43)[clusters]
        for name, found in (("clusters", share(flags, clusters)), ("independent", share(flags))):
            held[name].append(found.low <= 0.3 <= found.high)
    assert np.mean(held["clusters"]) > 0.9 > np.mean(held["independent"])


def test_clusters_are_drawn_whole():
    values, clusters = np.repeat([0.0, 1.0] * 23, 5), np.repeat(np.arange(46), 5)
    found = mean(values, clusters)
    assert (found.value, found.n) == (0.5, 230)
    assert found.high - found.low == pytest.approx(2 * 2.01 * 0.5 / 46**0.5, rel=0.1)
    alone = mean(values)
    assert alone.high - alone.low == pytest.approx(2 * 1.97 * 0.5 / 230**0.5, rel=0.1)


def test_a_ratio_is_a_sum_over_a_sum():
    hits, asked = (
        np.array([9.0, 1.0, 3.0, 8.0, 2.0, 0.0]),
        np.array([10.0, 2.0, 4.0, 9.0, 5.0, 0.0]),
    )
    found = contrast([Ratio(hits, asked)], [], range(6))
    assert found.value == pytest.approx(23 / 30) and (found.n, found.n_clusters) == (5, 5)
    two = contrast([Ratio(hits, asked)], [Ratio(asked - hits, asked)], range(6))
    assert two.value == pytest.approx(23 / 30 - 7 / 30)
    # the draws move together: the difference is twice the share, less 1
    assert two.low == pytest.approx(2 * found.low - 1) and two.high == pytest.approx(
        2 * found.high - 1
    )


def test_a_pair_is_compared_with_itself_and_not_with_others():
    rng, ones = np.random.default_rng(0), np.ones(40)
    base, more = rng.normal(0, 3, 40), rng.normal(1, 0.3, 40)
    pairs = contrast([Ratio(base + more, ones)], [Ratio(base, ones)], range(40))
    assert pairs.interval == mean(more)
    none = np.zeros(40)
    apart = contrast(
        [Ratio(np.append(base + more, none), np.append(ones, none))],
        [Ratio(np.append(none, base), np.append(none, ones))],
        range(80),
    )
    assert apart.value == pytest.approx(pairs.value)
    assert apart.high - apart.low > 4 * (pairs.high - pairs.low)


def test_only_entries_that_both_have_are_paired():
    own = pd.Series([0.9, 0.8, 0.7, 0.9, 0.8, 0.1], index=list("abcdef"))
    other = pd.Series([0.1, 0.3, 0.4, 0.2, 0.2, np.nan, 5.0], index=list("abcdefg"))
    found = paired(own, other)
    assert found.n == 5 and found.value == pytest.approx(4.1 / 5 - 1.2 / 5)
    sets = pd.Series([0, 0, 1, 1, 2, 2], index=own.index)
    assert paired(own, other, sets).n_clusters == 3


def test_bounds_and_p_values_say_the_same():
    rng, ones = np.random.default_rng(1), np.ones(13)
    n_near = 0
    for shift in np.linspace(-0.8, 0.8, 201):
        found = contrast([Ratio(rng.normal(size=13) + shift, ones)], [], range(13), 499)
        assert (found.low > 0) == (found.p_above < 0.025)
        assert (found.high < 0) == (found.p_below < 0.025)
        n_near += 0.01 < min(found.p_above, found.p_below) < 0.05
    assert n_near > 10, "some are near the edge"


def test_no_p_value_is_smaller_than_draws_can_show():
    ones = np.ones(20)
    far = contrast([Ratio(5 + np.random.default_rng(0).normal(size=20), ones)], [], range(20), 999)
    assert far.p_above == 1 / 1000 and far.p_below > 0.99
    assert contrast([Ratio(ones, ones)], [], range(20), 999).p_above == 1 / 1000


def test_the_interval_is_that_of_student_where_values_are_normal():
    rng, n = np.random.default_rng(2), 15
    ends = []
    for _ in range(200):
        sample = rng.normal(size=n)
        half = stats.t.ppf(0.975, n - 1) * sample.std(ddof=1) / n**0.5
        found = mean(sample)
        ends.append((found.high - found.low) / (2 * half))
    assert np.mean(ends) == pytest.approx(1, abs=0.05)


def test_the_bias_is_corrected_by_hand():
    """60 % of the draws lie below the value, so its interval reaches further up than theirs."""
    found = Resampled(599.5, np.arange(1000.0), 300.0, freedom=1e9, n_clusters=10**9)
    shift = 2 * stats.norm.ppf(0.6)
    ends = 1000 * stats.norm.cdf([shift - 1.959964, shift + 1.959964])
    assert found.interval() == pytest.approx(ends, abs=1)
    assert ends[0] > 71 and ends[1] > 992, "those of the draws are 25 and 975"
    few = Resampled(599.5, np.arange(1000.0), 300.0, freedom=9.0, n_clusters=10)
    wider = (10 / 9) ** 0.5 * stats.t.ppf(0.975, 9)
    assert few.interval()[0] == pytest.approx(1000 * stats.norm.cdf(shift - wider), abs=1)


def test_one_outlier_gives_few_degrees_of_freedom():
    even, odd = np.append(np.zeros(20), np.ones(20)), np.append(np.zeros(39), 1.0)
    free = [
        resample(np.stack([x, np.ones(40)], axis=1), lambda s: s[:, 0] / s[:, 1], 99).freedom
        for x in (even, odd)
    ]
    assert free[0] == 39 and free[1] == pytest.approx(2, abs=0.2)


def test_values_that_are_all_alike_are_no_point():
    ones = np.ones(24)
    assert contrast([Ratio(ones, ones)], [], range(24)).interval == pytest.approx(wilson(24, 24))
    both = contrast([Ratio(ones, ones)], [Ratio(0 * ones, ones)], range(24))
    below = 1 - wilson(24, 24).low
    assert both.value == 1 == both.high and both.low == pytest.approx(1 - 2**0.5 * below)
    same = contrast([Ratio(ones, ones)], [Ratio(ones, ones)], range(24))
    assert (same.value, same.p_above) == (0, 0.5) and same.low == pytest.approx(-below)
    assert same.high == pytest.approx(below)


@pytest.mark.parametrize(
    ("x1", "n1", "x2", "n2", "low", "high"),
    # Newcombe (1998), table II, method 10
    [(56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090), (10, 10, 0, 10, 0.6075, 1)],
)
def test_newcombes_examples(x1, n1, x2, n2, low, high):
    parts = [(1.0, Sample(x1 / n1, 0, n1)), (-1.0, Sample(x2 / n2, 0, n2))]
    found = _square_and_add(parts, None)
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)


def test_few_clusters_of_shares_have_wilsons_interval_and_of_others_none():
    ones = np.ones(4)
    few = contrast([Ratio([0.2, 0.4, 0.3, 0.1], ones)], [], range(4))
    assert few.interval == pytest.approx((0.25, *wilson(1, 4)[1:3], 4))
    for values in ([1.2, 1.4, 1.3, 1.1], [2.0] * 4):
        found = contrast([Ratio(values, ones)], [], range(4))
        assert (found.n, found.p_above, found.p_below) == (0, 1, 1)
        assert found.low == found.value == found.high == pytest.approx(np.mean(values))
    alike = contrast([Ratio(np.full(9, 2.0), np.ones(9))], [], range(9))
    assert (alike.value, alike.n) == (2, 0)


def test_nothing_is_no_contrast():
    zero = np.zeros(7)
    assert contrast([Ratio([], [])], [], []) == NO_CONTRAST
    assert contrast([Ratio(zero, zero)], [], range(7)) == NO_CONTRAST
    assert contrast([Ratio(zero + 1, zero + 1)], [Ratio(zero, zero)], range(7)) == NO_CONTRAST
    assert mean([]) == NOTHING


def test_any_statistic_of_sums():
    rng = np.random.default_rng(3)
    sums = np.stack([rng.uniform(1, 2, 30), rng.uniform(3, 4, 30)], axis=1)
    found = estimate(sums, lambda some: np.log(some[:, 0] / some[:, 1]))
    same = contrast([Ratio(sums[:, 0], sums[:, 1])], [], range(30))
    assert found.n == found.n_clusters == 30
    ends = np.array([found.value, found.low, found.high])
    assert np.exp(ends) == pytest.approx([same.value, same.low, same.high])
    assert found.p_below == 1 / 10_001


def test_draws_without_a_denominator_are_dropped():
    some = np.append(np.zeros(18), [1.0, 1.0])  # in 12 % of draws neither is drawn
    found = resample(np.stack([some, some], axis=1), lambda s: s[:, 0] / s[:, 1], 999)
    assert 800 < len(found.draws) < 920 and found.value == 1 and not found.has_spread
    assert contrast([Ratio(some, some)], [], range(20)).low == pytest.approx(wilson(2, 2).low)


def test_many_clusters_are_drawn_in_blocks(monkeypatch):
    [once] = weights(11, 500)
    monkeypatch.setattr("mazewm.claims.resampling.BLOCK", 1000)
    parts = list(weights(11, 500))
    assert len(parts) > 1 and np.array_equal(np.concatenate(parts), once)
    assert (once.sum(axis=1) == 11).all() and once.mean() == 1


def test_holm_by_hand():
    assert holm({"a": 0.0125, "b": 0.0167, "c": 0.026, "d": 0.04}) == {
        "a": True,
        "b": False,  # 0.05 / 3 is less
        "c": False,
        "d": False,
    }
    assert holm({}) == {} and holm({"a": 0.05}) == {"a": True}


def test_only_validation_rows_decide_choices():
    rows = pd.DataFrame({"split": ["validation", "validation"], "score": [1, 2]})
    assert for_choosing(rows) is rows
    for split in ("test", "overload"):
        with pytest.raises(RuntimeError, match=split):
            for_choosing(pd.concat([rows, rows.assign(split=split)]))
    with pytest.raises(RuntimeError, match="column split"):
        for_choosing(rows.drop(columns="split"))


def test_metrics_are_rounded():
    assert rounded(np.float64(1 / 3)) == 0.333333 and type(rounded(np.float64(1 / 3))) is float
    assert Interval(1 / 3, 0.1234567, 2 / 3, 7).as_metrics() == {
        "value": 0.333333,
        "low": 0.123457,
        "high": 0.666667,
        "n": 7,
    }
