"""Probes on a residual stream whose content is known: the toy of ``toys.looks_two_back`` sees the
target from ``<PATH_START>``.
"""

import numpy as np
import pytest
from planning.planted_params import PARAMS
from toys import looks_two_back

from mazewm.io.errors import BadInput
from mazewm.maze.lattice import lattice
from mazewm.maze.mazes import solve
from mazewm.maze.mazes import write as write_mazes
from mazewm.planning import errors, fitting, inputs, study
from mazewm.planning.facts import Fact, facts

GRID = lattice(4)
SNAKE = [(0, 1), (1, 2), (2, 3), (3, 7), (7, 6), (6, 5), (5, 4)]  # the two upper rows
# below, cut off from them
ISLAND = [
    (8, 9),
    (10, 11),
    (12, 13),
    (14, 15),
    (8, 12),
    (9, 13),
    (10, 14),
    (11, 15),
]


def snakes(n, seed, islands):
    """The same snake with different islands, which make other connection sets of it and change no
    distance."""
    rng = np.random.default_rng(seed)
    bits = np.zeros((n, GRID.n_connections), bool)
    bits[:, [GRID.connection_of[pair] for pair in SNAKE]] = True
    bits[np.arange(n), [GRID.connection_of[ISLAND[nth]] for nth in rng.choice(islands, n)]] = True
    ends = np.array([rng.choice(8, 2, replace=False) for _ in range(n)])
    return solve(GRID, bits, ends[:, 0], ends[:, 1], np.full(n, "snake"))


@pytest.fixture(scope="module")
def measured():
    held_out = {"validation": snakes(149, 1, [4, 5]), "test": snakes(151, 2, [6, 7])}
    return study.fit_probes(looks_two_back(4), snakes(307, 0, [0, 1, 2, 3]), held_out, PARAMS, 3)


def explained(rows):
    sums = rows.groupby(["split", "readout", "token", "depth"])[["sse", "sst"]].sum()
    return 1 - sums.sse / sums.sst


def test_distances_are_read_where_the_target_is_seen(measured):
    rows = measured.facts.query("fact == 'distance'")
    found = explained(rows)
    for split in ("validation", "test"):
        assert found[split, "model", "<PATH_START>", 1] > 0.999
        assert abs(found[split, "model", "<PATH_START>", 0]) < 0.1
        assert found[split, "model", "origin", 1] < 0.5
        assert found[split, "model", "target", 0] > 0.999
        assert found[split, "shuffled_labels", "<PATH_START>", 1] < 0.1
    test = rows[
        (rows.split == "test")
        & (rows.readout == "model")
        & (rows.depth == 1)
        & (rows.token == "<PATH_START>")
    ]
    mazes = snakes(151, 2, [6, 7])
    asked = facts(mazes)["distance"]
    assert test.n.sum() == asked.counts[:, fitting.units(asked)].sum()
    assert len(test) == len(np.unique(mazes.connections, axis=0)), "a row for each connection set"
    assert len(rows[rows.split == "validation"].groupby("maze_id")) == 1


def test_readers_of_the_maze_know_what_the_target_says(tmp_path):
    """On a snake the target says how far every cell is."""
    folder = tmp_path / "mazes" / "0"
    splits = {"train": snakes(307, 0, [0, 1, 2, 3]), "validation": snakes(149, 1, [4, 5])}
    for split, some in (splits | {"test": snakes(151, 2, [6, 7])}).items():
        write_mazes(folder / f"{split}.parquet", some)
    found = explained(inputs.read_inputs(folder, PARAMS).probes.query("fact == 'distance'"))
    assert (found > 0.99).all() and len(found) == 2 * 2


@pytest.mark.parametrize("penalty", [0.1, 1.0])
def test_a_sparse_reader_is_fitted_as_a_dense_one(penalty):
    mazes = snakes(307, 0, [0, 1, 2, 3])
    fact, x = facts(mazes)["distance"], inputs.pairs(mazes)
    thin = fitting.fit(x, fact, [penalty])
    thick = fitting.fit(x.toarray(), fact, [penalty])
    assert np.allclose(thin.weight, thick.weight, atol=1e-3)
    assert np.allclose(thin.bias, thick.bias, atol=1e-2) and thin.is_fitted.any()


def test_directions_point_to_the_target_that_is_near(measured):
    model, arrows = looks_two_back(4), measured.directions["distance", "<PATH_START>", 1]
    cells = model.W_E.shape[1] - GRID.n_cells + np.arange(8)  # the dimensions of the snake's cells
    for unit in np.flatnonzero(arrows.is_known):
        along = [cell for pair in SNAKE for cell in pair][::2] + [4]
        steps = np.array([abs(along.index(cell) - along.index(unit)) for cell in range(8)])
        near, far = steps <= 2, steps >= 5
        for values in (arrows.probe[unit, cells], arrows.mean_difference[unit, cells]):
            if (near & (steps >= 2)).any() and far.any():
                assert values[steps == 2].mean() > values[far].mean()
    # the target says everything here, so nothing is left
    assert np.allclose(arrows.given_target[:, cells], 0, atol=1e-3)


