"""The activations, by hand, and an SAE's way to disk and back."""

import pytest
import torch
from planted import random_sae
from torch import nn

from mazewm.io import weights
from mazewm.io.errors import BadInput
from mazewm.sae.autoencoder import SaeShape, SparseAutoencoder

X = torch.randn(101, 11, generator=torch.Generator().manual_seed(0))


def test_encode_and_decode_by_hand():
    sae = SparseAutoencoder(
        SaeShape(activation="relu", d_model=2, n_latents=3, k=1)
    ).requires_grad_(False)
    sae.W_enc.copy_(torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 1.0]]))
    sae.W_dec.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, -0.8]]))
    sae.b_enc.copy_(torch.tensor([0.5, -1.0, 0.0]))
    sae.b_dec.copy_(torch.tensor([1.0, -1.0]))
    x = torch.tensor([[3.0, 1.0], [0.0, 4.0]])  # less b_dec: [2, 2] and [-1, 5]
    z = torch.tensor([[2.5, 3.0, 0.0], [0.0, 9.0, 6.0]])
    assert torch.equal(sae.encode(x), z)
    expected = torch.tensor([[3.5, 2.0], [4.6, 3.2]])
    assert torch.allclose(sae(x), expected) and torch.allclose(sae.decode(z), expected)


def test_topk_keeps_exactly_the_k_largest():
    sae = random_sae(11, 29, "topk", k=5)
    sae.b_enc += 50  # every latent is positive
    pre, z = sae.pre_activation(X), sae.encode(X)
    assert ((z > 0).sum(dim=1) == 5).all()
    fifth = pre.sort(dim=1, descending=True).values[:, 4:5]
    assert torch.equal(z, torch.where(pre >= fifth, pre, 0.0))


def test_topk_keeps_no_negative():
    sae = random_sae(11, 29, "topk", k=23)
    pre, z = sae.pre_activation(X), sae.encode(X)
    assert ((pre > 0).sum(dim=1) < 23).any()
    assert (z >= 0).all() and ((z > 0).sum(dim=1) == (pre > 0).sum(dim=1).clamp(max=23)).all()


@pytest.mark.parametrize("activation", ["batch_topk", "matryoshka"])
def test_a_threshold_decides(activation):
    sae = random_sae(11, 29, activation)
    assert torch.equal(sae.encode(X), sae.pre_activation(X)), "a threshold of zero lets all through"
    sae.threshold.fill_(1.25)
    pre, z = sae.pre_activation(X), sae.encode(X)
    assert torch.equal(z > 0, pre > 1.25)
    assert torch.equal(z[z > 0], pre[pre > 1.25])
    sae.threshold.copy_(pre[0].max())
    assert sae.encode(X[:1]).count_nonzero() == 0, "the threshold itself does not pass"


def test_tokens_are_encoded_one_by_one():
    for activation in ("relu", "topk", "batch_topk", "matryoshka"):
        sae = random_sae(11, 29, activation)
        sae.threshold.fill_(0.5)
        together = sae.encode(X[:30].reshape(2, 3, 5, 11))
        assert torch.allclose(
            together.reshape(30, 29), torch.stack([sae.encode(x) for x in X[:30]]), atol=1e-6
        )


def test_directions_begin_with_unit_norm_and_a_tied_encoder():
    torch.manual_seed(0)
    sae = SparseAutoencoder(SaeShape(activation="topk", d_model=11, n_latents=29, k=5))
    assert torch.allclose(sae.W_dec.norm(dim=1), torch.ones(29))
    assert torch.equal(sae.W_enc, sae.W_dec.T)


@pytest.mark.parametrize("activation", ["batch_topk", "matryoshka"])
def test_round_trip(tmp_path, activation):
    sae = random_sae(11, 29, activation)
    sae.threshold.fill_(0.75)
    for name in ("a", "b"):
        sae.save(tmp_path / name)
    back = SparseAutoencoder.load(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert back.shape == sae.shape and not back.training
    assert back.threshold == 0.75 and torch.equal(back(X), sae(X))
    assert not any(p.requires_grad for p in back.parameters())


SHAPE = {"activation": "relu", "d_model": 11, "n_latents": 29, "k": 5}


@pytest.mark.parametrize(
    ("kind", "config", "names"),
    [
        ("transformer", SHAPE, "sparse autoencoder.*transformer"),
        ("sparse autoencoder", SHAPE | {"activation": "gelu"}, "activation.*'gelu'"),
        ("sparse autoencoder", {"activation": "relu"}, "d_model"),
        ("sparse autoencoder", SHAPE, "weights do not fit"),
    ],
)
def test_what_is_no_sae_is_refused(tmp_path, kind, config, names):
    path = tmp_path / "sae.safetensors"
    weights.save(path, kind, config, nn.Linear(2, 3))
    with pytest.raises(BadInput, match=f"sae.safetensors.*{names}"):
        SparseAutoencoder.load(path)


def test_what_is_not_whole_is_refused(tmp_path):
    path = tmp_path / "sae.safetensors"
    with pytest.raises(BadInput, match="sae.safetensors"):
        SparseAutoencoder.load(path)
    random_sae(11, 29).save(path)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadInput, match="sae.safetensors"):
        SparseAutoencoder.load(path)
