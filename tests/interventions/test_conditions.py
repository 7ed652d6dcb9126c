"""What each condition adds, by hand: the SAE's latents are the dimensions themselves, so a delta shows the latents' change."""

import numpy as np
import pandas as pd
import pytest
import torch
from planted import N_CONNECTIONS, SITE, plain_sae, ranked, sae_of, trees

from mazewm.activations import Activations
from mazewm.consolidation import SpellingSite
from mazewm.interventions.conditions import (
    Condition,
    Directions,
    LatentSets,
    _absent_connection,
    delta,
    directions_at,
    latent_sets,
    positions,
)
from mazewm.maze import examples
from mazewm.tokens import TokenClass, spell

D = 37
OWN = np.array([[(5 * e + 2) % 31, 31 + e % 5] for e in range(N_CONNECTIONS)])  # a first latent of its own, a second that is shared
MEAN_ON = np.array([[1 + e / 4, 2.0] for e in range(N_CONNECTIONS)])
ARROWS = np.random.default_rng(7).standard_normal((N_CONNECTIONS, D))
SETS = {1: LatentSets(OWN[:, :1], MEAN_ON[:, :1]), 2: LatentSets(OWN, MEAN_ON)}
DENSITY = np.where(np.arange(D) % 7 == 6, 0, np.arange(D) / D + 0.01)
DIRECTIONS = Directions(SITE, True, plain_sae(D), SETS, ARROWS, DENSITY)
MAZES = trees(211)
ADDED = examples.additions(MAZES, np.random.default_rng(0), 5)
REMOVED = examples.removals(MAZES, np.random.default_rng(0), 5, 8)
RNG = np.random.default_rng


def values_of(some, n_pos, seed=0):
    """Activations of which half are below zero, where the plain SAE has no latent."""
    return torch.randn(len(some), n_pos, D, generator=torch.Generator().manual_seed(seed))


def condition(method, n_latents=1, dose=1.0, where="all"):
    return Condition(method, where, n_latents, dose)


@pytest.mark.parametrize("some", [ADDED, REMOVED], ids=["add", "remove"])
def test_no_op_adds_nothing(some):
    assert (delta(condition("no_op"), some, DIRECTIONS, values_of(some, 3), RNG(0)) == 0).all()


@pytest.mark.parametrize("n_latents", [1, 2])
@pytest.mark.parametrize("dose", [0.5, 1.0, 4.0])
def test_adding_raises_to_the_dose_and_never_lowers(n_latents, dose):
    value = values_of(ADDED, 3)
    after = value.clamp(min=0) + delta(condition("latents", n_latents, dose), ADDED, DIRECTIONS, value, RNG(0))
    expected = value.clamp(min=0).clone()
    for maze, e in enumerate(ADDED.connection):
        for nth in range(n_latents):
            latent = OWN[e, nth]
            expected[maze, :, latent] = expected[maze, :, latent].clamp(min=dose * MEAN_ON[e, nth])
    assert torch.allclose(after, expected, atol=1e-6)
    assert (after >= value.clamp(min=0) - 1e-6).all()
    assert value[:, :, :31].amax() > 0.5 * MEAN_ON[:, 0].min(), "some were higher than the dose already"


@pytest.mark.parametrize(("dose", "left"), [(1.0, 0.0), (0.5, 0.5), (2.0, -1.0)])
def test_removing_takes_the_dose_away(dose, left):
    value = values_of(REMOVED, 1)
    after = value.clamp(min=0) + delta(condition("latents", 2, dose, "own"), REMOVED, DIRECTIONS, value, RNG(0))
    expected = value.clamp(min=0).clone()
    rows = torch.arange(len(REMOVED))[:, None]
    expected[rows, 0, torch.from_numpy(OWN[REMOVED.connection])] *= left
    assert torch.allclose(after, expected, atol=1e-6)


def test_the_change_of_latents_passes_through_the_decoder():
    """What is added is (z' - z) W_dec, whatever the SAE's error."""
    decoder = torch.randn(D, D, generator=torch.Generator().manual_seed(1))
    value, wanted = values_of(ADDED, 2), condition("latents", 2, 2.0)
    plain = delta(wanted, ADDED, DIRECTIONS, value, RNG(0))
    turned = Directions(SITE, True, sae_of(torch.eye(D), decoder), SETS, ARROWS, DENSITY)
    assert torch.allclose(delta(wanted, ADDED, turned, value, RNG(0)), plain @ decoder, atol=1e-5)


@pytest.mark.parametrize(("some", "sign"), [(ADDED, 1), (REMOVED, -1)], ids=["add", "remove"])
def test_mean_difference_has_a_sign_and_a_dose(some, sign):
    value = values_of(some, 3)
    for dose in (0.5, 4.0):
        added = delta(condition("mean_difference", 0, dose), some, DIRECTIONS, value, RNG(0))
        expected = sign * dose * ARROWS[some.connection][:, None, :].repeat(3, axis=1)
        assert np.allclose(added.numpy(), expected, atol=1e-5)


