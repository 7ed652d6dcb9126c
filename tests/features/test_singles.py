"""The best single units and boards, on codes that are known."""

import numpy as np
import pytest
from features.test_trees import N, composed, one_each
from sklearn.metrics import f1_score, matthews_corrcoef

from mazewm.features import singles
from mazewm.features.ranking import Labelled


def test_one_latent_for_each_connection_is_found():
    fit, test = one_each(0), one_each(1)
    found = singles.best_single(fit, test, N)
    assert [row[:2] for row in found] == [(e, (3 * e + 1) % 17) for e in range(N)]
    assert all(row[2:4] == (pytest.approx(1), pytest.approx(1)) for row in found)
    assert singles.boards(fit, test, np.arange(len(test.x)) // 5, N) == singles.Boards(
        1, N, 1, 1, 1, len(test.x) // 5
    )


def test_one_of_two_latents_is_not_enough():
    fit, test = composed(0), composed(1)
    found = singles.best_single(fit, test, N)
    assert max(row[3] for row in found) < 0.6
    boards = singles.boards(fit, test, np.arange(len(test.x)) // 5, N)
    assert boards.n_precise == 0 and boards.recall == boards.f1 == 0 and boards.coverage < 0.6


def test_a_negative_dimension_is_found_with_its_sign_only():
    rng = np.random.default_rng(0)
    connection = rng.integers(0, 3, 400)
    x = rng.normal(0, 0.1, (400, 4))
    x[connection == 1, 2] -= 2.0
    tokens = Labelled(x, connection)
    alone = {row[0]: row for row in singles.best_single(tokens, tokens, 3)}
    both = {
        row[0]: row
        for row in singles.best_single(*(singles.both_signs(tokens) for _ in range(2)), 3)
    }
    assert alone[1][3] < 0.6 and both[1][1] == 6 and both[1][3] > 0.97


def test_scores_are_scikit_learns():
    rng = np.random.default_rng(3)
    said, truth = rng.random((60, 5)) < 0.4, rng.random((60, 4)) < 0.3
    counts = singles._counts(said, truth)
    mcc, f1 = singles._mcc(*counts), singles._f1(*counts)
    for unit, e in np.ndindex(5, 4):
        assert mcc[unit, e] == pytest.approx(matthews_corrcoef(truth[:, e], said[:, unit]))
        assert f1[unit, e] == pytest.approx(f1_score(truth[:, e], said[:, unit]))
    nothing = singles._counts(np.zeros((60, 1), bool), truth)
    assert (singles._mcc(*nothing) == 0).all(), "a unit that never fires says nothing"


def test_the_unit_is_chosen_on_validation_tokens():
    """On test tokens another one would be better."""
    connection = np.array([0] * 10 + [1] * 10)
    good = np.concatenate([np.ones(10), np.zeros(10)])
    worse = good.copy()
    worse[[0, 1, 12, 13]] = 1 - worse[[0, 1, 12, 13]]
    fit = Labelled(np.stack([good, worse], axis=1), connection)
    test = Labelled(np.stack([worse, good], axis=1), connection)
    e, unit, chosen, mcc, n = singles.best_single(fit, test, 2)[0]
    assert (e, unit, chosen, n) == (0, 0, pytest.approx(1), 10)
    assert mcc == pytest.approx(matthews_corrcoef(connection == 0, worse > 0))


def test_a_board_by_hand():
    """Connection 0 has a precise latent; that of connection 1 also fires elsewhere."""
    fit = Labelled(
        np.array([[1.0, 0], [1, 1], [0, 1], [0, 1], [0, 0], [0, 1]]), np.array([0, 0, 1, 1, 2, 2])
    )
    test = Labelled(np.array([[1.0, 0], [0, 1], [0, 0], [0, 1]]), np.array([0, 1, 0, 2]))
    found = singles.boards(fit, test, np.array([0, 0, 1, 1]), 3)
    # maze 0 has 0 and 1, of which 0 is said; maze 1 has 0 and 2, of which nothing is
    assert (found.n_precise, found.n) == (1, 2)
    assert (found.precision, found.recall) == (0.5, 0.25)
    assert found.f1 == pytest.approx((2 / 3 + 0) / 2)
