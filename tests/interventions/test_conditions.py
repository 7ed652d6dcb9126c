"""What each condition adds, by hand: the SAE's latents are the dimensions themselves, so a delta
shows the latents' change.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from planted import N_CONNECTIONS, SITE, plain_sae, sae_of, trees

from mazewm.counterfactuals import examples
from mazewm.interventions import conditions
from mazewm.interventions.conditions import Condition, _other_connections, positions
from mazewm.interventions.directions import Directions, LatentSets
from mazewm.localize.locations import Location
from mazewm.maze.tokens import TokenClass, encode

D = 37
# a first latent of its own, a second that is shared
OWN = np.array([[(5 * e + 2) % 31, 31 + e % 5] for e in range(N_CONNECTIONS)])
MEAN_ON = np.array([[1 + e / 4, 2.0] for e in range(N_CONNECTIONS)])
ARROWS = np.random.default_rng(7).standard_normal((N_CONNECTIONS, D))
CELLS = (OWN[:, :1] + np.array([3, 11, 17, 23])) % 36  # latents of the two cells, two each
SETS = {
    1: LatentSets(OWN[:, :1], MEAN_ON[:, :1], CELLS[:, ::2]),
    2: LatentSets(OWN, MEAN_ON, CELLS),
}
PROBES = np.random.default_rng(8).standard_normal((N_CONNECTIONS, D))
DENSITY = np.where(np.arange(D) % 7 == 6, 0, np.arange(D) / D + 0.01)
DIRECTIONS = Directions(SITE, True, plain_sae(D), SETS, ARROWS, PROBES, DENSITY)
MAZES = trees(211)
ADDED = examples.additions(MAZES, np.random.default_rng(0), 5)
REMOVED = examples.removals(MAZES, np.random.default_rng(0), 5, 8)
MOVED = examples.moves(MAZES, np.random.default_rng(0), 5)
SEVERAL = examples.overload(
    examples.with_new_ends(MAZES, np.random.default_rng(1), 5), np.random.default_rng(0), 3, 41, 7
)
RNG = np.random.default_rng
ALL_SEEN = np.ones(N_CONNECTIONS, bool)


def delta(condition, some, directions, value, rng):
    """What is added where the residual stream is ``value``."""
    return conditions.delta(condition, some, directions, directions.sae.encode(value), rng)


def edited_of(some):
    """The one connection that is added or removed."""
    return np.concatenate([some.added, some.removed], axis=1)[:, 0]


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
    after = value.clamp(min=0) + delta(
        condition("latents", n_latents, dose), ADDED, DIRECTIONS, value, RNG(0)
    )
    expected = value.clamp(min=0).clone()
    for maze, e in enumerate(ADDED.added[:, 0]):
        for nth in range(n_latents):
            latent = OWN[e, nth]
            expected[maze, :, latent] = expected[maze, :, latent].clamp(min=dose * MEAN_ON[e, nth])
    assert torch.allclose(after, expected, atol=1e-6)
    assert (after >= value.clamp(min=0) - 1e-6).all()
    assert value[:, :, :31].amax() > 0.5 * MEAN_ON[:, 0].min(), (
        "some were higher than the dose already"
    )


@pytest.mark.parametrize(("dose", "left"), [(1.0, 0.0), (0.5, 0.5), (2.0, -1.0)])
def test_removing_takes_the_dose_away(dose, left):
    value = values_of(REMOVED, 1)
    after = value.clamp(min=0) + delta(
        condition("latents", 2, dose, "own"), REMOVED, DIRECTIONS, value, RNG(0)
    )
    expected = value.clamp(min=0).clone()
    rows = torch.arange(len(REMOVED))[:, None]
    expected[rows, 0, torch.from_numpy(OWN[REMOVED.removed[:, 0]])] *= left
    assert torch.allclose(after, expected, atol=1e-6)


def test_the_change_of_latents_passes_through_the_decoder():
    """What is added is (z' - z) W_dec, whatever the SAE's error."""
    decoder = torch.randn(D, D, generator=torch.Generator().manual_seed(1))
    value, wanted = values_of(ADDED, 2), condition("latents", 2, 2.0)
    plain = delta(wanted, ADDED, DIRECTIONS, value, RNG(0))
    turned = Directions(SITE, True, sae_of(torch.eye(D), decoder), SETS, ARROWS, PROBES, DENSITY)
    assert torch.allclose(delta(wanted, ADDED, turned, value, RNG(0)), plain @ decoder, atol=1e-5)


@pytest.mark.parametrize(("some", "sign"), [(ADDED, 1), (REMOVED, -1)], ids=["add", "remove"])
def test_mean_difference_has_a_sign_and_a_dose(some, sign):
    value = values_of(some, 3)
    for dose in (0.5, 4.0):
        added = delta(condition("mean_difference", 0, dose), some, DIRECTIONS, value, RNG(0))
        expected = sign * dose * ARROWS[edited_of(some)][:, None, :].repeat(3, axis=1)
        assert np.allclose(added.numpy(), expected, atol=1e-5)


def test_random_direction_has_the_norm_and_another_direction():
    value = values_of(ADDED, 3)
    added = delta(condition("random_direction", 0, 2.0), ADDED, DIRECTIONS, value, RNG(0)).numpy()
    largest = max(DIRECTIONS.sets)
    edit = delta(condition("latents", largest, 2.0), ADDED, DIRECTIONS, value, RNG(0)).numpy()
    assert np.allclose(np.linalg.norm(added, axis=2), np.linalg.norm(edit, axis=2), rtol=1e-5)
    cosine = (
        (added * edit).sum(axis=2)[:, 0]
        / np.linalg.norm(added[:, 0], axis=1)
        / np.linalg.norm(edit[:, 0], axis=1)
    )
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
            assert other != ADDED.added[:, 0][maze] and not ADDED.mazes.connections[maze, other]
            assert change[maze, latent] == pytest.approx(4 * MEAN_ON[other, 0] - 0.25)
            seen.add((maze, int(other)))
    assert len(seen) > 1.5 * len(ADDED), "another one each time"


def test_other_connections_are_drawn_evenly():
    many = ADDED[np.zeros(4001, int)]
    drawn = (
        np.bincount(_other_connections(many, ALL_SEEN, RNG(0))[:, 0], minlength=N_CONNECTIONS)
        / 4001
    )
    free = ~ADDED.mazes.connections[0] & (np.arange(N_CONNECTIONS) != ADDED.added[0, 0])
    assert (drawn[~free] == 0).all() and np.allclose(drawn[free], 1 / free.sum(), atol=0.04)


def test_connections_that_no_training_maze_has_are_not_drawn_and_do_not_count():
    is_seen = ALL_SEEN.copy()
    [first, *others] = np.flatnonzero(
        ~ADDED.mazes.connections[0] & (np.arange(N_CONNECTIONS) != ADDED.added[0, 0])
    )
    is_seen[first] = False
    drawn = _other_connections(ADDED[np.zeros(301, int)], is_seen, RNG(0))[:, 0]
    assert set(drawn) == set(others)
    values = np.where(is_seen[:, None], MEAN_ON, 0.0)
    known = replace(DIRECTIONS, sets={2: LatentSets(OWN, values, CELLS)})
    only = np.flatnonzero(ADDED.added[:, 0] != first)[:1]
    change = delta(
        condition("fixed_value", 2, 1.0, "all"),
        ADDED[only],
        known,
        values_of(ADDED[only], 1) * 0,
        RNG(0),
    )
    assert change[0, 0, OWN[ADDED.added[only[0], 0], 0]] == pytest.approx(
        MEAN_ON[is_seen, 0].mean(), abs=1e-5
    )


def test_as_many_other_connections_as_are_added():
    """On mazes of seven connections, three more added, two are left; then one that is there must
    do."""
    other = _other_connections(SEVERAL, ALL_SEEN, RNG(0))
    assert other.shape == SEVERAL.added.shape
    for maze, drawn in enumerate(other):
        assert len(set(drawn)) == 3 and not set(drawn) & set(SEVERAL.added[maze])
        assert SEVERAL.mazes.connections[maze, drawn].tolist() == [False, False, True]


def test_other_latents_are_the_strongest_that_are_not_the_edited_ones():
    value = values_of(REMOVED, 1)
    rows = np.arange(len(REMOVED))
    value[rows[:, None], 0, torch.from_numpy(OWN[REMOVED.removed[:, 0]])] = (
        9.0  # the edited ones are the strongest of all
    )
    change = delta(condition("other_latents", 2, 1.0, "own"), REMOVED, DIRECTIONS, value, RNG(0))[
        :, 0
    ].numpy()
    latents = value[:, 0].clamp(min=0).numpy()
    for maze, e in enumerate(REMOVED.removed[:, 0]):
        others = np.array(
            [-1.0 if latent in OWN[e] else z for latent, z in enumerate(latents[maze])]
        )
        strongest = np.argsort(-others)[:2]
        expected = np.zeros(D)
        expected[strongest] = -latents[maze, strongest]
        assert np.allclose(change[maze], expected, atol=1e-6)


def test_other_latents_are_all_others_where_few_are_active():
    value = torch.full((len(REMOVED), 1, D), -1.0)
    value[:, 0, [3, 30]] = 2.0  # as after a TopK of two
    change = delta(condition("other_latents", 2, 1.0, "own"), REMOVED, DIRECTIONS, value, RNG(0))[
        :, 0
    ].numpy()
    for maze, e in enumerate(REMOVED.removed[:, 0]):
        assert set(np.flatnonzero(change[maze])) == {3, 30} - set(OWN[e])


@pytest.mark.parametrize("some", [ADDED, REMOVED], ids=["add", "remove"])
def test_random_latents_are_alive_alike_and_not_the_edited_one(some):
    alive = np.flatnonzero(DENSITY > 0)
    drawn = set()
    for seed in range(7):
        found, _ = changed_latents("random_latents", some, dose=1.0, seed=seed)
        for maze, latents in enumerate(found):
            [latent] = latents
            edited = OWN[edited_of(some)[maze], 0]
            near = sorted(
                alive[alive != edited], key=lambda other: abs(DENSITY[other] - DENSITY[edited])
            )
            cut = abs(DENSITY[near[9]] - DENSITY[edited])
            assert latent != edited and DENSITY[latent] > 0
            assert abs(DENSITY[latent] - DENSITY[edited]) <= cut + 1e-9, (
                "among the ten whose density is nearest"
            )
            drawn.add((maze, latent))
    assert len(drawn) > 3 * len(some)


def test_random_latents_get_the_values_of_the_edited_ones():
    found, change = changed_latents("random_latents", ADDED, dose=4.0)
    for maze, latents in enumerate(found):
        assert change[maze, [*latents]] == pytest.approx(
            4 * MEAN_ON[ADDED.added[:, 0][maze], 0] - 0.25
        )


def test_fixed_value_is_the_same_for_every_connection():
    _, change = changed_latents("fixed_value", ADDED, 2, dose=2.0)
    for maze, e in enumerate(ADDED.added[:, 0]):
        assert np.flatnonzero(change[maze]).tolist() == sorted(OWN[e])
        assert change[maze, OWN[e]] == pytest.approx(2 * MEAN_ON.mean(axis=0) - 0.25)


def test_positions_of_every_connection_and_of_a_borrowed_one():
    n = 8
    some = ADDED.mazes.n_connections == n
    part = ADDED[some]
    encoded = encode(part.mazes, RNG(0))
    for token_class, first in ((TokenClass.C2, 3), (TokenClass.DELIMITER, 4), (TokenClass.C1, 1)):
        site = Location(1, token_class)
        every = positions("all", part, encoded, site, RNG(0))
        assert every.tolist() == [[first + 4 * k for k in range(n)]] * len(part)
        draws = [positions("borrowed", part, encoded, site, RNG(seed)) for seed in range(23)]
        assert all(draw.shape == (len(part), 1) for draw in draws)
        assert set(np.concatenate(draws).ravel().tolist()) == {first + 4 * k for k in range(n)}
        assert np.array_equal(draws[0], positions("borrowed", part, encoded, site, RNG(0)))


def test_its_own_position_is_where_the_connection_is_spelled():
    for n in np.unique(REMOVED.mazes.n_connections):
        some = REMOVED.mazes.n_connections == n
        part = REMOVED[some]
        encoded = encode(part.mazes, RNG(0))
        own = positions("own", part, encoded, SITE, RNG(0))
        assert own.shape == (len(part), 1)
        for maze, (at,) in enumerate(own):
            ends = {int(encoded.tokens[maze, at - 2]) - 11, int(encoded.tokens[maze, at]) - 11}
            assert ends == set(part.mazes.grid.ends[part.removed[maze, 0]].tolist())


def test_borrowed_positions_are_as_many_as_are_added_and_different():
    encoded = encode(SEVERAL.mazes, RNG(0))
    at = positions("borrowed", SEVERAL, encoded, SITE, RNG(0))
    assert at.shape == SEVERAL.added.shape and all(len(set(row)) == 3 for row in at.tolist())
    assert set(at.ravel().tolist()) == {3 + 4 * k for k in range(7)}
    assert np.array_equal(at, positions("borrowed", SEVERAL, encoded, SITE, RNG(0)))


def raised(after, maze, at, connections, dose):
    """Whether the latents there are exactly those of the connections, raised from a quarter."""
    expected = np.full(D, 0.25)
    for e in connections:
        expected[OWN[e]] = np.maximum(expected[OWN[e]], dose * MEAN_ON[e])
    return np.allclose(after[maze, at], expected, atol=1e-6)


def test_several_are_written_together_at_every_token():
    value = torch.full((len(SEVERAL), 7, D), 0.25)
    after = (
        value + delta(condition("latents", 2, 2.0), SEVERAL, DIRECTIONS, value, RNG(0))
    ).numpy()
    assert all(
        raised(after, maze, at, added, 2.0)
        for maze, added in enumerate(SEVERAL.added)
        for at in range(7)
    )


def test_several_are_written_one_at_each_borrowed_token():
    value = torch.full((len(SEVERAL), 3, D), 0.25)
    after = (
        value + delta(condition("latents", 2, 2.0, "borrowed"), SEVERAL, DIRECTIONS, value, RNG(0))
    ).numpy()
    assert all(
        raised(after, maze, nth, [e], 2.0)
        for maze, added in enumerate(SEVERAL.added)
        for nth, e in enumerate(added)
    )


@pytest.mark.parametrize(
    ("method", "arrows"), [("mean_difference", ARROWS), ("probe_direction", PROBES)]
)
def test_supervised_directions_add_up(method, arrows):
    def pushed(some, n_pos, where):
        return delta(
            condition(method, 0, 2.0, where), some, DIRECTIONS, values_of(some, n_pos), RNG(0)
        ).numpy()

    together = 2 * arrows[SEVERAL.added].sum(axis=1)[:, None].repeat(7, axis=1)
    assert np.allclose(pushed(SEVERAL, 7, "all"), together, atol=1e-5)
    assert np.allclose(pushed(SEVERAL, 3, "borrowed"), 2 * arrows[SEVERAL.added], atol=1e-5)
    assert np.allclose(
        pushed(MOVED, 1, "own"), 2 * (arrows[MOVED.added] - arrows[MOVED.removed]), atol=1e-5
    )


def test_moving_turns_one_off_and_the_other_on():
    value = torch.full((len(MOVED), 1, D), 0.25)
    after = (value + delta(condition("latents", 2, 1.0, "own"), MOVED, DIRECTIONS, value, RNG(0)))[
        :, 0
    ].numpy()
    for maze, (off, on) in enumerate(zip(MOVED.removed[:, 0], MOVED.added[:, 0], strict=True)):
        expected = np.full(D, 0.25)
        expected[OWN[off]] = 0
        expected[OWN[on]] = MEAN_ON[on]  # what both have is on
        assert np.allclose(after[maze], expected, atol=1e-6)


def test_the_controls_of_a_move_move_something_else():
    value = torch.full((len(MOVED), 1, D), 0.25)
    latents = {
        method: delta(condition(method, 2, 1.0, "own"), MOVED, DIRECTIONS, value, RNG(0))[
            :, 0
        ].numpy()
        + 0.25
        for method in ("other_connection", "random_latents")
    }
    for maze, (off, on) in enumerate(zip(MOVED.removed[:, 0], MOVED.added[:, 0], strict=True)):
        changed = {
            method: np.flatnonzero(np.abs(after[maze] - 0.25) > 1e-6)
            for method, after in latents.items()
        }
        [other] = [
            e
            for e in range(N_CONNECTIONS)
            if OWN[e, 0] in changed["other_connection"] and e not in (off, on)
        ]
        assert not MOVED.mazes.connections[maze, other] and set(changed["other_connection"]) == {
            *OWN[off],
            *OWN[other],
        }
        assert not set(changed["random_latents"]) & {*OWN[off], *OWN[on]}
        assert (latents["random_latents"][maze] < 0.1).sum() == 2, "as many are turned off"


def test_cells_are_hidden_with_the_connection():
    value = torch.full((len(REMOVED), 1, D), 0.5)
    change = delta(
        condition("latents_and_cells", 2, 1.0, "own"), REMOVED, DIRECTIONS, value, RNG(0)
    )[:, 0].numpy()
    for maze, e in enumerate(REMOVED.removed[:, 0]):
        assert (
            set(np.flatnonzero(change[maze])) == {*OWN[e], *CELLS[e]} and (change[maze] <= 0).all()
        )


def test_random_directions_differ_between_borrowed_tokens():
    value = torch.full((len(SEVERAL), 3, D), 0.25)
    borrowed, edit = (
        delta(condition(method, n, 2.0, "borrowed"), SEVERAL, DIRECTIONS, value, RNG(0)).numpy()
        for method, n in (("random_direction", 0), ("latents", 2))
    )
    lengths = np.linalg.norm(borrowed, axis=2)
    assert np.allclose(lengths, np.linalg.norm(edit, axis=2), rtol=1e-5)
    unit = borrowed / lengths[..., None]
    assert np.abs((unit[:, 0] * unit[:, 1]).sum(axis=1)).mean() < 0.3
    everywhere = delta(
        condition("random_direction", 0, 2.0), SEVERAL, DIRECTIONS, value, RNG(0)
    ).numpy()
    assert np.allclose(everywhere, everywhere[:, :1])
