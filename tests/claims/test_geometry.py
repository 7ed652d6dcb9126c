"""Geometries can be compared whatever the bases are."""

import numpy as np
import pandas as pd
import pytest
from planted_paths import direction_rows

from mazewm.claims import geometry

RNG = np.random.default_rng(0)
ARROWS = RNG.standard_normal((10, 16))
TURN = np.linalg.qr(RNG.standard_normal((16, 16)))[0]


def gram(arrows):
    return geometry.gram(pd.DataFrame(arrows))


def test_turned_moved_and_scaled_directions_have_the_same_geometry():
    one, other = gram(ARROWS), gram(3 * ARROWS @ TURN + 5)
    assert geometry.similarity(one, other) == pytest.approx(1)
    assert geometry.linear_cka(one, other) == pytest.approx(1)
    assert np.trace(one) == pytest.approx(len(ARROWS)), "in units of the mean squared length"


def test_similarity_is_of_cosines_and_cka_of_products():
    other = RNG.standard_normal((10, 16))
    own, theirs = (x - x.mean(axis=0) for x in (ARROWS, other))
    cosines = [
        (unit := x / np.linalg.norm(x, axis=1, keepdims=True)) @ unit.T for x in (own, theirs)
    ]
    upper = np.triu_indices(10, 1)
    expected = np.corrcoef(cosines[0][upper], cosines[1][upper])[0, 1]
    assert geometry.similarity(gram(ARROWS), gram(other)) == pytest.approx(expected)
    # Kornblith et al. 2019, equation 3
    cka = np.linalg.norm(own.T @ theirs) ** 2
    cka /= np.linalg.norm(own.T @ own) * np.linalg.norm(theirs.T @ theirs)
    assert geometry.linear_cka(gram(ARROWS), gram(other)) == pytest.approx(cka)


def test_connections_are_matched_by_number():
    one, other = gram(ARROWS), gram(ARROWS[::-1])
    other.index = other.columns = range(9, -1, -1)
    assert geometry.similarity(one, other) == pytest.approx(1)
    assert geometry.similarity(one, gram(ARROWS[::-1])) < 0.9
    assert np.isnan(geometry.similarity(one, other.loc[[9, 8], [9, 8]]))


def test_the_table_holds_all_that_is_compared():
    rows = direction_rows(ARROWS, "here")
    found = geometry.table(rows)
    assert len(found) == 2 * 55
    back = geometry.from_table(found, "whole")
    assert back.to_numpy() == pytest.approx(gram(ARROWS).to_numpy())
    alike = geometry.similarities({"a": found, "b": found})
    assert alike.source.tolist() == ["whole", "embedding"] and alike.rsa.to_list() == [1, 1]
    assert geometry.square(alike, "whole", ["b", "a"])[0, 1] == 1


def test_noise_lowers_the_similarity_of_a_geometry_with_itself():
    clean, noisy = (direction_rows(ARROWS, "here", noise=noise) for noise in (0.01, 1.0))
    assert geometry.reliability(clean) > 0.99 > 0.9 > geometry.reliability(noisy)


def test_late_directions_that_are_turned_have_the_cosine_of_the_angle():
    rows = direction_rows(ARROWS, "here", turned=np.pi / 3)
    assert geometry.cosine_between(rows, ("early", "late")).value == pytest.approx(0.5)
    assert geometry.cosine_between(rows, ("early", "whole")).value == pytest.approx(1)