def test_random_direction_has_the_norm_and_another_direction():
    value = values_of(ADDED, 3)
    added = delta(condition("random_direction", 0, 2.0), ADDED, DIRECTIONS, value, RNG(0)).numpy()
    largest = max(DIRECTIONS.sets)
    edit = delta(condition("latents", largest, 2.0), ADDED, DIRECTIONS, value, RNG(0)).numpy()
    assert np.allclose(np.linalg.norm(added, axis=2), np.linalg.norm(edit, axis=2), rtol=1e-5)
    cosine = (added * edit).sum(axis=2)[:, 0] / np.linalg.norm(added[:, 0], axis=1) / np.linalg.norm(edit[:, 0], axis=1)
    assert abs(cosine.mean()) < 0.1 and np.abs(cosine).max() < 0.7
    again = delta(condition("random_direction", 0, 2.0), ADDED, DIRECTIONS, value, RNG(0)).numpy()
    assert np.array_equal(added, again)


def changed_latents(method, some, n_latents=1, dose=4.0, n_pos=1, seed=0, where="all"):
    """For each maze the latents that a condition changes, where every latent is on a little."""
    value = torch.full((len(some), n_pos, D), 0.25)
    change = delta(condition(method, n_latents, dose, where), some, DIRECTIONS, value, RNG(seed))
    assert (change == change[:, :1]).all()
    return [set(np.flatnonzero(row).tolist()) for row in change[:, 0].numpy()], change[:, 0].numpy()


def test_other_connection_is_absent_and_not_the_edited_one():
    seen = set()
    for seed in range(5):
        found, change = changed_latents("other_connection", ADDED, n_pos=3, seed=seed)
        for maze, latents in enumerate(found):
            [latent] = latents
            [other] = np.flatnonzero(OWN[:, 0] == latent)
            assert other != ADDED.connection[maze] and not ADDED.mazes.connections[maze, other]
            assert change[maze, latent] == pytest.approx(4 * MEAN_ON[other, 0] - 0.25)
            seen.add((maze, int(other)))
    assert len(seen) > 1.5 * len(ADDED), "another one each time"


def test_absent_connections_are_drawn_evenly():
    maze = np.zeros(4001, int)
    many = examples.Examples("add", ADDED.mazes[maze], ADDED.connection[maze], ADDED.edited[maze])
    drawn = np.bincount(_absent_connection(many, RNG(0)), minlength=N_CONNECTIONS) / 4001
    free = ~ADDED.mazes.connections[0] & (np.arange(N_CONNECTIONS) != ADDED.connection[0])
    assert (drawn[~free] == 0).all() and np.allclose(drawn[free], 1 / free.sum(), atol=0.04)


def test_other_latents_are_the_strongest_that_are_not_the_edited_ones():
    value = values_of(REMOVED, 1)
    rows = np.arange(len(REMOVED))
    value[rows[:, None], 0, torch.from_numpy(OWN[REMOVED.connection])] = 9.0  # the edited ones are the strongest of all
    change = delta(condition("other_latents", 2, 1.0, "own"), REMOVED, DIRECTIONS, value, RNG(0))[:, 0].numpy()
    latents = value[:, 0].clamp(min=0).numpy()
    for maze, e in enumerate(REMOVED.connection):
        others = np.array([-1.0 if latent in OWN[e] else z for latent, z in enumerate(latents[maze])])
        strongest = np.argsort(-others)[:2]
        expected = np.zeros(D)
        expected[strongest] = -latents[maze, strongest]
        assert np.allclose(change[maze], expected, atol=1e-6)


@pytest.mark.parametrize("some", [ADDED, REMOVED], ids=["add", "remove"])
def test_random_latents_are_alive_alike_and_not_the_edited_one(some):
    alive = np.flatnonzero(DENSITY > 0)
    drawn = set()
    for seed in range(7):
        found, _ = changed_latents("random_latents", some, dose=1.0, seed=seed)
        for maze, latents in enumerate(found):
            [latent] = latents
            edited = OWN[some.connection[maze], 0]
            near = sorted(alive[alive != edited], key=lambda other: abs(DENSITY[other] - DENSITY[edited]))
            cut = abs(DENSITY[near[9]] - DENSITY[edited])
            assert latent != edited and DENSITY[latent] > 0
            assert abs(DENSITY[latent] - DENSITY[edited]) <= cut + 1e-9, "among the ten whose density is nearest"
            drawn.add((maze, latent))
    assert len(drawn) > 3 * len(some)


