"""Train one SAE on shuffled activations.

1. Activations are centred on ``b_dec`` (their mean, then trained) and scaled so that E|x - mean|^2
   = d_model; the scale is folded into the weights at the end.
2. Loss: mean squared error; ``relu`` adds ``l1 * sum(z)``; the TopK family adds AuxK (Gao et al.
   2024, section 2.4): the d_model / 2 strongest dead latents predict what was left over, times
   ``aux_weight``. A latent is dead if it was silent for ``dead_share`` of the planned samples,
   since windows of millions of tokens are longer than a short run. Which are dead is looked up
   every DEAD_EVERY steps, and AuxK reads a part of the batch only, since it would take longer than
   all else.
3. Adam, 5 % warm-up, linear decay over the last half. The gradients are written out in
   ``gradients.py``: for k of many latents they are sums over few rows, where autograd would fill
   whole matrices. Decoder rows of ``relu`` return to unit norm after each step, or the penalty
   would be got round. Those of the TopK family start short and are scaled to unit norm at the end,
   with the encoder: what is short turns soon to where the data is, and a latent that is seldom on
   stays short and does not take tokens from the others (as in SAELens).
4. ``batch_topk`` keeps a running mean of the smallest value it let through: the threshold by which
   it later decides.
"""

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mazewm.model import devices
from mazewm.sae import gradients
from mazewm.sae.autoencoder import SaeShape, SparseAutoencoder
from mazewm.sae.gradients import Weights
from mazewm.sae.params import Point, SaeParams

DEAD_EVERY = 8
START = 0.1  # norm of a row of the encoder and the decoder
AUXK_SHARE = 4  # AuxK reads one of so many tokens
THRESHOLD_MEMORY = 0.99  # of the running mean, for each step


def batches(
    values: Float[np.ndarray, "token d_model"], batch_size: int, n_steps: int, device: torch.device
) -> Iterator[Float[Tensor, "batch d_model"]]:
    """Slices of the (already shuffled) rows in order, starting over when they are used up."""
    per_pass = max(1, len(values) // batch_size)
    with warnings.catch_warnings():
        # and nothing writes to it
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        rows = torch.from_numpy(values)
    for step in range(n_steps):
        start = step % per_pass * batch_size
        batch = rows[start : start + batch_size]
        # Only a copy out of pinned memory need not wait for the steps before it.
        yield (
            batch.pin_memory().to(device, non_blocking=True)
            if device.type == "cuda"
            else batch.to(device)
        ).float()


@torch.no_grad()
def train(
    values: Float[np.ndarray, "token d_model"],
    params: SaeParams,
    point: Point,
    seed: int,
    n_samples: int,
    frozen_decoder: bool = False,
) -> SparseAutoencoder:
    """An SAE trained on ``n_samples`` activations, on the best device; with ``frozen_decoder`` its
    directions stay random (a control)."""
    device = devices.best()
    torch.set_num_threads(params.n_threads)
    torch.manual_seed(seed)
    d_model = values.shape[1]
    k = point.width if params.activation == "relu" else min(int(point.sparsity), point.width)
    sae = SparseAutoencoder(
        SaeShape(activation=params.activation, d_model=d_model, n_latents=point.width, k=k)
    )
    sample = torch.from_numpy(values[:20_000].astype(np.float32))
    mean = sample.mean(dim=0)
    scale = (d_model / (sample - mean).pow(2).sum(dim=1).mean()).sqrt()
    sae.b_dec.copy_(mean * scale)
    # Drawn and centred on the CPU, so that training starts from the same weights on every device.
    sae, scale = sae.to(device), scale.to(device)
    is_relu = params.activation == "relu"
    start = 1.0 if is_relu else START
    weights = Weights(
        start * sae.W_enc.T.contiguous(),
        sae.W_dec if frozen_decoder else start * sae.W_dec,
        sae.b_enc,
        sae.b_dec,
    )
    opt = torch.optim.Adam(list(weights), lr=params.lr, fused=True)
    n_steps = max(1, n_samples // params.batch_size)
    silent_for = torch.zeros(point.width, device=device)
    dead_after = params.dead_share * n_samples
    dead = silent_for.nonzero().flatten()
    for step, batch in enumerate(batches(values, params.batch_size, n_steps, device)):
        opt.param_groups[0]["lr"] = params.lr * _share_of_lr(step, n_steps)
        encoded = gradients.encode(weights, batch * scale)
        found = _activated(sae, weights, encoded, point, step)
        silent_for += len(batch)
        silent_for.masked_fill_(found.total > 0, 0)
        if step % DEAD_EVERY == 0 and params.aux_weight and not is_relu:
            dead = (silent_for > dead_after).nonzero().flatten()
        if len(dead):
            gradients.add_auxk(
                found, weights, encoded, dead, params.aux_weight, -(-len(batch) // AUXK_SHARE)
            )
        for weight, gradient in zip(weights, found.gradient, strict=True):
            weight.grad = None if frozen_decoder and weight is weights.decoder else gradient
        opt.step()
        if is_relu and not frozen_decoder:
            weights.decoder.div_(weights.decoder.norm(dim=1, keepdim=True))
    norm = torch.ones_like(weights.b_enc) if frozen_decoder else weights.decoder.norm(dim=1)
    sae.W_dec.copy_(weights.decoder / norm[:, None])
    sae.W_enc.copy_((weights.encoder * norm[:, None]).T)
    sae.b_enc.mul_(norm)
    for folded in (sae.b_dec, sae.b_enc, sae.threshold):
        folded.div_(scale)
    return sae.eval().requires_grad_(False)


def _share_of_lr(step: int, n_steps: int) -> float:
    """5 % warm-up, linear decay over the last half."""
    return min(1.0, (step + 1) / (0.05 * n_steps), 2 * (n_steps - step) / n_steps)


def _activated(
    sae: SparseAutoencoder, weights: Weights, batch: gradients.Batch, point: Point, step: int
) -> gradients.Found:
    """The gradient with the latents that are on in training."""
    if sae.shape.activation == "topk":
        return gradients.topk(weights, batch, sae.shape.k)
    if sae.shape.activation == "batch_topk":
        return gradients.dense(weights, batch, batch.pre * _batch_topk(sae, batch.length, step))
    return gradients.dense(weights, batch, batch.pre, l1=point.sparsity)


def _batch_topk(
    sae: SparseAutoencoder, length: Float[Tensor, "batch latent"], step: int
) -> Bool[Tensor, "batch latent"]:
    """Which are the k-per-token longest of the whole batch; they also move the threshold."""
    smallest = gradients.kth_largest(length.flatten(), sae.shape.k * len(length))
    # The weight of a mean in which a step counts THRESHOLD_MEMORY times the one after it, however
    # few there were.
    sae.threshold.lerp_(smallest, (1 - THRESHOLD_MEMORY) / (1 - THRESHOLD_MEMORY ** (step + 1)))
    return length >= smallest
