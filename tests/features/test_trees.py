"""Planted codes are read off: one latent for each connection, or two that are both needed, or
none.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
from planted import ranked
from sklearn.metrics import balanced_accuracy_score, matthews_corrcoef

from mazewm.claims.trees import latents_per_connection
from mazewm.features.ranking import (
    Labelled,
    LatentRow,
    PositionRow,
    best_f1,
    best_latents,
    early_and_late,
    f1,
    rank_latents,
)
from mazewm.features.trees import (
    FeatureParams,
    FeatureRow,
    SiteTokens,
    Tree,
    agreement,
    candidates,
    detector,
    map_connections,
    map_directions,
    map_site,
)
from mazewm.io import tables
from mazewm.localize.activations import Activations
from mazewm.localize.directions import mean_differences, probe_directions
from mazewm.maze.tokens import TokenClass

PAIRS = [(a, b) for b in range(5) for a in range(b)]  # ten connections, each a pair of five latents
N = len(PAIRS)
N_EACH = 31


def one_each(seed, n_units=17):
    """Connection e is latent 3 e + 1 (mod 17), at a length between 1 and 2; every connection
    equally often."""
    rng = np.random.default_rng(seed)
    connection = rng.permutation(np.repeat(np.arange(N), N_EACH))
    x = np.zeros((len(connection), n_units), np.float32)
    x[np.arange(len(x)), (3 * connection + 1) % n_units] = rng.uniform(1, 2, len(x))
    return Labelled(x, connection)


def composed(seed):
    """A connection is two of five latents, each of which helps to spell four connections."""
    rng = np.random.default_rng(seed)
    connection = rng.permutation(np.repeat(np.arange(N), N_EACH))
    x = np.zeros((len(connection), 5), np.float32)
    for end in (0, 1):
        x[np.arange(len(x)), np.array(PAIRS)[connection, end]] = 1
    return Labelled(x, connection)


def tokens_of(make):
    """What was made twice: to fit on, and to measure on."""
    return SiteTokens(make(0), make(1), N)


def trees_of(tokens):
    rows = map_connections(tokens, 5)
    return rows, pd.DataFrame(rows, columns=Tree._fields)


@pytest.mark.parametrize(
    ("on", "named"), [(0.3, 0.5), (0.01, 0.9), (0.5, 0.0), (0.5, 1.0), (1.0, 0.3)]
)
def test_agreement_is_that_of_scikit_learn(on, named):
    """To the last bit."""
    rng = np.random.default_rng(0)
    for n in (7, 101, 1009):
        truth, said = rng.random(n) < on, rng.random(n) < named
        truth[0] = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is said and never true
            assert agreement(truth, said) == (
                balanced_accuracy_score(truth, said),
                matthews_corrcoef(truth, said),
            )


def test_one_latent_for_each_connection():
    rows, frame = trees_of(tokens_of(one_each))
    assert len(rows) == 3 * N and (frame.mcc == 1).all() and (frame.balanced_accuracy == 1).all()
    assert latents_per_connection(frame).to_dict() == dict.fromkeys(range(N), 1)
    assert all(row.units == [(3 * row.connection + 1) % 17] for row in rows)
    assert (frame.n_positive == N_EACH).all() and (frame.n_tokens == N * N_EACH).all()


def test_a_composed_code_needs_two_latents_and_depth_two():
    """One latent alone is on for three other connections of nine: (1 + 6 / 9) / 2."""
    rows, frame = trees_of(tokens_of(composed))
    by_depth = frame.groupby("depth")
    assert by_depth.balanced_accuracy.min()[1] == pytest.approx((1 + 6 / 9) / 2)
    assert by_depth.balanced_accuracy.max()[1] == pytest.approx((1 + 6 / 9) / 2)
    assert by_depth.mcc.max()[1] < 0.6 and by_depth.mcc.min()[2] == 1 and by_depth.mcc.min()[3] == 1
    assert latents_per_connection(frame).to_dict() == dict.fromkeys(range(N), 2)
    assert all(sorted(row.units) == list(PAIRS[row.connection]) for row in rows if row.depth == 2)


@pytest.mark.parametrize("make", [one_each, composed])
def test_shuffled_labels_are_a_coin(make):
    _, frame = trees_of(tokens_of(make).shuffled(np.random.default_rng(0)))
    assert frame.balanced_accuracy.mean() == pytest.approx(0.5, abs=0.03)
    assert frame.mcc.mean() == pytest.approx(0, abs=0.03)
    assert (frame.n_positive == N_EACH).all()


def test_trees_are_measured_on_the_other_mazes():
    """Fitted where latents stand for connections, measured where they stand for others: nothing is
    found, but by the MCC by which sizes are chosen."""
    moved = one_each(1)
    moved = Labelled(moved.x, (moved.connection + 1) % N)
    tokens = SiteTokens(one_each(0), moved, N)
    directions = np.eye(17)[(3 * np.arange(N) + 1) % 17]
    for trees in (map_connections(tokens, 5), map_directions(tokens, directions)):
        assert max(tree.mcc for tree in trees) < 0
        assert max(tree.balanced_accuracy for tree in trees) < 0.5
        assert {tree.mcc_chosen for tree in trees} == {1}


def test_of_units_that_tell_as_much_the_same_is_asked_every_time():
    twice = SiteTokens(*(Labelled(np.tile(x, 4), e) for x, e in (one_each(0), one_each(1))), N)
    asked = [map_connections(twice, 4, depths=[1]) for _ in range(5)]
    assert all(trees == asked[0] for trees in asked) and len(asked[0]) == N


def test_a_connection_that_is_never_spelled_has_no_tree():
    fit, test = one_each(0), one_each(1)
    fit = Labelled(fit.x[fit.connection != 4], fit.connection[fit.connection != 4])
    test = Labelled(test.x[test.connection != 7], test.connection[test.connection != 7])
    tokens = SiteTokens(fit, test, N)
    for trees in (map_connections(tokens, 5), map_directions(tokens, np.ones((N, 17)))):
        assert {tree.connection for tree in trees} == set(range(N)) - {4, 7}


def test_candidates_are_the_largest_t():
    label = np.repeat([True, False], 20)
    noise = np.tile([-1.0, 1.0], 20)
    x = np.stack(
        [
            noise,
            noise + label,
            noise - 3 * label,
            np.full(40, 7.0),
            noise / 10 + label,
            5 * noise + 4 * label,
        ],
        axis=1,
    )
    assert candidates(x, label, 3).tolist() == [4, 2, 1]
    assert candidates(x, label, 99).tolist()[-2:] == [0, 3], (
        "what tells nothing comes last, a constant too"
    )


def test_latents_per_connection_takes_the_fewest_within_a_hundredth():
    rows = [
        (0, 1, 0.985, [3]),
        (0, 2, 0.99, [3, 4]),
        (0, 3, 0.994, [3, 4, 5]),
        (1, 1, 0.90, [1]),
        (1, 2, 0.94, [1, 2]),
        (1, 3, 0.945, [1, 2, 9]),
    ]
    frame = pd.DataFrame(rows, columns=["connection", "depth", "mcc_chosen", "units"])
    assert latents_per_connection(frame).to_dict() == {0: 1, 1: 2}
    frame.loc[0, "mcc_chosen"] = 0.983
    assert latents_per_connection(frame).to_dict() == {0: 2, 1: 2}
    hardly = frame.assign(mcc_chosen=frame.mcc_chosen - 0.25)
    assert latents_per_connection(hardly).to_dict() == {0: 2}, "the other is not detected"
    assert latents_per_connection(frame.assign(mcc_chosen=0.0)).empty


def test_mean_differences_by_hand():
    x = np.array([[1, 0], [3, 0], [0, 4], [0, 8], [2, 2]], np.float16)
    found = mean_differences(x, np.array([0, 0, 1, 1, -1]), 3)
    assert np.allclose(found, [[2 - 2 / 3, 0 - 14 / 3], [0 - 6 / 3, 6 - 2 / 3], [0, 0]])
    assert (mean_differences(x, np.zeros(5, int), 2) == 0).all(), "there is nothing to differ from"


def clouds(seed):
    """Ten overlapping clouds in eleven dimensions, each around its own point."""
    rng = np.random.default_rng(seed)
    centres = 5 * np.random.default_rng(7).standard_normal((N, 11))
    connection = rng.permutation(np.repeat(np.arange(N), N_EACH))
    return Labelled(
        centres[connection] + 0.5 * rng.standard_normal((len(connection), 11)), connection
    )


def test_probe_directions_separate():
    fit, test = clouds(0), clouds(1)
    directions = probe_directions(*fit, N + 1)
    assert directions.shape == (N + 1, 11) and (directions[N] == 0).all()
    for e in range(N):
        along = test.x @ directions[e]
        assert (
            along[test.connection == e].mean()
            > along[test.connection != e].mean() + 3 * along[test.connection == e].std()
        )
    tokens = SiteTokens(fit, test, N)
    rows = map_directions(tokens, directions)
    assert np.mean([row.mcc for row in rows]) > 0.9
    assert {row.depth for row in rows} == {1} and all(len(row.units) == 0 for row in rows)
    noise = np.random.default_rng(0).standard_normal((N, 11))
    assert np.mean([row.mcc for row in map_directions(tokens, noise)]) < 0.7


def test_the_planted_latent_is_ranked_first():
    fit, test = one_each(0), one_each(1)
    rows = rank_latents("a site", fit, test, N, 3)
    frame = tables.frame(rows, LatentRow)
    first = frame[frame["rank"] == 0].set_index("connection")
    for e in range(N):
        assert first.latent[e] == (3 * e + 1) % 17
        assert first.mean_on[e] == pytest.approx(
            fit.x[fit.connection == e, (3 * e + 1) % 17].mean(), rel=1e-6
        )
    assert (first.mean_off == 0).all() and (first.f1 == 1).all()
    assert best_latents(frame, "a site") == {e: (3 * e + 1) % 17 for e in range(N)}
    assert best_latents(frame, "another site") == {}


def test_rank_mean_and_f1_by_hand():
    """Latent 0 is on at all four tokens of connection 0 and one other; latent 1 at two of its
    tokens only, but strongly."""
    connection = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    x = np.zeros((8, 3), np.float32)
    x[:5, 0] = 1
    x[:2, 1] = 10
    x[4:, 2] = 2
    held_out = np.zeros((8, 3), np.float32)
    held_out[1:7, 0] = 1
    rows = rank_latents("a site", Labelled(x, connection), Labelled(held_out, connection), 2, 1)
    found = {(row.connection, row.latent): row for row in rows}
    assert set(found) == {(0, 0), (0, 1), (1, 2)}, "the best by F1, and the one that gains most"
    assert found[0, 0].rank == 0 and (found[0, 0].mean_on, found[0, 0].mean_off) == (1, 0.25)
    assert found[0, 0].f1 == pytest.approx(2 * 3 / (6 + 4)), "measured on test mazes"
    assert (
        found[0, 1].rank == 1
        and (found[0, 1].mean_on, found[0, 1].mean_off) == (5, 0)
        and found[0, 1].f1 == 0
    )
    assert found[1, 2].rank == 0 and found[1, 2].mean_on == 2


def test_thresholds_are_shares_of_the_maximum():
    """A latent that is faintly on everywhere, and on in earnest at its connection, is a perfect
    detector above a tenth."""
    connection = np.tile([0, 1], 20)
    x = np.where(connection == 0, 10.0, 0.5)[:, None]
    [row, _] = rank_latents("a site", Labelled(x, connection), Labelled(x / 2, connection), 2, 1)
    assert row.f1 == 1 and row.mean_off == 0.5


def test_best_latents_reads_rank_zero():
    frame = ranked([(3, 0, 11, 1.0, 0.0), (3, 1, 5, 1.0, 0.0), (4, 0, 2, 1.0, 0.0)], "here")
    assert best_latents(frame, "here") == {3: 11, 4: 2}


def test_a_site_is_mapped_by_every_readout():
    planted, raw = tokens_of(one_each), tokens_of(clouds)
    noise = tokens_of(
        lambda n: Labelled(np.random.default_rng(n).random((N * N_EACH, 7)), one_each(n).connection)
    )
    saes = {"latents": planted, "frozen_decoder": noise, "untrained_model": noise}
    rows, latents = map_site("here", saes, raw, FeatureParams(n_candidates=3), 0)
    best = (
        tables.frame(rows, FeatureRow)
        .groupby(["readout", "connection"])
        .mcc.max()
        .groupby("readout")
        .mean()
    )
    assert set(best.index) == {
        *saes,
        "shuffled_labels",
        "neurons",
        "mean_difference",
        "linear_probe",
    }
    assert best["latents"] == 1
    assert best[["mean_difference", "linear_probe"]].min() > 0.9
    assert best[["frozen_decoder", "untrained_model", "shuffled_labels"]].max() < 0.3
    assert {row.site for row in [*rows, *latents]} == {"here"}


def test_a_detector_asks_the_deepest_tree_at_its_class():
    """Latents that stand for the connection at c2 and for nothing at ;, over mazes of which every
    second one is measured."""
    fit = composed(0)
    noise = np.random.default_rng(0).random(fit.x.shape).astype(np.float32)
    x, connection = np.concatenate([fit.x, noise]), np.tile(fit.connection, 2)
    maze, classes = np.tile(np.arange(len(fit.x)) % 53, 2), np.repeat(["c2", ";"], len(fit.x))
    tokens = Activations(x, maze, maze, maze, classes, connection)
    assert detector(tokens, TokenClass.C2, N, 5).token_class == "c2"
    assert detector(tokens, TokenClass.C2, N, 5).mcc(x) == [1.0] * N, (
        "two latents are needed, so the tree is deep"
    )
    assert np.abs(detector(tokens, TokenClass.DELIMITER, N, 5).mcc(x)).max() < 0.3
    assert set(detector(tokens, TokenClass.C2, N, 5).mcc(np.zeros_like(x))) == {0.0}


def test_a_detector_measures_on_mazes_of_odd_number():
    """Those of even number spell what is active; in the others it stands for the next
    connection."""
    fit = one_each(0)
    maze = np.arange(len(fit.x))
    moved = np.where(maze % 2, (fit.connection + 1) % N, fit.connection)
    tokens = Activations(fit.x, maze, maze, maze, np.full(len(maze), "c2"), moved)
    assert max(detector(tokens, TokenClass.C2, N, 5).mcc(fit.x)) < 0


def half_of_the_time(seed):
    """Connection e is latent e at positions below 10, and latent e + N from there on."""
    rng = np.random.default_rng(seed)
    connection, position = (
        rng.permutation(np.repeat(np.arange(N), N_EACH)),
        rng.permutation(np.arange(N * N_EACH) * 20 // (N * N_EACH)),
    )
    x = np.zeros((len(connection), 2 * N), np.float32)
    x[np.arange(len(x)), connection + N * (position >= 10)] = rng.uniform(1, 2, len(x))
    return Labelled(x, connection), position


def test_a_latent_that_works_early_only():
    tokens, positions = zip(half_of_the_time(0), half_of_the_time(1), strict=True)
    rows = tables.frame(early_and_late("here", tokens, positions, N), PositionRow)
    assert len(rows) == 4 * N and set(rows.site) == {"here"}
    f1 = rows.set_index(["found_on", "measured_on", "connection"]).f1.unstack()
    assert (f1.loc[("early", "early")] == 1).all() and (f1.loc[("late", "late")] == 1).all()
    assert (f1.loc[("early", "late")] == 0).all() and (f1.loc[("late", "early")] == 0).all()
    assert (rows.latent == rows.connection + N * (rows.found_on == "late")).all()


def test_a_latent_that_works_everywhere_and_how_many_tokens_that_is():
    fit, position = half_of_the_time(0)
    test, test_position = half_of_the_time(1)
    same = tuple(Labelled(part.x[:, :N] + part.x[:, N:], part.connection) for part in (fit, test))
    rows = tables.frame(early_and_late("here", same, (position, test_position), N), PositionRow)
    assert (rows.f1 == 1).all() and (rows.latent == rows.connection).all()
    assert (rows.n_tokens == N * N_EACH // 2).all()
    at = rows.set_index(["found_on", "measured_on", "connection"]).n_positive
    assert at["early", "late", 3] == ((test.connection == 3) & (test_position >= 10)).sum()
    assert at["late", "early", 3] == ((test.connection == 3) & (test_position < 10)).sum()


def test_best_f1_by_hand():
    """Latent 0 is faint at two tokens of another connection; latent 1 misses one of two tokens."""
    x = np.array([[10, 1], [8, 0], [0.5, 0], [0.5, 0]], np.float32)
    scores, threshold = best_f1(Labelled(x, np.array([0, 0, 1, 1])), 2)
    assert scores.tolist() == [[1, pytest.approx(4 / 6)], [pytest.approx(2 / 3), 0]]
    assert threshold[0].tolist() == [1, 0] and threshold[1, 0] == 0
    assert f1(np.array([True, False]), np.array([True, True])) == pytest.approx(2 / 3)
    assert f1(np.zeros(3, bool), np.zeros(3, bool)) == 0