def test_random_latents_get_the_values_of_the_edited_ones():
    found, change = changed_latents("random_latents", ADDED, dose=4.0)
    for maze, latents in enumerate(found):
        assert change[maze, [*latents]] == pytest.approx(4 * MEAN_ON[ADDED.connection[maze], 0] - 0.25)


def test_fixed_value_is_one_for_all():
    _, change = changed_latents("fixed_value", ADDED, 2, dose=2.0)
    for maze, e in enumerate(ADDED.connection):
        assert np.flatnonzero(change[maze]).tolist() == sorted(OWN[e])
        assert change[maze, OWN[e]] == pytest.approx(2 * MEAN_ON[:, 0].mean() - 0.25)


def test_positions_of_every_connection_and_of_a_borrowed_one():
    n = 8
    some = ADDED.mazes.n_connections == n
    part = examples.Examples("add", ADDED.mazes[some], ADDED.connection[some], ADDED.edited[some])
    spelled = spell(part.mazes, RNG(0))
    for token_class, first in ((TokenClass.C2, 3), (TokenClass.DELIMITER, 4), (TokenClass.C1, 1)):
        site = SpellingSite(1, token_class)
        every = positions(condition("latents"), part, spelled, site, RNG(0))
        assert every.tolist() == [[first + 4 * k for k in range(n)]] * len(part)
        draws = [positions(condition("latents", where="borrowed"), part, spelled, site, RNG(seed)) for seed in range(23)]
        assert all(draw.shape == (len(part), 1) for draw in draws)
        assert set(np.concatenate(draws).ravel().tolist()) == {first + 4 * k for k in range(n)}
        assert np.array_equal(draws[0], positions(condition("no_op", where="borrowed"), part, spelled, site, RNG(0)))


def test_its_own_position_is_where_the_connection_is_spelled():
    for n in np.unique(REMOVED.mazes.n_connections):
        some = REMOVED.mazes.n_connections == n
        part = examples.Examples("remove", REMOVED.mazes[some], REMOVED.connection[some], REMOVED.edited[some])
        spelled = spell(part.mazes, RNG(0))
        own = positions(condition("latents", where="own"), part, spelled, SITE, RNG(0))
        assert own.shape == (len(part), 1)
        for maze, (at,) in enumerate(own):
            ends = {int(spelled.tokens[maze, at - 2]) - 11, int(spelled.tokens[maze, at]) - 11}
            assert ends == set(part.mazes.grid.ends[part.connection[maze]].tolist())


ROWS = [
    (0, 0, 5, 1.0, 0.0),  # the best by F1, though others gain more
    (0, 1, 6, 2.0, 1.5),
    (0, 2, 7, 9.0, 1.0),
    (0, 3, 8, 4.0, 0.0),
    (2, 0, 1, 3.0, 0.0),
]


def test_a_set_is_the_best_latent_and_then_those_that_gain_most():
    ids, mean_on = latent_sets(ranked(ROWS), 3, 3)
    assert ids.tolist() == [[5, 7, 8], [0, 0, 0], [1, 1, 1]], "too few are filled with the best; never seen stays zero"
    assert mean_on.tolist() == [[1, 9, 4], [0, 0, 0], [3, 3, 3]]
    assert latent_sets(ranked(ROWS), 3, 1).ids.tolist() == [[5], [0], [1]]


def test_a_repeated_latent_changes_nothing():
    """A set that was filled up does what the set without the filling does."""
    once = Directions(SITE, True, plain_sae(D), {1: SETS[1]}, ARROWS, DENSITY)
    filled = {3: LatentSets(OWN[:, [0, 0, 0]], MEAN_ON[:, [0, 0, 0]])}
    thrice = Directions(SITE, True, plain_sae(D), filled, ARROWS, DENSITY)
    for some in (ADDED, REMOVED):
        value = values_of(some, 2)
        one = delta(condition("latents", 1, 2.0), some, once, value, RNG(0))
        assert torch.equal(one, delta(condition("latents", 3, 2.0), some, thrice, value, RNG(0)))


def test_directions_are_measured_on_tokens():
    values = np.array([[2, 0, -1], [4, 0, -1], [0, 1, -1], [0, 0, -1]], np.float16)
    tokens = Activations(values, np.arange(4), np.arange(4), np.full(4, "c2", object), np.array([0, 0, 1, 2]))
    rows = pd.concat([ranked(ROWS), ranked([(0, 0, 9, 7.0, 0.0)], "elsewhere")])
    found = directions_at(SITE, True, plain_sae(3), rows, tokens, 3, [1, 2])
    assert np.allclose(found.density, [0.5, 0.25, 0])
    assert np.allclose(found.mean_difference, [[3, -0.5, 0], [-2, 1, 0], [-2, -1 / 3, 0]])
    assert set(found.sets) == {1, 2} and found.sets[2].ids[0].tolist() == [5, 7]
