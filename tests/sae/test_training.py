"""A planted dictionary is found; what training promises about norms, scales, dead latents and
seeds.
"""

import numpy as np
import pytest
import torch
from planted import D_MODEL, N_ACTIVE, N_ATOMS, dictionary, sparse_sums
from sae.recipes import POINT, recipe
from scipy.optimize import linear_sum_assignment

from mazewm.io.errors import BadInput
from mazewm.io.params import check
from mazewm.sae import training
from mazewm.sae.autoencoder import SaeShape, SparseAutoencoder
from mazewm.sae.params import Point, SaeParams

ATOMS = dictionary()
VALUES = sparse_sums(ATOMS, 20011)
HELD_OUT = torch.from_numpy(sparse_sums(ATOMS, 1009, seed=1))
SHORT = recipe(n_samples=5_000)


def of(activation):
    """A point at which the activation trains."""
    return Point(N_ATOMS, 0.01) if activation == "relu" else POINT


def matched(sae):
    """|cos| between each planted atom and the decoder direction that is its own."""
    cosine = np.abs(ATOMS @ sae.W_dec.numpy().T)
    return cosine[linear_sum_assignment(-cosine)]


def unexplained(sae):
    error = (HELD_OUT - sae(HELD_OUT)).pow(2).sum()
    return float(error / (HELD_OUT - HELD_OUT.mean(dim=0)).pow(2).sum())


@pytest.mark.parametrize(
    ("activation", "point", "changes"),
    [
        ("topk", POINT, {}),
        ("relu", Point(N_ATOMS, 0.3), {"lr": 0.003}),
        ("batch_topk", Point(47, N_ACTIVE), {}),
        ("matryoshka", Point(47, N_ACTIVE), {}),
    ],
)
def test_a_planted_dictionary_is_recovered(activation, point, changes):
    sae = training.train(VALUES, recipe(activation=activation, **changes), point, 0, 150_000)
    assert matched(sae).min() > 0.95
    assert unexplained(sae) < 0.1
    active = (sae.encode(HELD_OUT) > 0).float().sum(dim=1)
    assert float(active.mean()) == pytest.approx(N_ACTIVE, rel=0.05), (
        "what training kept is what is kept afterwards"
    )


@pytest.mark.parametrize("activation", ["relu", "topk", "batch_topk", "matryoshka"])
def test_decoder_rows_have_unit_norm(activation):
    sae = training.train(VALUES, recipe(activation=activation), of(activation), 0, 5_000)
    assert torch.allclose(sae.W_dec.norm(dim=1), torch.ones(N_ATOMS), atol=1e-6)
    assert not sae.training and not sae.W_dec.requires_grad


def untrained(seed):
    torch.manual_seed(seed)
    return SparseAutoencoder(
        SaeShape(activation="topk", d_model=D_MODEL, n_latents=N_ATOMS, k=N_ACTIVE)
    )


def test_a_frozen_decoder_stays_as_it_began():
    frozen = training.train(VALUES, SHORT, POINT, 3, 5_000, frozen_decoder=True)
    free = training.train(VALUES, SHORT, POINT, 3, 5_000)
    began = untrained(3)
    assert torch.equal(frozen.W_dec, began.W_dec)
    assert not torch.allclose(frozen.W_enc, began.W_enc, atol=1e-3), "the encoder is trained"
    assert not torch.allclose(free.W_dec, began.W_dec, atol=1e-3)
    assert unexplained(free) < unexplained(frozen)


@pytest.mark.parametrize("activation", ["relu", "topk", "batch_topk", "matryoshka"])
def test_the_scale_is_folded_away(activation):
    plain, large = (
        training.train(values, recipe(activation=activation), of(activation), 0, 2_000)
        for values in (VALUES, 7 * VALUES)
    )
    assert torch.allclose(large(7 * HELD_OUT), 7 * plain(HELD_OUT), atol=1e-2)
    assert torch.allclose(large.encode(7 * HELD_OUT), 7 * plain.encode(HELD_OUT), atol=1e-2)
    assert torch.allclose(large.b_dec, 7 * plain.b_dec, atol=1e-3)
    assert float(large.threshold) == pytest.approx(7 * float(plain.threshold), rel=1e-3)


def test_the_mean_is_where_it_begins():
    """One step at a vanishing rate: b_dec is the mean, to scale, and the directions are the
    seed's."""
    sae = training.train(VALUES, recipe(lr=1e-9), POINT, 0, 127)
    assert torch.allclose(sae.b_dec, torch.from_numpy(VALUES[:20_000]).mean(dim=0), atol=1e-5)
    assert torch.allclose(sae.W_dec, untrained(0).W_dec, atol=1e-6)


