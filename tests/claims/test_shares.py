"""Intervals and p values of shares without a bootstrap, against scipy and by hand."""

import numpy as np
import pytest
from scipy import stats

from mazewm.claims.statistics import Ratio, Sample, _square_and_add, contrast, share, wilson


@pytest.mark.parametrize("n", [1, 2, 3, 7, 10, 49, 101, 1009])
def test_none_and_all_of_n_end_at_0_and_1_exactly(n):
    assert wilson(0, n).low == 0 < wilson(0, n).high < 1
    assert wilson(n, n).high == 1 > wilson(n, n).low > 0


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (3, 7), (97, 101), (101, 101)])
def test_wilson_is_scipys(successes, n):
    theirs = stats.binomtest(successes, n).proportion_ci(0.95, method="wilson")
    assert wilson(successes, n)[1:3] == pytest.approx((theirs.low, theirs.high))


def test_two_clusters_are_like_two_examples():
    """Of three examples each, alike in a cluster: one of two."""
    flags = np.repeat([True, False], 3)
    found = share(flags, np.repeat([0, 1], 3))
    # the clusters' variance is 2 x (1.5² + 1.5²) / 36 = 1/4, that of independent examples 1/20
    z, n = 1.959964, 6 / 5
    half = z * (0.25 / n + z * z / (4 * n * n)) ** 0.5 / (1 + z * z / n)
    assert found == pytest.approx((0.5, 0.5 - half, 0.5 + half, 6))


def newcombe(x1, n1, x2, n2, level):
    """The interval of a difference of two shares (Newcombe 1998, method 10)."""
    (l1, u1), (l2, u2) = (
        stats.binomtest(x, n).proportion_ci(level, method="wilson") for x, n in ((x1, n1), (x2, n2))
    )
    p1, p2 = x1 / n1, x2 / n2
    return p1 - p2 - np.hypot(p1 - l1, u2 - p2), p1 - p2 + np.hypot(u1 - p1, p2 - l2)


TABLES = [(56, 70, 48, 80), (9, 10, 3, 10), (5, 9, 4, 9), (30, 70, 48, 80)]


@pytest.mark.parametrize(("x1", "n1", "x2", "n2"), TABLES)
def test_p_is_the_level_at_which_an_end_is_0(x1, n1, x2, n2):
    parts = [(1.0, Sample(x1 / n1, 0.0, n1)), (-1.0, Sample(x2 / n2, 0.0, n2))]
    found = _square_and_add(parts, None)
    assert found.value == pytest.approx(x1 / n1 - x2 / n2)
    assert found[1:3] == pytest.approx(newcombe(x1, n1, x2, n2, 0.95))
    assert found.n == found.n_clusters == min(n1, n2)
    assert found.p_above + found.p_below == pytest.approx(1)
    p, is_above = min(found.p_above, found.p_below), x1 / n1 > x2 / n2
    assert (found.p_above < found.p_below) == is_above
    assert newcombe(x1, n1, x2, n2, 1 - 2 * p)[0 if is_above else 1] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("n_resamples", [99, 999])
def test_far_apart_p_is_the_smallest_that_can_be_shown(n_resamples):
    """To both sides alike."""
    ones, n = np.ones(500), 500
    above = contrast([Ratio(ones, ones)], [Ratio(0 * ones, ones)], range(n), n_resamples)
    below = contrast([Ratio(0 * ones, ones)], [Ratio(ones, ones)], range(n), n_resamples)
    least = 1 / (n_resamples + 1)
    assert (above.p_above, above.p_below) == pytest.approx((least, 1 - least))
    assert (below.p_above, below.p_below) == pytest.approx((1 - least, least))
    assert (below.value, below.low, below.high) == pytest.approx((-1, -1, -above.low))
    assert above.n == below.n == above.n_clusters == below.n_clusters == n


def test_rows_without_examples_are_no_clusters_of_their_own():
    """Of six clusters two have no example, and of one the first share alone."""
    n = [1, 1, 0, 0, 1, 1]
    one, other = Ratio([1, 1, 0, 0, 1, 1], n), Ratio([0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 1, 0])
    found = contrast([one], [other], range(6))
    assert (found.value, found.n, found.n_clusters) == (1, 4, 4)
    assert found[1:3] == pytest.approx(newcombe(4, 4, 0, 3, 0.95))


def test_a_mean_with_spread_has_a_normal_interval():
    found = Sample(0.4, 0.2, 25).interval
    assert found == pytest.approx((0.4, 0.4 - 1.959964 * 0.04, 0.4 + 1.959964 * 0.04, 25))
    assert Sample(0.4, 0.0, 25).interval == pytest.approx(wilson(10, 25))
