"""Training of one SAE on shuffled activations.

1. Activations are centred on ``b_dec``, which starts as their mean and is trained. They are scaled
   such that E|x - mean|^2 = d_model; at the end the scale is folded into the weights. Mean and
   scale are those of the first 20,000 activations.
2. The loss is the mean squared error, with ``matryoshka`` the mean of those of its nested
   dictionaries (``prefixes``). With ``relu`` an L1 penalty on the latents is added. With
   the others, ``aux_weight`` times the AuxK loss is added (Gao et al. 2024,
   section 2.4): there the d_model / 2 largest dead latents predict the reconstruction error. A
   latent is dead if it was inactive for ``dead_share`` of the samples of the whole training; a
   fixed window of millions of tokens would be longer than a short training. To save time, dead
   latents are determined only every DEAD_EVERY steps, and AuxK uses only one in AUXK_SHARE tokens.
3. The optimizer is Adam. The learning rate warms up over 5 % of the steps, and decays linearly over
   the second half. Module ``gradients`` has explicit formulas for the gradients: with k of many
   latents active they are sums over few rows, where autograd would use whole matrices.
4. With ``relu``, decoder rows are scaled to unit norm after each step, since longer rows would
   evade the penalty. With the others, encoder and decoder rows start with norm
   START, as in SAELens, and decoder rows get unit norm only at the end, with the encoder rescaled
   to match. Short rows turn quickly towards the data, and a latent that is rarely active stays
   short and does not take tokens from others.
5. ``batch_topk`` and ``matryoshka`` keep a running mean of the smallest value that stays active in
   a batch: their threshold after training.
"""

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mazewm.io.errors import BadInput
from mazewm.model import devices
from mazewm.sae import gradients
from mazewm.sae.autoencoder import SaeShape, SparseAutoencoder
from mazewm.sae.gradients import Weights
from mazewm.sae.params import Point, SaeParams

DEAD_EVERY = 8  # steps
START = 0.1  # initial norm of the rows of encoder and decoder
AUXK_SHARE = 4  # AuxK uses one in so many tokens
N_CHECKED = 2_000  # activations on which the error must have fallen at the end
WORST = 1.1  # of the error of their mean; what is above is no rounding and no chance
THRESHOLD_MEMORY = 0.99  # decay of the running mean per step

Activated = Callable[[Weights, gradients.Batch, int], gradients.Found]


def batches(
    values: Float[np.ndarray, "token d_model"], batch_size: int, n_steps: int, device: torch.device
) -> Iterator[Float[Tensor, "batch d_model"]]:
    """Batches of the rows, which are shuffled already: consecutive slices, starting over at the
    end. The last rows, fewer than a batch, are not read, unless there are no others."""
    per_pass = max(1, len(values) // batch_size)
    with warnings.catch_warnings():
        # the array is read-only, and nothing here writes to it
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        rows = torch.from_numpy(values)
    for step in range(n_steps):
        start = step % per_pass * batch_size
        batch = rows[start : start + batch_size]
        # Only copies from pinned memory are asynchronous.
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
    """Train an SAE on ``n_samples`` activations, on the best device; ``values`` are used repeatedly
    if they are fewer. With ``frozen_decoder``, a control, the decoder's directions stay random.
    BadInput if all activations are equal, with the step if weights are no longer finite, or if the
    reconstruction is worse than the mean at the end, with which it began: the error has not fallen
    (but for frozen decoders, which are a control and may be bad). An SAE is trained in one go, so
    there is no checkpoint to go on from."""
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
    if not (sample != sample[:1]).any():
        raise BadInput(
            f"activations: expected some that differ, to train an SAE on, found {len(sample):,} "
            "equal ones."
        )
    scale = (d_model / (sample - mean).pow(2).sum(dim=1).mean()).sqrt()
    sae.b_dec.copy_(mean * scale)
    # Drawn and centred on the CPU, so that training starts from the same weights on every device.
    sae, scale = sae.to(device), scale.to(device)
    is_relu = params.activation == "relu"
    activated = _activation(sae, params, point)
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
        found = activated(weights, encoded, step)
        silent_for += len(batch)
        silent_for.masked_fill_(found.total > 0, 0)
        if step % DEAD_EVERY == 0 and not weights.b_dec.isfinite().all():
            raise _failed(params, point, f"became infinite before step {step + 1} of {n_steps}")
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
    if not all(weight.isfinite().all() for weight in sae.state_dict().values()):
        raise _failed(params, point, f"became infinite by step {n_steps}, the last one")
    sae = sae.eval().requires_grad_(False)
    some = sample[:N_CHECKED].to(device)
    error, spread = (float((some - of).square().sum()) for of in (sae(some), some.mean(dim=0)))
    if not frozen_decoder and not error < WORST * spread:
        told = (
            f"explain {1 - error / spread:.3g} of the variance after step {n_steps}, the last one"
        )
        raise _failed(params, point, f"{told}, less than the mean that they began with")
    return sae


def _failed(params: SaeParams, point: Point, what: str) -> BadInput:
    """What ended the training of an SAE."""
    return BadInput(
        f"params.yaml: sae: the weights of an SAE ({params.activation}, {point.width} latents) "
        f"{what}, at learning rate {params.lr:g}; expected a lower one."
    )


def _share_of_lr(step: int, n_steps: int) -> float:
    """The learning rate as a share of the full one: warm-up over 5 % of the steps, linear decay
    over the second half."""
    return min(1.0, (step + 1) / (0.05 * n_steps), 2 * (n_steps - step) / n_steps)


def _activation(sae: SparseAutoencoder, params: SaeParams, point: Point) -> Activated:
    """The gradient at a step, with the latents that are active in training."""
    ends = params.prefix_ends(point.width)

    def activated(weights: Weights, batch: gradients.Batch, step: int) -> gradients.Found:
        if params.activation == "topk":
            return gradients.topk(weights, batch, sae.shape.k)
        if params.activation == "relu":
            return gradients.dense(weights, batch, batch.pre, l1=point.sparsity)
        z = batch.pre * _batch_topk(sae, batch.length, step)
        if params.activation == "matryoshka":
            return gradients.matryoshka(weights, batch, z, ends)
        return gradients.dense(weights, batch, z)

    return activated


def _batch_topk(
    sae: SparseAutoencoder, length: Float[Tensor, "batch latent"], step: int
) -> Bool[Tensor, "batch latent"]:
    """Which latents are active: the k n longest in a batch of n tokens. Also updates the
    threshold."""
    smallest = gradients.kth_largest(length.flatten(), sae.shape.k * len(length))
    # An exponential moving average, with the weight corrected for the first steps.
    sae.threshold.lerp_(smallest, (1 - THRESHOLD_MEMORY) / (1 - THRESHOLD_MEMORY ** (step + 1)))
    return length >= smallest
