"""Units that stand for connections, and directions, against numpy and by hand."""

import numpy as np
import pytest
import torch
from planted import SITE, plain_sae, sae_of

from mazewm.interventions import directions
from mazewm.interventions.directions import (
    DICTIONARIES,
    Dictionary,
    Directions,
    Units,
    directions_at,
    random_arrows,
    ranked_units,
)
from mazewm.io.errors import BadInput
from mazewm.localize.activations import Activations
from mazewm.run import Run

RUN = Run.named("rotary-all-0")
N, D = 4, 6  # connections, of which the last is never seen; dimensions


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_units_are_ranked_by_correlation(offset):
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((200, 7)) + offset).astype(np.float32)
    x[:, 3] = 5.0
    connection = rng.integers(-1, 3, 200)
    x[:, 2] -= 2 * (connection == 1)
    found = ranked_units(x, connection, n_connections=5, n=7)
    for e in range(3):
        r = np.array([
            0.0 if unit == 3 else np.corrcoef(x[:, unit].astype(float), connection == e)[0, 1]
            for unit in range(7)
        ])  # fmt: skip
        assert found.ids[e].tolist() == np.argsort(-abs(r)).tolist()
        assert np.allclose(found.correlation[e], r[found.ids[e]], atol=5e-4)
    assert found.ids[1, 0] == 2 and found.correlation[1, 0] < -0.5, "against it is as good"
    assert (found.correlation[3:] == 0).all(), "connections that no token encodes"
    few = ranked_units(x, connection, n_connections=5, n=2)
    assert few.ids.tolist() == found.ids[:, :2].tolist()


def tokens(seed, n=400):
    """Activations of c2, in which connection e is dimension e, and of another class."""
    rng = np.random.default_rng(seed)
    connection = rng.integers(0, N - 1, n)
    values = 0.3 * rng.standard_normal((n, D)) * [1, 2, 3, 1, 2, 3]
    values[np.arange(n), connection] += 2.0 + connection
    classes = np.where(np.arange(n) % 2 == 0, "c2", ";").astype(object)
    values[classes == ";"] = 50.0
    some = np.arange(n)
    return Activations(values.astype(np.float16), some, some, some, classes, connection)


TRAIN, VALIDATION = tokens(0), tokens(1)
KINDS = {
    "trained": plain_sae(D),
    "frozen_decoder": sae_of(-torch.eye(D), torch.eye(D)),
    "untrained_model": sae_of(2 * torch.eye(D), torch.eye(D)),
}


@pytest.fixture
def made(monkeypatch):
    def make(n_units=2, saes=KINDS):
        read = {"train": TRAIN, "validation": VALIDATION}
        monkeypatch.setattr(directions, "read", lambda path: read[path.parent.name])
        monkeypatch.setattr(directions, "load_sae", lambda run, place, kind: saes[kind])
        return directions_at(RUN, SITE, N, n_units)

    return make


def test_latents_are_chosen_on_validation_mazes_and_measured_on_training(made):
    found = made()
    assert set(found.dictionaries) == set(DICTIONARIES) and found.source == SITE
    train, validation = TRAIN.at(SITE.token_class), VALIDATION.at(SITE.token_class)
    one = found.dictionaries["latents"]
    assert one.sae is KINDS["trained"] and one.units.ids[:3, 0].tolist() == [0, 1, 2]
    z = np.maximum(validation.values.astype(np.float32), 0)
    assert one.units.correlation[1, 0] == pytest.approx(
        np.corrcoef(z[:, 1], validation.connection == 1)[0, 1], abs=1e-4
    )
    on = train.connection == 1
    means = np.maximum(train.values.astype(np.float64), 0)[on].mean(axis=0)
    assert one.mean_on[1] == pytest.approx(means[one.units.ids[1]], abs=1e-3)
    assert (one.mean_on[3] == 0).all(), "never seen in training"
    twice = found.dictionaries["untrained_model"].mean_on[:3, 0]
    assert twice == pytest.approx(2 * one.mean_on[:3, 0], rel=1e-3)
    assert found.dictionaries["frozen_decoder"].sae is KINDS["frozen_decoder"]


def test_arrows_are_as_long_as_the_mean_difference(made):
    found, train = made(), TRAIN.at(SITE.token_class)
    x, difference = train.values.astype(float), found.arrows["mean_difference"]
    for e in range(3):
        on = train.connection == e
        assert difference[e] == pytest.approx(x[on].mean(axis=0) - x[~on].mean(axis=0))
    lengths = np.linalg.norm(difference, axis=1)
    assert set(found.arrows) == {"mean_difference", "probe_direction", "probe_pattern"}
    for arrows in found.arrows.values():
        assert np.linalg.norm(arrows, axis=1) == pytest.approx(lengths)
        assert (arrows[3] == 0).all()
    probe, pattern = found.arrows["probe_direction"], found.arrows["probe_pattern"]
    for e in range(3):
        expected = np.cov(x, rowvar=False) @ probe[e]
        cosine = expected @ pattern[e] / np.linalg.norm(expected) / np.linalg.norm(pattern[e])
        assert cosine == pytest.approx(1)
        assert probe[e] @ pattern[e] < 0.999 * lengths[e] ** 2, "they are not the same"


def test_residual_dimensions_are_parts_of_the_mean_difference(made):
    found = made(3)
    difference = found.arrows["mean_difference"]
    for n in (1, 3):
        some = found.some_dimensions(n)
        assert ((some != 0).sum(axis=1)[:3] == n).all()
        for e in range(3):
            ids = found.dimensions.ids[e, :n]
            assert some[e, ids].tolist() == difference[e, ids].tolist()
    assert found.dimensions.ids[:3, 0].tolist() == [0, 1, 2]
    assert difference.any(), "and is itself left as it was"


def test_too_many_units_and_dead_saes_are_refused(made):
    with pytest.raises(
        BadInput, match=r"^params.yaml: interventions.set_sizes: expected at most 6, .* found 7\.$"
    ):
        made(D + 1)
    dead = sae_of(torch.zeros(D, D), torch.eye(D))
    with pytest.raises(BadInput, match=rf"^{SITE}: the SAE \(untrained_model\) is dead, .*\.$"):
        made(saes=KINDS | {"untrained_model": dead})


def test_random_arrows_are_of_equal_length_and_differ_between_mazes():
    like = np.arange(N)[:, None] * np.ones((N, D))
    found = random_arrows(np.random.default_rng(0), like, 5).numpy()
    assert found.shape == (5, N, D) and found.dtype == np.float32
    lengths = np.linalg.norm(found, axis=2)
    assert lengths == pytest.approx(np.tile(np.linalg.norm(like, axis=1), (5, 1)), rel=1e-5)
    assert len(np.unique(found[:, 1:].round(4).reshape(-1, D), axis=0)) == 5 * (N - 1)
    again = random_arrows(np.random.default_rng(0), like, 5).numpy()
    assert np.array_equal(found, again)


def test_some_dimensions_by_hand():
    units = Units(np.array([[2, 0], [1, 2]]), np.ones((2, 2)))
    sae = Dictionary(plain_sae(3), units, np.ones((2, 2)))
    arrows = {"mean_difference": np.array([[1.0, 2, 3], [4, 5, 6]])}
    found = Directions(SITE, {"latents": sae}, arrows, units)
    assert found.some_dimensions(1).tolist() == [[0, 0, 3], [0, 5, 0]]
    assert found.some_dimensions(2).tolist() == [[1, 0, 3], [0, 5, 6]]
