"""Intervals against figures worked out by hand, and how often they hold the truth."""

import numpy as np
import pytest

from mazewm.claims import statistics
from mazewm.claims.statistics import (
    NOTHING,
    Clustered,
    Interval,
    bootstrap,
    cluster_bootstrap,
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


def test_the_bootstrap_of_clusters_resamples_them_whole():
    values, clusters = np.repeat([0.0, 1.0] * 23, 5), np.repeat(np.arange(46), 5)
    found = cluster_bootstrap(Clustered(values, clusters))
    assert (found.value, found.n) == (0.5, 230)
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.5 / 46**0.5, rel=0.1)
    gap = cluster_bootstrap(Clustered(np.ones(7), np.arange(7)), Clustered(values, clusters))
    assert (
        gap.value == 0.5
        and gap.n == 7
        and gap.high - gap.low == pytest.approx(found.high - found.low, rel=0.1)
    )
    assert (
        cluster_bootstrap(Clustered(np.zeros(0), np.zeros(0)))
        == NOTHING
        == cluster_bootstrap(Clustered(values, clusters), Clustered([], []))
    )


def test_bootstrap_holds_the_truth_and_is_seeded(monkeypatch):
    sample = np.random.default_rng(0).normal(5, 2, 101)
    assert bootstrap(sample) == bootstrap(sample)
    assert bootstrap(sample) != bootstrap(sample, seed=1)
    found = bootstrap(sample)
    assert found.value == sample.mean() and found.n == 101
    assert found.high - found.low == pytest.approx(2 * 1.96 * sample.std() / 101**0.5, rel=0.1)
    monkeypatch.setattr(statistics, "N_RESAMPLES", 199)
    many = [bootstrap(np.random.default_rng(seed).normal(5, 2, 53)) for seed in range(101)]
    assert 0.88 < np.mean([one.low <= 5 <= one.high for one in many]) < 0.99


def test_a_statistic_is_that_of_whole_examples(monkeypatch):
    """Rows are resampled, in as many pieces as it takes."""
    pairs = np.stack([np.arange(1.0, 48.0), 2 * np.arange(1.0, 48.0)], axis=1)
    found = bootstrap(pairs, lambda draws: draws.sum(axis=1)[:, 0] / draws.sum(axis=1)[:, 1])
    assert found == Interval(0.5, 0.5, 0.5, 47)
    sample = np.random.default_rng(1).normal(size=53)
    whole = bootstrap(sample)
    monkeypatch.setattr(statistics, "BLOCK", 1000)
    assert bootstrap(sample) == whole


def test_bootstrap_of_equals_is_a_point_and_of_none_is_nothing():
    assert bootstrap(np.full(7, 0.25)) == Interval(0.25, 0.25, 0.25, 7)
    assert bootstrap(np.zeros(0)) == NOTHING


def test_metrics_are_rounded():
    assert rounded(np.float64(1 / 3)) == 0.333333 and type(rounded(np.float64(1 / 3))) is float
    assert Interval(1 / 3, 0.1234567, 2 / 3, 7).as_metrics() == {
        "value": 0.333333,
        "low": 0.123457,
        "high": 0.666667,
        "n": 7,
    }
