"""Quality of SAEs that are perfect, empty, or made by hand."""

import numpy as np
import pytest
import torch
from planted import mirror_sae, plain_sae, random_sae, sae_of, trees
from toys import tiny

from mazewm.inference.behaviour import behave
from mazewm.inference.edits import Edit, Taps
from mazewm.inference.subject import Subject
from mazewm.localize.activations import Activations
from mazewm.maze.tokens import Vocabulary, encode, encoding_rng
from mazewm.model.sites import Place, Site
from mazewm.sae import quality, stability
from mazewm.sae.splice import reconstruction

PLACE = Place(0, Site.RESID_POST)
MAZES = trees(53)
MODEL = tiny("learned", d_vocab=len(Vocabulary(3)), n_ctx=Vocabulary(3).max_length)
MODEL.W_U[:, : Vocabulary(3).first_cell] = 0  # so that it walks from cell to cell
X = np.random.default_rng(0).standard_normal((101, 7)) + np.arange(7)


def test_explained_variance_of_the_mean_is_zero_and_of_the_identity_one():
    assert quality.explained_variance(X, np.broadcast_to(X.mean(axis=0), X.shape).copy()) == 0
    assert quality.explained_variance(X, X) == 1


def test_explained_variance_by_hand():
    x, x_hat = (
        np.array([[0.0, 3.0], [2.0, 5.0], [4.0, 1.0]]),
        np.array([[1.0, 3.0], [2.0, 3.0], [4.0, 1.0]]),
    )
    assert quality.explained_variance(x, x_hat) == pytest.approx(1 - (1 + 4) / (8 + 8))
    assert quality.explained_variance(x, 0 * x) == pytest.approx(1 - (20 + 35) / 16), (
        "worse than the mean is below zero"
    )


def test_without_variance_there_is_nothing_to_explain():
    """Divided by what rounding leaves of it, any error would be a share of any size."""
    for n in (1, 3, 7):
        x = np.full((n, 3), np.float32(0.1))
        assert quality.explained_variance(x, x) == quality.explained_variance(x, x + 1) == 0


def test_an_ablation_that_costs_nothing_leaves_nothing_to_recover():
    assert quality.loss_recovered(without=0.5, spliced=0.7, clean=0.5) == 0


def test_an_sae_whose_latents_are_all_dead_is_described():
    sae = plain_sae(3)
    sae.b_enc.fill_(-1e9)
    rows = {row.token_class: row for row in quality.describe("trained", PLACE, sae, held_out())}
    assert rows["all"].n_dead == sae.shape.n_latents and rows["all"].l0 == 0
    assert all(np.isfinite(row.explained_variance) for row in rows.values())
    x = held_out().values
    assert stability.match(PLACE, "other", sae, np.array([], int), sae, np.array([], int)) == []
    assert not quality.latents_of(sae, x).any()


def test_explained_variance_adds_up_in_double_precision():
    x = (np.random.default_rng(0).standard_normal((4001, 3)) + 1000).astype(np.float32)
    assert quality.explained_variance(x, x + np.float32(1)) == pytest.approx(
        1 - 1 / x.astype(float).var(axis=0).mean(), abs=1e-3
    )


def held_out():
    """Three dimensions. c2 has latents 0 and 1, path has latent 0 only, frame is one token alone;
    latent 2 is never on."""
    values = np.array([[1, 2, -1], [2, 0, -3], [4, 0, -1], [3, -1, 0], [5, 5, -5]], np.float16)
    classes = np.array(["c2", "c2", "path", "path", "frame"], object)
    return Activations(values, *(np.arange(5),) * 3, classes, np.full(5, -1))


def test_dead_latents_and_l0_are_counted_by_class():
    rows = {
        row.token_class: row for row in quality.describe("trained", PLACE, plain_sae(3), held_out())
    }
    assert set(rows) == {"all", "c2", "path"}, "one token has no variance to explain"
    assert [(rows[c].l0, rows[c].n_dead, rows[c].n_tokens) for c in ("all", "c2", "path")] == [
        (7 / 5, 1, 5),
        (1.5, 1, 2),
        (1.0, 2, 2),
    ]
    # Of c2, what is negative is lost: 1 + 9 of 0.5 + 2 + 2; of path, 1 + 1 of 0.5 + 0.5 + 0.5.
    assert rows["c2"].explained_variance == pytest.approx(1 - 10 / 4.5)
    assert rows["path"].explained_variance == pytest.approx(1 - 2 / 1.5)
    assert {(row.place, row.sae) for row in rows.values()} == {("0.resid_post", "trained")}


