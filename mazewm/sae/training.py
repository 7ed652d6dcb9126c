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
from typing import Annotated, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional as F

from mazewm import devices
from mazewm.params import Params
from mazewm.sae.autoencoder import Activation, SaeShape, SparseAutoencoder

Count = Annotated[int, Field(gt=0)]
Sparsity = Annotated[float, Field(gt=0)]


class Point(NamedTuple):
    """What the sweep varies."""

    width: int  # latents
    sparsity: float  # active latents per token (k); for relu the weight of the L1 penalty


class SaeParams(Params):
    """The recipe of SAEs, and which points of it are tried."""

    activation: Activation
    widths: Annotated[list[Count], Field(min_length=1)]
    sparsities: Annotated[list[Sparsity], Field(min_length=1)]  # as in Point
    lr: Annotated[float, Field(gt=0)]
    aux_weight: Annotated[float, Field(ge=0)]
    dead_share: Annotated[float, Field(gt=0, lt=1)]
    n_sweep_samples: Count  # for each point of the sweep
    n_samples: Count
    n_control_samples: Count  # for the SAEs that are controls
    n_sweep_mazes: Count  # validation mazes that each point is judged on
    n_evaluated_mazes: Count
    rollout_batch_size: Count
    batch_size: Count
    n_threads: Count

    @model_validator(mode="after")
    def _k_is_whole(self) -> "SaeParams":
        if self.activation != "relu" and any(sparsity % 1 for sparsity in self.sparsities):
            raise ValueError("the sparsities of topk and batch_topk count latents, so they must be whole")
        return self

    def points(self) -> list[Point]:
        """Every width with every sparsity."""
        return [Point(width, sparsity) for width in self.widths for sparsity in self.sparsities]


def batches(
    values: Float[np.ndarray, "token d_model"], batch_size: int, n_steps: int, device: torch.device
) -> Iterator[Float[Tensor, "batch d_model"]]:
    """Slices of the (already shuffled) rows in order, starting over when they are used up."""
    per_pass = max(1, len(values) // batch_size)
    for step in range(n_steps):
        start = step % per_pass * batch_size
        batch = torch.from_numpy(values[start : start + batch_size].astype(np.float32))
        # Only a copy out of pinned memory need not wait for the steps before it.
        yield batch.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else batch.to(device)


def train(
    values: Float[np.ndarray, "token d_model"], params: SaeParams, point: Point, seed: int, n_samples: int, frozen_decoder: bool = False
) -> SparseAutoencoder:
    """An SAE trained on ``n_samples`` activations, on the best device; with ``frozen_decoder`` its directions stay random (a control)."""
    device = devices.best()
    torch.set_num_threads(params.n_threads)
    torch.manual_seed(seed)
    d_model = values.shape[1]
    k = point.width if params.activation == "relu" else min(int(point.sparsity), point.width)
    sae = SparseAutoencoder(SaeShape(activation=params.activation, d_model=d_model, n_latents=point.width, k=k))
    sample = torch.from_numpy(values[:20_000].astype(np.float32))
    mean = sample.mean(dim=0)
    scale = (d_model / (sample - mean).pow(2).sum(dim=1).mean()).sqrt()
    sae.b_dec.data = mean * scale
    # Drawn and centred on the CPU, so that training starts from the same weights on every device.
    sae, scale = sae.to(device), scale.to(device)
    sae.W_dec.requires_grad_(not frozen_decoder)
    opt = torch.optim.Adam([p for p in sae.parameters() if p.requires_grad], lr=params.lr, fused=True)
    n_steps = max(1, n_samples // params.batch_size)
    silent_for = torch.zeros(point.width, device=device)
    dead_after = params.dead_share * n_samples
    for step, batch in enumerate(batches(values, params.batch_size, n_steps, device)):
        opt.param_groups[0]["lr"] = params.lr * min(1.0, (step + 1) / (0.05 * n_steps), 2 * (n_steps - step) / n_steps)
        x = batch * scale
        pre = sae.pre_activation(x)
        x_hat, is_active, length = _reconstruct(sae, pre, step)
        error = x - x_hat
        loss = error.pow(2).mean()
        silent_for += len(x)
        silent_for.masked_fill_(is_active, 0)
        if params.activation == "relu":
            loss = loss + point.sparsity * length / d_model
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


class _Reconstruction(NamedTuple):
    x_hat: Float[Tensor, "batch d_model"]
    is_active: Bool[Tensor, " latent"]  # on any token of the batch
    length: Float[Tensor, ""]  # sum of a token's latents, mean over tokens


def _reconstruct(sae: SparseAutoencoder, pre: Float[Tensor, "batch latent"], step: int) -> _Reconstruction:
    """The reconstruction as it is in training."""
    if sae.shape.activation == "topk":
        # Adding up k directions for each token costs a half of a product with a matrix that is mostly zero.
        kept = pre.topk(sae.shape.k, dim=-1, sorted=False)
        x_hat = F.embedding_bag(kept.indices, sae.W_dec, per_sample_weights=kept.values, mode="sum") + sae.b_dec
        largest = pre.new_zeros(sae.shape.n_latents).scatter_reduce(0, kept.indices.flatten(), kept.values.detach().flatten(), "amax")
        return _Reconstruction(x_hat, largest > 0, kept.values.detach().sum(dim=1).mean())
    latents = sae.activate(pre) if sae.shape.activation == "relu" else _batch_topk(sae, pre, step)
    return _Reconstruction(sae.decode(latents), (latents.detach() > 0).any(dim=0), latents.sum(dim=1).mean())


def _batch_topk(sae: SparseAutoencoder, pre: Float[Tensor, "batch latent"], step: int) -> Float[Tensor, "batch latent"]:
    """The k-per-token largest of the whole batch, which also move the threshold."""
    smallest = pre.detach().flatten().topk(sae.shape.k * len(pre), sorted=False).values.min()
    sae.threshold.lerp_(smallest, 1.0 if step == 0 else 0.01)
    return pre * (pre >= smallest)


def _aux_loss(sae: SparseAutoencoder, pre: Float[Tensor, "batch latent"], error: Float[Tensor, "batch d_model"], dead: Tensor) -> Tensor:
    """AuxK: normalised squared error of the dead latents' prediction of the error."""
    n_most = sae.shape.d_model // 2
    if pre.device.type == "cpu":
        n_dead = int(dead.sum())
        if n_dead == 0:
            return pre.new_zeros(())
        among = pre[:, dead]
        kept = among.topk(min(n_most, n_dead), dim=1)
        prediction = torch.zeros_like(among).scatter(1, kept.indices, kept.values) @ sae.W_dec[dead]
    else:
        # The same with all latents, the living ones at zero: counting the dead would wait for the device at every step.
        among = pre * dead
        kept = among.topk(min(n_most, len(dead)), dim=1)
        prediction = torch.zeros_like(among).scatter(1, kept.indices, kept.values) @ sae.W_dec
    return (prediction - error).pow(2).mean() / error.pow(2).mean().clamp_min(1e-12)
