"""One step of training by hand: activations -> the loss's gradient, without autograd.

With ``c = x - b_dec``, ``z = act(c W_enc + b_enc)``, ``e = z W_dec + b_dec - x`` and the mean
squared error over a batch of n tokens, let ``g = 2 e / (n d_model)`` be the gradient at the
reconstruction and ``h = (g W_dec' + l1 / (n d_model)) [z > 0]`` that at the latents. Then

    W_dec: z' g      b_dec: sum g - sum h W_enc'      W_enc: c' h      b_enc: sum h

``topk`` has k latents on for each token, so all but the encoder's product is sums over k rows; the
other activations take products of whole matrices. A latent's length is ``z |w|``, w its row of
``W_dec``: which of them are the largest goes by that, so rows need not have unit norm while they
are trained. AuxK (Gao et al. 2024, section 2.4) is the same once more for the dead latents, with
the error as what is to be reconstructed.
"""

import warnings
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

X = Float[Tensor, "batch d_model"]
Pre = Float[Tensor, "batch latent"]


class Weights(NamedTuple):
    """What is trained, or its gradient. In both matrices a latent is a row."""

    encoder: Float[Tensor, "latent d_model"]
    decoder: Float[Tensor, "latent d_model"]
    b_enc: Float[Tensor, " latent"]
    b_dec: Float[Tensor, " d_model"]


class Batch(NamedTuple):
    """A batch on its way into the SAE."""

    x: X
    centred: X
    # how far each latent would go in the residual stream before the activation, cut at zero
    length: Pre
    norm: Float[Tensor, " latent"]  # of the rows of W_dec

    @property
    def pre(self) -> Pre:
        """Latents before the activation, cut at zero."""
        return self.length / self.norm


class Found(NamedTuple):
    """What a batch says of the weights."""

    gradient: Weights
    error: X  # reconstruction less activation
    total: Float[Tensor, " latent"]  # of each latent's values over the batch; 0 if it was silent


def encode(weights: Weights, x: X) -> Batch:
    """The lengths, which every activation needs whole: the encoder takes the norms in, which are
    fewer than the latents of a batch."""
    centred = x - weights.b_dec
    norm = weights.decoder.norm(dim=1).clamp_min_(1e-12)
    encoder = weights.encoder * norm[:, None]
    return Batch(x, centred, torch.addmm(weights.b_enc * norm, centred, encoder.T).relu_(), norm)


def dense(weights: Weights, batch: Batch, z: Pre, l1: float = 0.0) -> Found:
    """Loss ``mean e^2 + l1 * mean over tokens of sum z / d_model``, for latents that may all be
    on."""
    error = torch.addmm(weights.b_dec, z, weights.decoder).sub_(batch.x)
    g = error * (2 / error.numel())
    h = (g @ weights.decoder.T).add_(l1 / error.numel()).mul_(z > 0)
    return Found(
        _collect(weights, h.T @ batch.centred, z.T @ g, h.sum(dim=0), g), error, z.sum(dim=0)
    )


def topk(weights: Weights, batch: Batch, k: int) -> Found:
    """Loss ``mean e^2`` where the k longest latents of each token are on."""
    n_latents = len(weights.decoder)
    kept = largest(batch.length, k)
    z = batch.length.gather(1, kept).div_(batch.norm[kept])
    error = F.embedding_bag(kept, weights.decoder, per_sample_weights=z, mode="sum")
    error.add_(weights.b_dec).sub_(batch.x)
    g = error * (2 / error.numel())
    h = _products(g, weights.decoder, kept).mul_(z > 0)
    by_latent = _ByLatent.of(kept, n_latents)
    b_enc = by_latent.totals(h)
    gradient = _collect(weights, by_latent.sums(h, batch.centred), by_latent.sums(z, g), b_enc, g)
    return Found(gradient, error, by_latent.totals(z))


def add_auxk(
    found: Found,
    weights: Weights,
    batch: Batch,
    dead: Int[Tensor, " dead"],
    weight: float,
    n_tokens: int,
) -> None:
    """Add to the gradient that of ``weight * |dead latents' prediction - left over|^2 / |left
    over|^2``, where the d_model / 2 longest of the ``dead`` latents of each token predict what it
    lacks; over the first ``n_tokens`` of the batch."""
    lacking = -found.error[:n_tokens]
    length, decoder = batch.length[:n_tokens].index_select(1, dead), weights.decoder[dead]
    n_most = lacking.shape[1] // 2
    z = length / batch.norm[dead]
    if len(dead) > n_most:
        kept = largest(length, n_most)
        z = torch.zeros_like(z).scatter_(1, kept, z.gather(1, kept))
    g = (z @ decoder - lacking).mul_(2 * weight / lacking.pow(2).sum().clamp_min(1e-12))
    h = (g @ decoder.T).mul_(z > 0)
    found.gradient.decoder.index_add_(0, dead, z.T @ g)
    found.gradient.encoder.index_add_(0, dead, h.T @ batch.centred[:n_tokens])
    found.gradient.b_enc.index_add_(0, dead, h.sum(dim=0))
    found.gradient.b_dec.sub_(h.sum(dim=0) @ weights.encoder[dead])