def test_encoding_in_parts_changes_nothing():
    sae, values = random_sae(7, 13), X.astype(np.float16)
    assert np.allclose(
        quality.latents_of(sae, values, batch=11), quality.latents_of(sae, values), atol=1e-6
    )
    assert quality.latents_of(sae, values, batch=11).shape == (101, 13)


def test_path_loss_of_a_model_that_knows_nothing():
    model = tiny("none", d_vocab=len(Vocabulary(3)), n_ctx=Vocabulary(3).max_length)
    model.W_U.zero_()
    assert quality.path_loss(Subject(model, MAZES, 0, 11), None) == pytest.approx(
        np.log(20), rel=1e-6
    )


def test_path_loss_counts_the_path_and_nothing_else():
    """Maze by maze, with the positions of the path counted by hand."""
    losses, rng = [], encoding_rng(3)
    for n in sorted(set(MAZES.n_connections.tolist())):
        index = np.flatnonzero(MAZES.n_connections == n)
        for row, maze in zip(encode(MAZES[index], rng).tokens, index, strict=True):
            log_p = MODEL(torch.from_numpy(row)[None]).log_softmax(dim=-1)[0].numpy()
            start = 4 * n + 9
            losses += [
                -log_p[at - 1, row[at]]
                for at in range(start, start + int(MAZES.path_length[maze]) + 1)
            ]
    assert quality.path_loss(Subject(MODEL, MAZES, 3, 1000), None) == pytest.approx(
        np.mean(losses), rel=1e-5
    )


MEAN = np.linspace(-1, 1, 30)
SPLICING = quality.Splicing(MODEL, PLACE, MEAN, 0, 23)
SUBJECT = Subject(MODEL, MAZES, 0, 23)


def test_a_perfect_sae_recovers_all_of_the_loss():
    row = SPLICING.quality(mirror_sae(30), MAZES)
    assert row.loss_recovered == pytest.approx(
        1, abs=1e-3
    ) and row.loss_recovered_zero == pytest.approx(1, abs=1e-3)
    assert row.ce_spliced == pytest.approx(row.ce_clean, abs=1e-5)
    assert row.solved_spliced == row.solved_clean and row.n_mazes == 53


def test_a_perfect_sae_leaves_every_rollout_as_it_was():
    taps = Taps([reconstruction(PLACE, mirror_sae(30))])
    clean, spliced = (behave(SUBJECT, tap).cells for tap in (None, taps))
    assert np.array_equal(clean, spliced)
    spoilt = Taps([reconstruction(PLACE, random_sae(30, 53))])
    assert not np.array_equal(clean, behave(SUBJECT, spoilt).cells)


def test_an_sae_that_says_the_mean_recovers_nothing():
    sae = sae_of(torch.zeros(30, 5), torch.zeros(5, 30))
    sae.b_dec.copy_(torch.from_numpy(MEAN))
    row = SPLICING.quality(sae, MAZES)
    assert row.ce_spliced == row.ce_mean_ablated and row.loss_recovered == 0
    sae.b_dec.zero_()
    row = SPLICING.quality(sae, MAZES)
    assert row.ce_spliced == row.ce_zero_ablated and row.loss_recovered_zero == 0


def test_each_cross_entropy_is_that_of_its_edit():
    row = SPLICING.quality(random_sae(30, 53), MAZES)
    mean = torch.from_numpy(MEAN).float()
    for found, function in (
        (row.ce_mean_ablated, lambda x: mean.expand_as(x)),
        (row.ce_zero_ablated, lambda x: 0 * x),
    ):
        assert found == pytest.approx(
            quality.path_loss(SUBJECT, Taps([Edit(PLACE, function)])), abs=1e-9
        )
    assert row.loss_recovered == pytest.approx(
        (row.ce_mean_ablated - row.ce_spliced) / (row.ce_mean_ablated - row.ce_clean)
    )
