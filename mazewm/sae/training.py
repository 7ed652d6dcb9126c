"""Train one SAE on shuffled activations.

1. Activations are centred on ``b_dec`` (their mean, then trained) and scaled so that E|x - mean|^2 = d_model; the scale is
   folded into the weights at the end.
2. Loss: mean squared error; ``relu`` adds ``l1 * sum(z)``; the TopK family adds AuxK (Gao et al. 2024, section 2.4): the
   d_model / 2 strongest dead latents predict what was left over, times ``aux_weight``. A latent is dead if it was silent for
   ``dead_share`` of the planned samples, since windows of millions of tokens are longer than a short run.
3. Adam, 5 % warm-up, linear decay over the last half; decoder rows return to unit norm after each step.
4. ``batch_topk`` keeps a running mean of the smallest value it let through: the threshold by which it later decides.
"""

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from mazewm.params import Params
from mazewm.sae.autoencoder import Activation, SaeShape, SparseAutoencoder

Count = Annotated[int, Field(gt=0)]


class SaeParams(Params):
    """The recipe of an SAE."""

    activation: Activation
    n_latents: Count
    k: Count
    l1: Annotated[float, Field(ge=0)]
    lr: Annotated[float, Field(gt=0)]
    aux_weight: Annotated[float, Field(ge=0)]
    dead_share: Annotated[float, Field(gt=0, lt=1)]
    n_samples: Count
    n_control_samples: Count  # for the SAEs that are controls
    n_evaluated_mazes: Count
    rollout_batch_size: Count
    batch_size: Count
    n_threads: Count


def batches(values: Float[np.ndarray, "token d_model"], batch_size: int, n_steps: int) -> Iterator[Float[Tensor, "batch d_model"]]:
    """Slices of the (already shuffled) rows in order, starting over when they are used up."""
    per_pass = max(1, len(values) // batch_size)
    for step in range(n_steps):
        start = step % per_pass * batch_size
        yield torch.from_numpy(values[start : start + batch_size].astype(np.float32))


def train(
    values: Float[np.ndarray, "token d_model"], params: SaeParams, seed: int, n_samples: int, frozen_decoder: bool = False
) -> SparseAutoencoder:
    """An SAE trained on ``n_samples`` activations; with ``frozen_decoder`` its directions stay random (a control)."""
    torch.set_num_threads(params.n_threads)
    torch.manual_seed(seed)
    d_model = values.shape[1]
    sae = SparseAutoencoder(
        SaeShape(activation=params.activation, d_model=d_model, n_latents=params.n_latents, k=min(params.k, params.n_latents))
    )
    sample = torch.from_numpy(values[:20_000].astype(np.float32))
    mean = sample.mean(dim=0)
    scale = (d_model / (sample - mean).pow(2).sum(dim=1).mean()).sqrt()
    sae.b_dec.data = mean * scale
    sae.W_dec.requires_grad_(not frozen_decoder)
    opt = torch.optim.Adam([p for p in sae.parameters() if p.requires_grad], lr=params.lr, fused=True)
    n_steps = max(1, n_samples // params.batch_size)
    silent_for = torch.zeros(params.n_latents)
    dead_after = params.dead_share * n_samples
    for step, batch in enumerate(batches(values, params.batch_size, n_steps)):
        opt.param_groups[0]["lr"] = params.lr * min(1.0, (step + 1) / (0.05 * n_steps), 2 * (n_steps - step) / n_steps)
        x = batch * scale
        pre = sae.pre_activation(x)
        latents = _activate(sae, pre, step)
        error = x - sae.decode(latents)
        loss = error.pow(2).mean()
        silent_for += len(x)
        silent_for[(latents.detach() > 0).any(dim=0)] = 0
        if params.activation == "relu":
            loss = loss + params.l1 * latents.sum(dim=1).mean() / d_model
        elif params.aux_weight:
            loss = loss + params.aux_weight * _aux_loss(sae, pre, error.detach(), silent_for > dead_after)
        loss.backward()
        opt.step()
        opt.zero_grad(set_to_none=True)
        if not frozen_decoder:
            sae.W_dec.data = F.normalize(sae.W_dec.data, dim=1)
    for folded in (sae.b_dec, sae.b_enc):
        folded.data /= scale
    sae.threshold /= scale
    return sae.eval().requires_grad_(False)


def _activate(sae: SparseAutoencoder, pre: Float[Tensor, "batch latent"], step: int) -> Float[Tensor, "batch latent"]:
    """The activation as it is in training: for ``batch_topk`` the largest of the whole batch, which also move the threshold."""
    if sae.shape.activation != "batch_topk":
        return sae.activate(pre)
    n_kept = sae.shape.k * len(pre)
    smallest = pre.detach().flatten().topk(n_kept, sorted=False).values.min()
    sae.threshold.lerp_(smallest, 1.0 if step == 0 else 0.01)
    return pre * (pre >= smallest)


def _aux_loss(sae: SparseAutoencoder, pre: Float[Tensor, "batch latent"], error: Float[Tensor, "batch d_model"], dead: Tensor) -> Tensor:
    """AuxK: normalised squared error of the dead latents' prediction of the error."""
    n_dead = int(dead.sum())
    if n_dead == 0:
        return pre.new_zeros(())
    among = pre[:, dead]
    kept = among.topk(min(sae.shape.d_model // 2, n_dead), dim=1)
    prediction = torch.zeros_like(among).scatter(1, kept.indices, kept.values) @ sae.W_dec[dead]
    return (prediction - error).pow(2).mean() / error.pow(2).mean().clamp_min(1e-12)
