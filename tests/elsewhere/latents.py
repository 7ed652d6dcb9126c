"""What tests of SAEs from other libraries compare: latents and reconstructions of random values."""

import torch

D, LATENTS, K, CLOSE = 12, 40, 5, 1e-4


def values():
    return 2 * torch.randn(50, D, generator=torch.Generator().manual_seed(9)) + 0.5


def same(ours, z, x_hat):
    x = values()
    assert 0.05 < (z > 0).float().mean() < 0.8
    assert torch.equal(ours.encode(x) > 0, z > 0)
    assert float((ours.encode(x) - z).abs().max()) < CLOSE < float(z.std())
    assert float((ours(x) - x_hat).abs().max()) < CLOSE < float(x_hat.std())
