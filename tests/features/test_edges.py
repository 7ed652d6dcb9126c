"""Feature maps of few tokens, few latents, and latents that say nothing."""

import numpy as np
import pytest

from mazewm.features import trees
from mazewm.features.ranking import Labelled, early_and_late, rank_latents
from mazewm.features.singles import best_single, boards
from mazewm.features.trees import DEPTHS, SiteTokens, map_connections, map_directions
from mazewm.localize.directions import mean_differences, probe_directions

N = 4  # connections
CONNECTION = np.repeat(np.arange(3), 20)  # the last connection is nowhere


def tokens(x: np.ndarray, connection: np.ndarray = CONNECTION) -> Labelled:
    return Labelled(x.astype(np.float32), connection)


def one_hot() -> np.ndarray:
    return (CONNECTION[:, None] == np.arange(3)).astype(float)


@pytest.mark.parametrize("always", [0.0, 7.0])
def test_latents_that_are_never_or_always_active_tell_nothing(always):
    """All dead, or constant columns: every score is that of chance, none is NaN."""
    same = tokens(np.full((60, 5), always))
    found = map_connections(SiteTokens(same, same, N), n_candidates=16)
    assert len(found) == 3 * len(DEPTHS)
    assert {(tree.balanced_accuracy, tree.mcc, tuple(tree.units)) for tree in found} == {
        (0.5, 0.0, ())
    }
    assert [row[3] for row in best_single(same, same, N)] == [0, 0, 0]
    board = boards(same, same, np.arange(60) // 3, N)
    assert board.n_precise == 0 and board.recall == 0
    chance = 2 * 20 / (60 + 20) if always else 0.0
    assert board.coverage == pytest.approx(chance), "F1 of what says yes, or no, everywhere"


def test_more_candidates_than_latents_and_one_latent():
    planted = tokens(one_hot()[:, :1])
    rows = rank_latents("here", planted, planted, N, n_best=16)
    assert {(row.connection, row.latent, row.rank) for row in rows} == {(e, 0, 0) for e in range(3)}
    assert {row.connection: row.f1 for row in rows}[0] == 1
    trees_of = map_connections(SiteTokens(planted, planted, N), n_candidates=16)
    assert {tree.mcc for tree in trees_of if tree.connection == 0} == {1.0}


def test_a_connection_that_one_part_lacks_or_all_tokens_encode_has_no_score():
    full, part = tokens(one_hot()), tokens(one_hot()[:40], CONNECTION[:40])
    assert {tree.connection for tree in map_connections(SiteTokens(full, part, N), 3)} == {0, 1}
    assert [row[0] for row in best_single(part, full, N)] == [0, 1]
    # connection 2, of which no latent could be chosen, is no part of the coverage
    assert boards(part, full, np.arange(60) // 3, N).coverage == 1
    only = tokens(one_hot()[:20], CONNECTION[:20])
    assert map_connections(SiteTokens(only, only, N), 3) == []
    assert map_directions(SiteTokens(only, only, N), np.eye(4)[:, :3]) == []
    assert rank_latents("here", only, only, N, 3) == [] and best_single(only, only, N) == []
    assert trees.agreement(np.ones(3, bool), np.ones(3, bool)) == (1.0, 0.0)


def test_probes_of_one_and_of_two_connections():
    """Of two classes scikit-learn has the weights of one: both connections got them."""
    x = np.random.default_rng(0).normal(size=(40, 6)) + np.eye(6)[CONNECTION[:40]] * 3
    two = probe_directions(x, CONNECTION[:40], N)
    means = mean_differences(x, CONNECTION[:40], N)
    assert all(two[e] @ means[e] > 0 for e in (0, 1)) and not two[2:].any()
    assert not probe_directions(x[:20], CONNECTION[:20], N).any()


def test_tokens_at_the_median_position_are_early():
    """As for directions and edits."""
    position = np.array([3, 7, 7, 11])
    some = tokens(np.eye(4)[:, :2], np.array([0, 1, 0, 1]))
    rows = early_and_late("here", (some, some), (position, position), N)
    assert {(row.measured_on, row.n_tokens) for row in rows} == {("early", 3), ("late", 1)}
    alone = early_and_late("here", (some, some), (np.full(4, 7), np.full(4, 7)), N)
    assert {(row.found_on, row.measured_on) for row in alone} == {("early", "early")}
