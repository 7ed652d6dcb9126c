"""The gradient of the SAE's loss, computed by explicit formulas instead of autograd.

Let ``c = x - b_dec``, ``z = act(c W_enc + b_enc)`` and ``e = z W_dec + b_dec - x``. The loss is the
mean squared error over a batch of n tokens, plus for ``relu`` an L1 penalty. Its gradient with
respect to the reconstruction is ``g = 2 e / (n d_model)``, and with respect to the latents before
the activation ``h = (g W_dec' + l1 / (n d_model)) [z > 0]``. So the gradients of the weights are

    W_dec: z' g      b_dec: sum g - sum h W_enc'      W_enc: c' h      b_enc: sum h

With ``topk`` only k latents of each token are active. So all but the encoder's matrix product are
sums over k rows, which is faster; the other activations use products of whole matrices. With
``matryoshka`` every prefix of the dictionary has an error and a ``g`` of its own; a latent's ``g``
is the sum of those of the prefixes that it is in.

The *length* of a latent is ``z |w|``, with w its row of ``W_dec``. The k largest latents are chosen
by length, so that rows need not have unit norm during training. AuxK (Gao et al. 2024, section 2.4)
adds the same gradients for the dead latents, with the error as the target of reconstruction.
"""

import warnings
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

X = Float[Tensor, "batch d_model"]
Pre = Float[Tensor, "batch latent"]


class Weights(NamedTuple):
    """The trained weights of an SAE, or their gradients. In both matrices, a row is a latent."""

    encoder: Float[Tensor, "latent d_model"]
    decoder: Float[Tensor, "latent d_model"]
    b_enc: Float[Tensor, " latent"]
    b_dec: Float[Tensor, " d_model"]


class Batch(NamedTuple):
    """A batch after the encoder's matrix product, before the activation."""

    x: X
    centred: X  # x - b_dec
    # pre-activation times norm, with negative values set to zero
    length: Pre
    norm: Float[Tensor, " latent"]  # of the rows of W_dec

    @property
    def pre(self) -> Pre:
        """The latents before the activation, with negative values set to zero."""
        return self.length / self.norm


class Found(NamedTuple):
    """The results of one batch."""

    gradient: Weights
    error: X  # reconstruction minus activation
    total: Float[Tensor, " latent"]  # sum of each latent's values over the batch; 0 if inactive


def encode(weights: Weights, x: X) -> Batch:
    """Compute the lengths of all latents. The encoder's rows are multiplied by the norms, which is
    cheaper than multiplying all latents of the batch."""
    centred = x - weights.b_dec
    norm = weights.decoder.norm(dim=1).clamp_min_(1e-12)
    encoder = weights.encoder * norm[:, None]
    return Batch(x, centred, torch.addmm(weights.b_enc * norm, centred, encoder.T).relu_(), norm)


def dense(weights: Weights, batch: Batch, z: Pre, l1: float = 0.0) -> Found:
    """The gradient of the loss ``mean e^2 + l1 * mean over tokens of sum z / d_model``, for any
    number of active latents ``z``."""
    error = torch.addmm(weights.b_dec, z, weights.decoder).sub_(batch.x)
    g = error * (2 / error.numel())
    h = (g @ weights.decoder.T).add_(l1 / error.numel()).mul_(z > 0)
    return Found(
        _collect(weights, h.T @ batch.centred, z.T @ g, h.sum(dim=0), g), error, z.sum(dim=0)
    )


def matryoshka(weights: Weights, batch: Batch, z: Pre, ends: Sequence[int]) -> Found:
    """The gradient of the loss ``mean over prefixes of mean e_p^2``, where ``e_p`` is the error of
    the reconstruction from the first ``ends[p]`` latents alone (Bussmann et al. 2025, section 3).
    ``ends`` increase up to the number of latents; ``z`` are the active latents. The error of the
    result is that of the whole dictionary."""
    blocks = [slice(*pair) for pair in pairwise([0, *ends])]
    g, error = [], weights.b_dec - batch.x
    for block in blocks:
        # A prefix reconstructs what the one before it does, and what its further latents add.
        error = torch.addmm(error, z[:, block], weights.decoder[block])
        g.append(error * (2 / (error.numel() * len(blocks))))
    for nth in range(len(g) - 2, -1, -1):
        g[nth] += g[nth + 1]
    h = torch.cat(
        [part @ weights.decoder[block].T for part, block in zip(g, blocks, strict=True)], dim=1
    ).mul_(z > 0)
    decoder = torch.cat([z[:, block].T @ part for part, block in zip(g, blocks, strict=True)])
    # the first block is in every prefix, as b_dec is
    gradient = _collect(weights, h.T @ batch.centred, decoder, h.sum(dim=0), g[0])
    return Found(gradient, error, z.sum(dim=0))