N_PLANTED_DEAD = 7


class HalfDead(SparseAutoencoder):
    """Its first latents are so faint that they are never among the k largest, though the data needs
    them all."""

    def __init__(self, shape):
        super().__init__(shape)
        self.W_enc.data[:, :N_PLANTED_DEAD] *= 1e-3
        self.b_enc.data[N_PLANTED_DEAD:] = 2.0


def n_dead(sae):
    return int((~(sae.encode(HELD_OUT) > 0).any(dim=0)).sum())


def test_aux_loss_revives_planted_dead_latents(monkeypatch):
    monkeypatch.setattr(training, "SparseAutoencoder", HalfDead)
    without, revived = (
        training.train(VALUES, recipe(aux_weight=weight, dead_share=0.02), POINT, 0, 20_000)
        for weight in (0.0, 0.03125)
    )
    assert (n_dead(without), n_dead(revived)) == (N_PLANTED_DEAD, 0)
    assert unexplained(revived) < unexplained(without) / 3


def test_without_dead_latents_the_aux_loss_changes_nothing():
    """Nothing is silent for longer than the whole run."""
    params = {"dead_share": 0.999, "n_samples": 5_000}
    one, other = (
        training.train(VALUES, recipe(aux_weight=weight, **params), POINT, 0, 5_000)
        for weight in (0.0, 10.0)
    )
    assert torch.equal(one.W_enc, other.W_enc)


def test_the_penalty_of_relu_makes_it_sparser():
    saes = [
        training.train(VALUES, recipe(activation="relu"), Point(N_ATOMS, l1), 0, 10_000)
        for l1 in (0.001, 0.3)
    ]
    l0 = [float((sae.encode(HELD_OUT) > 0).float().sum(1).mean()) for sae in saes]
    assert l0[1] < 0.8 * l0[0]


def test_the_activations_stay_as_they_are():
    values = VALUES[:1_000].copy()
    training.train(values, SHORT, POINT, 0, 2_000)
    assert np.array_equal(values, VALUES[:1_000])


def test_the_same_seed_gives_the_same_weights():
    one, same, other = (training.train(VALUES, SHORT, POINT, seed, 5_000) for seed in (0, 0, 1))
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, same.state_dict()[name]), name
    assert not torch.equal(one.W_dec, other.W_dec)


def test_rows_are_read_in_order_and_over_again():
    values = np.arange(11, dtype=np.float16)[:, None]
    values.flags.writeable = False  # as a shard in memory is
    seen = [batch[:, 0].tolist() for batch in training.batches(values, 3, 5, torch.device("cpu"))]
    assert seen == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 1, 2], [3, 4, 5]]
    assert [
        batch[:, 0].tolist() for batch in training.batches(values[:2], 3, 2, torch.device("cpu"))
    ] == [[0, 1], [0, 1]]


def test_training_threshold_keeps_k_per_token_of_the_batch():
    sae = SparseAutoencoder(
        SaeShape(activation="batch_topk", d_model=3, n_latents=3, k=1)
    ).requires_grad_(False)
    pre = torch.tensor([[5.0, 4.0, 0.0], [1.0, 3.0, 0.5]])
    kept = training._batch_topk(sae, pre, 0)
    assert kept.tolist() == [[True, True, False], [False, False, False]]
    assert float(sae.threshold) == 4


def test_the_threshold_is_a_mean_of_the_steps_so_far_and_the_last_ones_count_most():
    sae = SparseAutoencoder(
        SaeShape(activation="batch_topk", d_model=3, n_latents=3, k=1)
    ).requires_grad_(False)
    for step in range(600):
        training._batch_topk(sae, torch.full((1, 3), float(step)), step)
        weights = 0.99 ** np.arange(step, -1, -1)
        assert float(sae.threshold) == pytest.approx(
            weights @ np.arange(step + 1) / weights.sum(), rel=1e-4
        )


@pytest.mark.parametrize("activation", ["relu", "topk", "batch_topk", "matryoshka"])
def test_large_means_cost_nothing(activation):
    """In float32, a dimension with a mean of 3,000 is trained on like the others."""
    far = VALUES + np.float32([3_000] + [0] * (D_MODEL - 1))
    sae = training.train(far, recipe(activation=activation), of(activation), 0, 5_000)
    plain = training.train(VALUES, recipe(activation=activation), of(activation), 0, 5_000)
    moved = HELD_OUT + torch.tensor([3_000.0] + [0] * (D_MODEL - 1))
    error = float((moved - sae(moved)).pow(2).sum() / (HELD_OUT - HELD_OUT.mean(0)).pow(2).sum())
    assert error == pytest.approx(unexplained(plain), rel=0.1)