def largest(pre: Float[Tensor, "batch unit"], k: int) -> Int[Tensor, "batch k"]:
    """Which k of each row are the largest; no entry may be negative.

    On a CPU the row is sorted by NumPy's vector instructions, two to five times as fast as
    ``Tensor.topk`` and as fast for any k: the bits of a float that is not negative sort as an
    integer does, and its last ones make room for the number of the unit. What differs by less than
    a rounding of those (2^-14 of its value among 512) may change places."""
    n = pre.shape[1]
    if pre.device.type != "cpu" or pre.dtype != torch.float32:
        return pre.topk(k, dim=1, sorted=False).indices
    room = (1 << (n - 1).bit_length()) - 1
    keys = pre.view(torch.int32).bitwise_and(~room).bitwise_or_(torch.arange(n, dtype=torch.int32))
    keys.numpy().sort(axis=1)
    return keys[:, n - k :].bitwise_and(room).long()


def kth_largest(values: Float[Tensor, " value"], k: int) -> Float[Tensor, ""]:
    """The k-th largest of many values."""
    if values.device.type != "cpu":
        return values.topk(k, sorted=False).values.min()
    return torch.as_tensor(np.partition(values.numpy(), len(values) - k)[len(values) - k])


def _collect(
    weights: Weights,
    encoder: Float[Tensor, "latent d_model"],
    decoder: Float[Tensor, "latent d_model"],
    b_enc: Float[Tensor, " latent"],
    g: X,
) -> Weights:
    """The gradients with that of ``b_dec``, which both centres the activations and is added at the
    end."""
    return Weights(encoder, decoder, b_enc, g.sum(dim=0) - b_enc @ weights.encoder)


def _products(
    g: X, decoder: Float[Tensor, "latent d_model"], kept: Int[Tensor, "batch k"]
) -> Float[Tensor, "batch k"]:
    """``g W_dec'`` at the latents that each token kept."""
    if g.device.type != "cpu":
        return (g @ decoder.T).gather(1, kept)
    n, k = kept.shape
    starts, none = torch.arange(0, n * k + 1, k), torch.zeros(n * k, dtype=g.dtype)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta state")
        where = torch.sparse_csr_tensor(
            starts, kept.flatten(), none, (n, len(decoder)), check_invariants=False
        )
    return torch.sparse.sampled_addmm(where, g, decoder.T, beta=0.0).values().view(n, k)


class _ByLatent(NamedTuple):
    """The pairs of a token and a latent that it kept, sorted by latent: a gradient's row is the sum
    over a run of them."""

    order: Int[Tensor, " pair"]
    token: Int[Tensor, " pair"]
    starts: Int[Tensor, " latent"]

    @classmethod
    def of(cls, kept: Int[Tensor, "batch k"], n_latents: int) -> "_ByLatent":
        latent = kept.flatten()
        if latent.device.type == "cpu":
            # NumPy counts digits where numbers have 16 bits, ten times as fast as comparing them.
            order = torch.from_numpy(
                latent.numpy().astype(np.min_scalar_type(n_latents)).argsort(kind="stable")
            )
        else:
            order = latent.argsort(stable=True)
        counts = latent.bincount(minlength=n_latents)
        return cls(order, order // kept.shape[1], counts.cumsum(0) - counts)

    def sums(self, factor: Float[Tensor, "batch k"], rows: X) -> Float[Tensor, "latent d_model"]:
        """For each latent the sum over its tokens of ``factor * row``."""
        weights = factor.flatten().index_select(0, self.order)
        return F.embedding_bag(
            self.token, rows, self.starts, per_sample_weights=weights, mode="sum"
        )

    def totals(self, factor: Float[Tensor, "batch k"]) -> Float[Tensor, " latent"]:
        """For each latent the sum of ``factor`` over its tokens."""
        return F.embedding_bag(self.order, factor.reshape(-1, 1), self.starts, mode="sum").squeeze(
            1
        )
