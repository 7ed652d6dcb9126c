"""What every method writes, by hand on a small SAE, and at which tokens."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import SITE, plain_sae, trees

from mazewm.counterfactuals import pairs as made
from mazewm.counterfactuals.spelling import lists_of
from mazewm.interventions.directions import Dictionary, Directions, Units
from mazewm.interventions.edits import Condition, Method, Writer, label_of, target_of
from mazewm.interventions.labels import Label
from mazewm.localize.locations import LIST_END, WritingSite
from mazewm.maze.tokens import TokenClass, connection_positions

RNG = np.random.default_rng
MAZES = trees(101)
TREES = made.trees_of(MAZES, 7)
WRITING = WritingSite(0, ("c2", LIST_END), TokenClass.C2)
N, D = 12, 20
# the latents of connection e are the dimensions e and e + 1, which are usually at e + 1 and 0.5
MEAN_ON = np.stack([np.arange(N) + 1.0, np.full(N, 0.5)], axis=1)
LATENTS = Dictionary(
    plain_sae(D),
    Units(np.arange(N)[:, None] + np.arange(2), np.ones((N, 2))),
    MEAN_ON,
)
ARROWS = {
    name: RNG(nth).standard_normal((N, D))
    for nth, name in enumerate(("mean_difference", "probe_direction", "probe_pattern"))
}
KNOWN = {
    str(SITE): Directions(
        SITE,
        {"latents": LATENTS, "frozen_decoder": replace(LATENTS, mean_on=2 * MEAN_ON)},
        ARROWS,
        Units(np.arange(N)[:, None] + np.arange(2), np.ones((N, 2))),
    )
}


def batch(pairs, n=7):
    """The largest batch of some pairs, of seven at most."""
    return pairs[max(pairs.batches(n), key=len)]


TWINS = batch(made.twins(TREES, RNG(0), 1))
BACKWARDS = TWINS.backwards()
MOVES = batch(made.moves(TREES, RNG(0), 2))
SEVERAL = batch(made.singles(TREES[TREES.n_connections < 7], RNG(0), 3, 20))
KINDS = {"add": TWINS, "remove": BACKWARDS, "move": MOVES, "single": SEVERAL}


def written(kind, *conditions, seed=0, resid=None):
    """What is added to the residual stream of a batch, the lists, and the writer."""
    pairs = KINDS[kind]
    lists = lists_of(pairs, RNG(1))
    writer = Writer(pairs, lists, KNOWN, seed)
    if resid is None:
        resid = torch.rand(*lists.before.shape, D, generator=torch.Generator().manual_seed(3))
    kept = resid.clone()
    edit = writer.edit(conditions)
    assert edit.place == WRITING.place
    edited = edit.function(resid)
    assert torch.equal(resid, kept), "the function must not modify its argument"
    return (edited - resid).numpy(), lists, writer, resid.numpy()


def condition(name, n_units=0, where="site", dose=1.0, site=WRITING):
    return Condition(Method(name, n_units), site, where, dose)


def at_tokens(push):
    """Which positions of each maze are edited."""
    return [np.flatnonzero(row.any(axis=1)).tolist() for row in push]


C2 = 3  # the position of the first c2; the n-th is four tokens further each


def test_all_tokens_of_the_site_are_edited():
    push, lists, _, _ = written("add", condition("mean_difference", dose=2.0))
    n = lists.n_connections
    every = [*range(C2, 4 * n, 4), 4 * n + 1]
    assert at_tokens(push) == [every] * len(TWINS)
    for row, [e] in zip(push, TWINS.added, strict=True):
        assert np.allclose(row[every], 2 * ARROWS["mean_difference"][e], atol=1e-5)
    assert lists.before.shape[1] == 4 * n + 2


def test_own_is_the_token_of_the_connection_that_is_removed():
    push, lists, _, _ = written("remove", condition("mean_difference", where="own", dose=2.0))
    for row, order, [e], at in zip(
        push, lists.order, BACKWARDS.removed, at_tokens(push), strict=True
    ):
        assert at == [C2 + 4 * order.tolist().index(e)]
        assert np.allclose(row[at], -2 * ARROWS["mean_difference"][e], atol=1e-5)


def test_one_is_one_token_that_is_drawn():
    one, lists, _, _ = written("add", condition("mean_difference", where="one"), seed=0)
    same, *_ = written("add", condition("probe_direction", where="one", dose=3.0), seed=0)
    other, *_ = written("add", condition("mean_difference", where="one"), seed=1)
    places = at_tokens(one)
    assert all(len(at) == 1 and (at[0] - C2) % 4 == 0 for at in places)
    assert all(at[0] < 4 * lists.n_connections for at in places)
    assert places == at_tokens(same) != at_tokens(other)
    assert len({at[0] for at in places}) > 1


def test_several_connections_are_dealt_in_turn():
    push, lists, _, _ = written("single", condition("mean_difference", where="dealt"))
    every = [*range(C2, 4 * lists.n_connections, 4), 4 * lists.n_connections + 1]
    for row, added in zip(push, SEVERAL.added, strict=True):
        assert len(added) == 3
        for nth, at in enumerate(every):
            expected = ARROWS["mean_difference"][added[nth % 3]]
            assert np.allclose(row[at], expected, atol=1e-5)


def test_dealt_by_hand():
    lists = lists_of(SEVERAL, RNG(0))
    at, connection = target_of(condition("latents", 1, "dealt"), lists, SEVERAL.added, RNG(0))
    assert (at == WRITING.positions(lists.n_connections)).all()
    assert (connection[:, [0, 1, 2, 3]] == SEVERAL.added[:, [0, 1, 2, 0]]).all()


@pytest.mark.parametrize("tokens", [("c1", "<-->"), ("c1", "<-->", ";", LIST_END), ("c2",)])
@pytest.mark.parametrize("k", range(2, 9))
@pytest.mark.parametrize("n", [5, 6, 9, 10])
def test_each_connection_is_dealt_tokens_of_every_class(n, k, tokens):
    """If there are more of them than connections in the prompt, at least some of any class."""
    site = replace(WRITING, tokens=tokens)
    at, turns = site.positions(n), site.turns(n) % k
    if len(at) >= k:
        assert set(turns) == set(range(k))
    for name in set(tokens) - {LIST_END}:
        mine = turns[np.isin(at, connection_positions(n, TokenClass(name)))]
        assert len(set(mine)) == min(n, k), name


@pytest.mark.parametrize(("name", "usual"), [("latents", 1), ("frozen_decoder", 2)])
def test_latents_are_raised_to_the_dose_and_never_lowered(name, usual):
    dose = 0.4
    push, lists, _, resid = written("add", condition(name, 2, dose=dose))
    n_kept = 0
    for row, before, [e] in zip(push, resid, TWINS.added, strict=True):
        for at in WRITING.positions(lists.n_connections):
            expected = np.zeros(D)
            for nth in (0, 1):
                z, target = before[at, e + nth], dose * usual * MEAN_ON[e, nth]
                expected[e + nth] = max(z, target) - z
                n_kept += z > target
            assert np.allclose(row[at], expected, atol=1e-5)
    assert n_kept > 5, "some are above it already"
    alone, *_ = written("add", condition(name, 1, dose=dose))
    for row, [e] in zip(alone, TWINS.added, strict=True):
        assert not np.delete(row, e, axis=1).any()


@pytest.mark.parametrize("dose", [0.5, 1.0, 2.0])
def test_own_latents_are_scaled_down_and_beyond(dose):
    resid = torch.rand(*lists_of(BACKWARDS, RNG(1)).before.shape, D) - 0.3
    push, lists, _, before = written("remove", condition("latents", 2, "own", dose), resid=resid)
    for row, here, order, [e] in zip(push, before, lists.order, BACKWARDS.removed, strict=True):
        at = C2 + 4 * order.tolist().index(e)
        expected = np.zeros(D)
        expected[[e, e + 1]] = -dose * np.maximum(here[at, [e, e + 1]], 0)  # z' = (1 - dose) z
        assert np.allclose(row[at], expected, atol=1e-5)


def test_away_from_the_own_token_the_usual_activation_is_taken_away():
    push, lists, _, _ = written("remove", condition("latents", 2, "site", 1.5))
    for row, [e] in zip(push, BACKWARDS.removed, strict=True):
        for at in WRITING.positions(lists.n_connections):
            assert np.allclose(row[at, [e, e + 1]], -1.5 * MEAN_ON[e], atol=1e-5)
            assert not np.delete(row[at], [e, e + 1]).any()


def test_residual_dimensions_are_parts_of_the_mean_difference():
    push, *_ = written("add", condition("residual_dimensions", 1, dose=2.0))
    for row, [e] in zip(push, TWINS.added, strict=True):
        expected = np.zeros(D)
        expected[e] = 2 * ARROWS["mean_difference"][e, e]
        assert np.allclose(row[C2], expected, atol=1e-5)


def test_random_pushes_are_as_long_as_the_mean_difference_and_the_same_for_every_dose():
    push, lists, writer, _ = written("add", condition("random_direction", dose=2.0))
    double, *_ = written("add", condition("random_direction", dose=4.0))
    other, *_ = written("add", condition("random_direction", dose=2.0), seed=1)
    assert np.allclose(2 * push, double, atol=1e-4) and not np.allclose(push, other, atol=1)
    lengths = 2 * np.linalg.norm(ARROWS["mean_difference"], axis=1)[TWINS.added[:, 0]]
    assert np.allclose(np.linalg.norm(push[:, C2], axis=1), lengths, rtol=1e-4)
    assert np.allclose(push[:, C2], push[:, C2 + 4], atol=1e-5), "one for each connection"
    cosines = np.corrcoef(push[:, C2])
    assert abs(cosines[np.triu_indices(len(push), 1)]).max() < 0.9, "another for each maze"
    assert writer.length == pytest.approx(lengths.mean(), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_another_connection_is_not_edited_and_absent_where_it_can_be(kind):
    pairs = KINDS[kind]
    writer = Writer(pairs, lists_of(pairs, RNG(1)), KNOWN, 0)
    edited = np.concatenate([pairs.added, pairs.removed], axis=1)
    others = writer._others(edited)
    for mine, there, before in zip(edited, others, pairs.before, strict=True):
        assert len(set(there)) == len(there) and not set(there) & set(mine)
        assert not before[there].any(), "several are absent"
    tiled = writer._others(np.tile(edited, (1, 2)))
    assert (tiled == np.tile(others, (1, 2))).all(), "the same wherever it stands"
    crowded = np.ones_like(pairs.before)
    np.put_along_axis(crowded, pairs.added, False, axis=1)
    full = replace(pairs, before=crowded)
    others = Writer(full, lists_of(pairs, RNG(1)), KNOWN, 0)._others(edited)
    assert not (others[:, :, None] == edited[:, None, :]).any(), "present ones, but not edited"


def test_another_connections_latents_are_written():
    push, lists, writer, _ = written("add", condition("other_connection", 2, dose=100.0))
    others = writer._others(TWINS.added)[:, 0]
    for row, e in zip(push, others, strict=True):
        assert np.flatnonzero(row[C2]).tolist() == [e, e + 1]


def test_two_at_once_edit_both_places():
    adding = condition("latents", 1, "site", 3.0)
    removing = condition("mean_difference", 0, "own", 2.0)
    both, lists, writer, before = written("move", adding, removing)
    length = writer.length
    for row, here, order, [f], [e] in zip(
        both, before, lists.order, MOVES.added, MOVES.removed, strict=True
    ):
        own = C2 + 4 * order.tolist().index(e)
        for at in WRITING.positions(lists.n_connections):
            expected = np.zeros(D)
            expected[f] = max(0, 3.0 * MEAN_ON[f, 0] - here[at, f])
            if at == own:
                expected -= 2 * ARROWS["mean_difference"][e]
            assert np.allclose(row[at], expected, atol=1e-5)
    one, _, first_writer, _ = written("move", adding)
    other, _, second_writer, _ = written("move", removing)
    assert np.allclose(both, one + other, atol=1e-5), "removing alone subtracts"
    assert length == pytest.approx((first_writer.length + second_writer.length) / 2)


def test_the_length_is_the_mean_over_tokens():
    push, lists, writer, _ = written("remove", condition("latents", 2, "own", 1.0))
    at = [row[places[0]] for row, places in zip(push, at_tokens(push), strict=True)]
    assert writer.length == pytest.approx(np.linalg.norm(at, axis=1).mean(), rel=1e-5)
    assert writer.length > 0


def test_labels():
    assert label_of(condition("latents", 4, "own", 2.0)) == Label(
        "latents", 4, "0.resid_post", "own c2", 2.0
    )
    assert label_of(condition("mean_difference")).tokens == "c2 and <ADJLIST_END>"
    assert condition("latents", 1, "one").tokens == "one c2"