@pytest.mark.parametrize("activation", ["relu", "topk", "batch_topk", "matryoshka"])
def test_weights_that_become_infinite_are_refused(activation):
    with pytest.raises(BadInput, match=f"{activation}, {N_ATOMS} latents.*learning rate 1e\\+38"):
        training.train(VALUES, recipe(activation=activation, lr=1e38), of(activation), 0, 2_000)


def test_activations_that_are_all_equal_are_refused():
    with pytest.raises(BadInput, match="found 100 equal ones"):
        training.train(np.tile(VALUES[:1], (100, 1)), SHORT, POINT, 0, 500)


def test_one_latent_is_enough():
    sae = training.train(VALUES, SHORT, Point(1, 1.0), 0, 2_000)
    assert sae.encode(HELD_OUT).shape == (1009, 1) and unexplained(sae) < 1


def test_k_is_never_more_than_there_are_latents():
    assert training.train(VALUES, SHORT, Point(5, 11.0), 0, 500).shape.k == 5
    assert training.train(VALUES, recipe(activation="relu"), Point(5, 0.1), 0, 500).shape.k == 5, (
        "relu keeps all"
    )


def test_the_points_are_every_width_with_every_sparsity():
    params = recipe(widths=[7, 11], sparsities=[2.0, 3.0])
    assert params.points() == [(7, 2), (7, 3), (11, 2), (11, 3)]


def test_the_first_latents_reconstruct_by_themselves():
    """Of a nested dictionary, the first half has the strongest atoms; of another, any."""
    strengths = np.where(np.arange(N_ATOMS) % 2 == 0, 3.0, 0.3)
    atoms = ATOMS * strengths[:, None]
    values = sparse_sums(atoms, 20011)
    held_out = torch.from_numpy(sparse_sums(atoms, 1009, seed=1))

    def by_half(activation):
        params = recipe(activation=activation, prefixes=[0.5, 1.0])
        sae = training.train(values, params, Point(48, N_ACTIVE), 0, 60_000)
        z = sae.encode(held_out)
        z[:, 24:] = 0
        return float((held_out - sae.decode(z)).pow(2).sum() / held_out.pow(2).sum())

    assert by_half("matryoshka") < 0.5 * by_half("batch_topk")


def test_nested_dictionaries_end_with_the_whole():
    params = recipe(prefixes=[0.125, 0.25, 0.5, 1.0])
    assert params.prefix_ends(512) == [64, 128, 256, 512]
    assert params.prefix_ends(3) == [1, 2, 3], "equal ones count once"
    for wrong in ([0.5], [0.5, 0.25, 1.0], [0.5, 0.5, 1.0]):
        with pytest.raises(BadInput, match="prefixes must increase and end with 1"):
            check(SaeParams, recipe().model_dump() | {"prefixes": wrong}, "params.yaml: sae")


def test_the_other_architectures():
    params = recipe(activation="batch_topk")
    assert params.other_activations() == ["relu", "topk", "matryoshka"]
    changed = {"activation": "relu", "lr": 0.5}
    assert params.recipe("relu", 0.5).model_dump() == params.model_dump() | changed
    assert params.lrs_of("batch_topk") == params.lrs_of("relu") == [params.lr]
    assert params.lrs_of("matryoshka") == params.other_lrs


def test_k_must_be_whole():
    with pytest.raises(BadInput, match="params.yaml: sae: the sparsities of topk.*must be whole"):
        check(SaeParams, recipe().model_dump() | {"sparsities": [4, 0.5]}, "params.yaml: sae")
    with pytest.raises(BadInput, match="sae.widths"):
        check(SaeParams, recipe().model_dump() | {"widths": []}, "params.yaml: sae")
    assert recipe(activation="relu", sparsities=[0.5]).points() == [(N_ATOMS, 0.5)]


def test_an_error_that_does_not_fall_is_refused():
    """It was written, and chosen if nothing else did better. A frozen decoder is a control."""
    wild = recipe(lr=30.0)
    with pytest.raises(BadInput, match="explain -.*variance after step 15, .*rate 30; exp"):
        training.train(VALUES, wild, POINT, 0, 2_000)
    assert training.train(VALUES, wild, POINT, 0, 2_000, frozen_decoder=True)


def test_the_step_at_which_weights_become_infinite_is_said():
    """Activations are what they are for the first passes over them."""
    with pytest.raises(BadInput, match="infinite before step 9 of 15, at learning rate 1e\\+38"):
        training.train(VALUES, recipe(lr=1e38), POINT, 0, 2_000)
