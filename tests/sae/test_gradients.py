"""Gradients by hand are autograd's, and the fast sums, sorts and searches find what the slow ones
do.
"""

import pytest
import torch
from torch.nn import functional as F

from mazewm.sae import gradients
from mazewm.sae.gradients import Weights

D_MODEL, N_LATENTS, N_TOKENS, K = 14, 37, 53, 5


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X = drawn(N_TOKENS, D_MODEL, seed=1)


def weights():
    """An encoder that is not the decoder, rows of several norms, and biases that leave some tokens
    fewer than K latents."""
    encoder, decoder = (
        drawn(N_LATENTS, D_MODEL, seed=2),
        F.normalize(drawn(N_LATENTS, D_MODEL, seed=3), dim=1),
    )
    decoder *= torch.linspace(0.2, 2, N_LATENTS, dtype=torch.float64)[:, None]
    return Weights(encoder, decoder, drawn(N_LATENTS, seed=4) - 5, drawn(D_MODEL, seed=5))


def by_autograd(loss):
    """The gradient of ``loss(weights, pre)``."""
    free = Weights(*(w.clone().requires_grad_() for w in weights()))
    pre = torch.relu((X - free.b_dec) @ free.encoder.T + free.b_enc)
    loss(free, pre).backward()
    return [w.grad for w in free]


def topk(pre, norm, k=K):
    """The k latents that are the longest, at their values."""
    kept = (pre * norm).topk(k, dim=1).indices
    return torch.zeros_like(pre).scatter(1, kept, pre.gather(1, kept))


NORM = weights().decoder.norm(dim=1)


def squared_error(free, z):
    return (z @ free.decoder + free.b_dec - X).pow(2).mean()


def same(found, expected):
    for name, one, other in zip(Weights._fields, found.gradient, expected, strict=True):
        assert other.abs().max() > 1e-4, name
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-12), name


def test_the_gradient_of_topk():
    batch = gradients.encode(weights(), X)
    n_on = (batch.pre > 0).sum(dim=1)
    assert n_on.min() < K < n_on.max(), "some tokens have fewer latents to keep than K"
    found = gradients.topk(weights(), batch, K)
    same(found, by_autograd(lambda free, pre: squared_error(free, topk(pre, NORM))))
    z = topk(batch.pre, NORM)
    assert torch.allclose(found.total, z.sum(dim=0))
    assert torch.allclose(found.error, z @ weights().decoder + weights().b_dec - X)


def test_the_gradient_of_latents_that_may_all_be_on():
    batch = gradients.encode(weights(), X)
    found = gradients.dense(weights(), batch, batch.pre, l1=0.7)
    same(
        found,
        by_autograd(
            lambda free, pre: squared_error(free, pre) + 0.7 * pre.sum(dim=1).mean() / D_MODEL
        ),
    )
    threshold = 2.5
    found = gradients.dense(weights(), batch, batch.pre * (batch.pre > threshold))
    same(found, by_autograd(lambda free, pre: squared_error(free, pre * (pre > threshold))))
    assert torch.allclose(found.total, (batch.pre * (batch.pre > threshold)).sum(dim=0))


@pytest.mark.parametrize("ends", [[5, 9, 20, N_LATENTS], [1, N_LATENTS]])
def test_the_gradient_of_nested_dictionaries(ends):
    batch = gradients.encode(weights(), X)
    z = batch.pre * (batch.pre > 2.5)
    found = gradients.matryoshka(weights(), batch, z, ends)

    def loss(free, pre):
        z = pre * (pre > 2.5)
        errors = [z[:, :end] @ free.decoder[:end] + free.b_dec - X for end in ends]
        return torch.stack([error.pow(2).mean() for error in errors]).mean()

    same(found, by_autograd(loss))
    assert torch.allclose(found.error, z @ weights().decoder + weights().b_dec - X)
    assert torch.allclose(found.total, z.sum(dim=0))


def test_one_dictionary_is_nested_in_nothing():
    batch = gradients.encode(weights(), X)
    found, plain = (
        gradients.matryoshka(weights(), batch, batch.pre, [N_LATENTS]),
        gradients.dense(weights(), batch, batch.pre),
    )
    for one, other in zip(found.gradient, plain.gradient, strict=True):
        assert torch.allclose(one, other)


@pytest.mark.parametrize(
    "dead", [[3, 4, 11, 12, 13, 20, 21, 22, 30, 36], [5, 17]], ids=["more than d_model / 2", "few"]
)
@pytest.mark.parametrize("n_tokens", [N_TOKENS, 11])
def test_the_gradient_of_auxk(dead, n_tokens):
    """Its target, what the living latents leave over, counts as given."""
    dead, weight = torch.tensor(dead), 0.4
    batch = gradients.encode(weights(), X)
    found = gradients.topk(weights(), batch, K)
    gradients.add_auxk(found, weights(), batch, dead, weight, n_tokens)

    def loss(free, pre):
        lacking = (X - topk(pre, NORM) @ free.decoder - free.b_dec).detach()[:n_tokens]
        z = topk(pre[:n_tokens, dead], NORM[dead], min(len(dead), D_MODEL // 2))
        return (
            squared_error(free, topk(pre, NORM))
            + weight * (z @ free.decoder[dead] - lacking).pow(2).mean() / lacking.pow(2).mean()
        )

    same(found, by_autograd(loss))


def test_auxk_of_nothing_left_over_adds_nothing():
    batch = gradients.encode(weights(), X)
    found = gradients.topk(weights(), batch, K)
    before = [g.clone() for g in found.gradient]
    found.error.zero_()
    silent = batch._replace(length=torch.zeros_like(batch.length))
    gradients.add_auxk(found, weights(), silent, torch.tensor([3, 4]), 1.0, N_TOKENS)
    assert all(torch.equal(one, other) for one, other in zip(before, found.gradient, strict=True))


def test_single_precision_gives_the_same():
    """The sums that the CPU does in vectors of floats are those of doubles."""
    exact = gradients.topk(weights(), gradients.encode(weights(), X), K)
    single = Weights(*(w.float() for w in weights()))
    found = gradients.topk(single, gradients.encode(single, X.float()), K)
    for one, other in zip(found.gradient, exact.gradient, strict=True):
        assert torch.allclose(one.double(), other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("n", [37, 256, 257, 512])
@pytest.mark.parametrize("k", [1, 8, 32])
def test_the_largest_of_each_row(n, k):
    pre = drawn(211, n).float().relu()
    kept = gradients.largest(pre, k)
    assert kept.shape == (211, k) and all(len(set(row)) == k for row in kept.tolist()), (
        "k different ones"
    )
    found, expected = (
        values.sort(dim=1).values for values in (pre.gather(1, kept), pre.topk(k, dim=1).values)
    )
    assert torch.allclose(found, expected, rtol=2.0**-13), (
        "up to the bits that the number of the unit takes"
    )
    assert (found == expected).float().mean() > 0.99


def test_the_largest_among_equals_are_different_ones():
    assert sorted(gradients.largest(torch.zeros(1, 8), 8)[0].tolist()) == list(range(8))
    assert gradients.largest(torch.tensor([[0.0, 3.0, 0.0, 0.0, 1e-30]]), 2)[
        0
    ].sort().values.tolist() == [1, 4]


def test_the_kth_largest():
    values = drawn(1009).float()
    for k in (1, 7, 1009):
        assert gradients.kth_largest(values, k) == values.sort(descending=True).values[k - 1]
