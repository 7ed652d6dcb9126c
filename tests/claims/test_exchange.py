"""Every way to exchange runs is tried, or enough of them, and p is never below what they allow."""

from math import comb

import numpy as np
import pytest

from mazewm.claims.exchange import (
    N_DRAWN,
    n_ways,
    p_of,
    signs,
    smallest_p,
    smallest_p_of_signs,
    ways,
)


@pytest.mark.parametrize("groups", [[0, 0, 1, 1, 1], [1, 0, 2, 0, 1, 2], [0, 1]])
def test_every_way_is_tried_once_and_the_given_one_first(groups):
    tried = ways(groups)
    assert tried[0].tolist() == groups
    assert len(tried) == n_ways(np.bincount(groups).tolist()) == len(np.unique(tried, axis=0))
    assert (np.sort(tried, axis=1) == np.sort(groups)).all()


def test_of_many_ways_some_are_drawn():
    groups = np.repeat(np.arange(5), 5)
    tried = ways(groups.tolist())
    assert len(tried) == N_DRAWN + 1 and (tried[0] == groups).all()
    assert (np.sort(tried, axis=1) == groups).all()
    assert tried.mean(axis=0) == pytest.approx(2.0, abs=0.1), "every run is in every group"


def test_the_smallest_p_is_reached_by_what_differs_most():
    """Groups of equal size can change places: of three and three, two ways are as extreme."""
    assert smallest_p([3, 3]) == 2 / comb(6, 3) and smallest_p([2, 4]) == 1 / comb(6, 2)
    assert smallest_p([2, 2, 2]) == 6 / 90
    values, tried = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0]), ways([0, 0, 0, 1, 1, 1])
    spread = np.abs([values[way == 0].mean() - values[way == 1].mean() for way in tried])
    assert p_of(spread) == pytest.approx(smallest_p([3, 3]))
    assert smallest_p_of_signs(4) == 1 / 8
    assert p_of(np.abs(signs(4).mean(axis=1))) == pytest.approx(1 / 8)
    assert signs(25)[0].tolist() == [1.0] * 25 and len(signs(25)) == N_DRAWN + 1


def test_p_counts_ties_and_what_cannot_be_compared():
    assert p_of(np.array([1.0, 1.0, 0.5, 2.0])) == 0.75
    assert p_of(np.array([np.nan, 1.0, 2.0])) == 1.0