def planted(n=997, d=13, seed=0):
    """x whose dimension 0 is a fact that holds by chance, and whose others are the target's one-hot
    and noise."""
    rng = np.random.default_rng(seed)
    target = rng.integers(4, size=n)
    holds = rng.random(n) < 0.2 + 0.2 * target
    x = rng.standard_normal((n, d)) * 0.01
    x[:, 0] += 3 * holds
    x[np.arange(n), 1 + target] += 5
    counts = np.ones((n, 3), bool)
    counts[:, 1] = False
    counts[: n // 2, 2] = False
    return (
        x.astype(np.float32),
        Fact("on_path", np.repeat(holds[:, None], 3, axis=1).astype(float), counts),
        target,
    )


def test_given_target_says_nothing_of_the_target():
    x, fact, target = planted()
    plain, given = fitting.mean_differences(x, fact), fitting.given_target(x, fact, target)
    assert abs(plain[0, 0] - 3) < 0.01 and abs(plain[0, 4]) > 1
    assert (plain[1] == 0).all() and (given[1] == 0).all()
    for unit in (0, 2):
        assert np.abs(given[unit, 1:]).max() < 0.01 * abs(given[unit, 0])


def test_fit_finds_the_plane_and_leaves_out_what_does_not_count():
    x, fact, _ = planted()
    probe = fitting.fit(x, fact, [1e-4, 1.0])
    assert probe.is_fitted.tolist() == [True, False, True]
    assert np.allclose(
        x[:, 0:1] / 3 @ np.ones((1, 1)), (x @ probe.weight[0] + probe.bias[0])[:, None], atol=0.05
    )
    found = fitting.errors(x, fact, probe)
    assert found.n.tolist() == [1] * (997 // 2) + [2] * (997 - 997 // 2)
    assert found.sse.sum() < 1e-3 * found.sst.sum()
    assert found.sst.sum() == pytest.approx(
        sum(((fact.value[k, u] - fact.value[k, u].mean()) ** 2).sum() for u, k in of_units(fact))
    )


def of_units(fact):
    """The fitted units with the mazes that count."""
    return ((unit, fact.counts[:, unit]) for unit in fitting.units(fact))


def test_fit_chooses_the_penalty_on_mazes_that_are_held_out():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((61, 47)).astype(np.float32)
    # nothing to find
    fact = Fact("distance", rng.integers(2, 9, (61, 2)).astype(float), np.ones((61, 2), bool))
    mild, strong = (
        np.abs(fitting.fit(x, fact, penalties).weight).max() for penalties in ([1e-4], [1e-4, 1e6])
    )
    assert strong < 1e-3 < mild


@pytest.mark.parametrize("n_dimensions", [3, 40])
def test_the_ridge_is_the_librarys_with_more_mazes_than_dimensions_and_with_fewer(n_dimensions):
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    x = (5 + rng.standard_normal((20, n_dimensions))).astype(np.float32)
    y = x[:, 0] + rng.standard_normal(20)
    penalties = [0.01, 1.0]
    mean_eigenvalue = x.var(axis=0, dtype=np.float64).sum() * len(x) / n_dimensions
    for penalty, (weight, bias) in zip(penalties, fitting._ridge(x, y, penalties), strict=True):
        library = Ridge(alpha=penalty * mean_eigenvalue).fit(x.astype(np.float64), y)
        assert np.allclose(weight, library.coef_, rtol=1e-3, atol=1e-4)
        assert bias == pytest.approx(library.intercept_, rel=1e-3)


def test_shuffling_deals_values_among_those_that_count():
    _, fact, _ = planted()
    dealt = fitting.shuffled(fact, np.random.default_rng(0))
    assert dealt.value[:, 2].sum() == fact.value[:, 2].sum()
    assert (dealt.value[:498, 2] == fact.value[:498, 2]).all() and (
        dealt.value[498:, 2] != fact.value[498:, 2]
    ).any()


def test_pairs_are_bits_and_their_products():
    mazes = snakes(3, 0, [0])
    both = inputs.pairs(mazes).toarray()
    assert (
        both.shape == (3, 24 + 16 + 16 + 2 * 24 * 16 + 16 * 16)
        and both.sum(axis=1).tolist() == [8 + 2 + 8 + 8 + 1] * 3
    )
    e, target, origin = GRID.connection_of[0, 1], mazes.target[0], mazes.origin[0]
    assert np.array_equal(both[:, :56], inputs.bits(mazes))
    assert both[0, 56 + 16 * e + origin] == 1 and both[0, 56 + 16 * e + (origin + 1) % 16] == 0
    assert both[0, 56 + 384 + 16 * e + target] == both[0, 56 + 768 + 16 * origin + target] == 1


def test_a_connection_set_on_both_sides_is_refused():
    with pytest.raises(BadInput, match="no connection set both where"):
        errors.check_apart(snakes(5, 0, [0]), snakes(5, 1, [0, 1]))