def topk(weights: Weights, batch: Batch, k: int) -> Found:
    """The gradient of the loss ``mean e^2``, with the k longest latents of each token active."""
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
    """Add the gradient of the AuxK loss to ``found.gradient``, in place.

    The loss is ``weight * |prediction - residual|^2 / |residual|^2``, where the residual is what
    the reconstruction lacks, and the prediction is the sum of the d_model / 2 longest ``dead``
    latents of each token. It is computed on the first ``n_tokens`` of the batch only."""
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
    """The indices of the k largest entries of each row, in no particular order. No entry may be
    negative.

    On a CPU the rows are sorted with NumPy's vector instructions, which is two to five times as
    fast as ``Tensor.topk``, for any k. The bits of a non-negative float sort like an integer; its
    last bits are replaced by the index. So of two values that differ by less than this rounding (a
    relative 2^-14 with 512 units), either may be taken as the larger.

    >>> sorted(largest(torch.tensor([[0.0, 3.0, 1.0, 2.0]]), k=2)[0].tolist())
    [1, 3]
    """
    n = pre.shape[1]
    if pre.device.type != "cpu" or pre.dtype != torch.float32:
        return pre.topk(k, dim=1, sorted=False).indices
    room = (1 << (n - 1).bit_length()) - 1
    keys = pre.view(torch.int32).bitwise_and(~room).bitwise_or_(torch.arange(n, dtype=torch.int32))
    keys.numpy().sort(axis=1)
    return keys[:, n - k :].bitwise_and(room).long()


def kth_largest(values: Float[Tensor, " value"], k: int) -> Float[Tensor, ""]:
    """The k-th largest value, counted from 1. NumPy's partition takes ten times as long where many
    values are equal, as those of inactive latents are."""
    return values.topk(k, sorted=False).values.min()


def _collect(
    weights: Weights,
    encoder: Float[Tensor, "latent d_model"],
    decoder: Float[Tensor, "latent d_model"],
    b_enc: Float[Tensor, " latent"],
    g: X,
) -> Weights:
    """All gradients, with that of ``b_dec``, which is both subtracted before the encoder and added
    by the decoder."""
    return Weights(encoder, decoder, b_enc, g.sum(dim=0) - b_enc @ weights.encoder)


def _products(
    g: X, decoder: Float[Tensor, "latent d_model"], kept: Int[Tensor, "batch k"]
) -> Float[Tensor, "batch k"]:
    """``g W_dec'``, only for the k active latents of each token."""
    if g.device.type != "cpu":
        return (g @ decoder.T).gather(1, kept)
    n, k = kept.shape
    starts, none = torch.arange(0, n * k + 1, k), torch.zeros(n * k, dtype=g.dtype)
    with warnings.catch_warnings():
        # That its sparse tensors are in beta and, up to torch 2.11, that they are not checked.
        warnings.filterwarnings("ignore", "Sparse (CSR tensor support|invariant checks)")
        where = torch.sparse_csr_tensor(
            starts, kept.flatten(), none, (n, len(decoder)), check_invariants=False
        )
    return torch.sparse.sampled_addmm(where, g, decoder.T, beta=0.0).values().view(n, k)


class _ByLatent(NamedTuple):
    """All pairs of a token and one of its active latents, sorted by latent. The gradient of a
    latent's row is a sum over its consecutive pairs."""

    order: Int[Tensor, " pair"]
    token: Int[Tensor, " pair"]
    starts: Int[Tensor, " latent"]

    @classmethod
    def of(cls, kept: Int[Tensor, "batch k"], n_latents: int) -> "_ByLatent":
        latent = kept.flatten()
        if latent.device.type == "cpu":
            # NumPy uses radix sort for integers of 16 bits, ten times as fast as comparisons.
            order = torch.from_numpy(
                latent.numpy().astype(np.min_scalar_type(n_latents)).argsort(kind="stable")
            )
        else:
            order = latent.argsort(stable=True)
        counts = latent.bincount(minlength=n_latents)
        return cls(order, order // kept.shape[1], counts.cumsum(0) - counts)

    def sums(self, factor: Float[Tensor, "batch k"], rows: X) -> Float[Tensor, "latent d_model"]:
        """For each latent, the sum of ``factor * row`` over the tokens at which it is active."""
        weights = factor.flatten().index_select(0, self.order)
        return F.embedding_bag(
            self.token, rows, self.starts, per_sample_weights=weights, mode="sum"
        )

    def totals(self, factor: Float[Tensor, "batch k"]) -> Float[Tensor, " latent"]:
        """For each latent, the sum of ``factor`` over the tokens at which it is active."""
        return F.embedding_bag(self.order, factor.reshape(-1, 1), self.starts, mode="sum").squeeze(
            1
        )
