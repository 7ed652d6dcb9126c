"""The training recipe: batches, loss, optimizers, learning rate and precision.

1. A batch has mazes with equally many connections, freshly encoded, each list followed by
   ``n_questions`` questions. Batch i depends on the seed and i only. A question attends to the list
   and to itself, so that list and question are one sequence of the task, but the list is read only
   once.
2. The loss is the cross-entropy on the tokens of the path, and with objective ``all`` also that on
   every other token, times ``other_weight``. With objective ``path`` nothing is predicted on the
   list, and there the last block computes only keys and values.
3. Muon (Jordan et al. 2024) trains the matrices of the blocks, AdamW all other parameters. The
   learning rate warms up linearly, then decays linearly to zero.
4. A batch that does not fit into the memory of a CUDA device is read in parts, whose gradients add
   up to that of the batch.
"""

from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from mazewm.io.params import Params
from mazewm.maze.tokens import PADDING
from mazewm.model.batches import Batch, Batches
from mazewm.model.muon import Muon
from mazewm.model.shapes import Tokens
from mazewm.model.transformer import Transformer
from mazewm.run import Objective

Count = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(gt=0)]
# The share of a device's free memory for what the backward pass needs of the forward pass.
MEMORY_SHARE = 0.7


class TrainingParams(Params):
    """The training recipe, the same for every positional encoding."""

    n_steps: Count
    batch_size: Count  # mazes
    n_questions: Count  # about each maze
    # the first token of a training sequence is at a position from 0 to this, drawn for each batch;
    # with 0 always at position 0
    position_jitter: Annotated[int, Field(ge=0)]
    # of the loss on tokens outside the path, when the objective is all
    other_weight: Annotated[float, Field(ge=0)]
    muon_lr: Rate
    adamw_lr: Rate
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_steps: Count
    checkpoint_every: Count  # steps
    # how often the model is measured during training: time k of n is after (k/n)^2 of the steps, so
    # most of them are early
    n_observations: Count
    n_observed_mazes: Count
    n_threads: Count  # affects results: sums are added in another order
    # of the matrix products of a training step; bf16 is faster on GPUs only
    precision: Literal["fp32", "bf16"]
    compile: bool  # whether torch.compile compiles the forward and backward pass


def observation_steps(params: TrainingParams) -> list[int]:
    """The steps after which the model is measured, ending with the last. They are spaced
    quadratically, because most changes happen early in training."""
    parts = (np.arange(params.n_observations) + 1) / params.n_observations
    return sorted({max(1, round(params.n_steps * part**2)) for part in parts})


class Losses(NamedTuple):
    """Cross-entropy in nats, summed over the tokens of the paths (with ``<PATH_END>``), and over
    the tokens before them."""

    path: Tensor
    other: Tensor


Forward = Callable[[Batch], Losses]


def losses(model: Transformer, batch: Batch, on_path_only: bool) -> Losses:
    """The loss of next-token prediction on a batch; ``other`` is zero with ``on_path_only``."""
    n = batch.lists.shape[1]
    logits = model(
        torch.cat([batch.lists, batch.questions], dim=1),
        layout=batch.layout,
        since=n if on_path_only else 0,
    ).float()
    each = _cross_entropies(logits[:, -batch.wanted.shape[1] :], batch.wanted)
    path = (each * batch.is_path).sum()
    if on_path_only:
        return Losses(path, torch.zeros_like(path))
    # The first token after the list is the same for every question, so it is predicted only once.
    of_list = _cross_entropies(
        logits[:, :n], torch.cat([batch.lists[:, 1:], batch.questions[:, :1]], dim=1)
    )
    return Losses(path, of_list.sum() + (each * ~batch.is_path).sum())


def _cross_entropies(
    logits: Float[Tensor, "batch pos vocab"], wanted: Tokens
) -> Float[Tensor, "batch pos"]:
    """The loss of each token in nats; zero for PADDING."""
    return F.cross_entropy(
        logits.flatten(0, 1), wanted.flatten(), ignore_index=PADDING, reduction="none"
    ).view_as(wanted)


def n_other_tokens(batch: Batch) -> Int[Tensor, ""]:
    """The number of tokens in a row that ``Losses.other`` is summed over."""
    return batch.lists.shape[1] + (~batch.is_path).sum()


def backward(forward: Forward, batch: Batch, n_rows: int, other_weight: float) -> Tensor:
    """Accumulate the gradient of a batch's loss, reading ``n_rows`` mazes at a time. Returns the
    losses on the paths and on other tokens, in nats per token."""
    n_path, n_other, both = batch.n_path_tokens.sum(), n_other_tokens(batch) * len(batch.lists), []
    for start in range(0, len(batch.lists), n_rows):
        summed = forward(batch.rows(start, start + n_rows))
        path, other = summed.path / n_path, summed.other / n_other
        (path + other_weight * other if other_weight else path).backward()
        both.append(torch.stack([path.detach(), other.detach()]))
    return torch.stack(both).sum(dim=0)


def rows_that_fit(batch_size: int, bytes_per_row: float, n_bytes: float) -> int:
    """How many rows to read at once: the whole batch, or the largest half, quarter and so on whose
    activations fit into ``n_bytes``; at least one.

    >>> rows_that_fit(batch_size=512, bytes_per_row=1e6, n_bytes=2e8)
    128
    """
    parts = 1
    while parts < batch_size and -(-batch_size // parts) * bytes_per_row > n_bytes:
        parts *= 2
    return -(-batch_size // parts)


def forward_of(model: Transformer, objective: Objective, params: TrainingParams) -> Forward:
    """The forward pass of a training step, in the precision set by the parameters, compiled if they
    say so."""
    run = torch.compile(losses, dynamic=True) if params.compile else losses

    def forward(batch: Batch) -> Losses:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=params.precision == "bf16"):
            return run(model, batch, objective == "path")

    return forward


def micro_batch(forward: Forward, model: Transformer, batches: Batches) -> int:
    """How many mazes of a batch to read at once. On CUDA as many as free memory allows, measured
    with a few of the longest; on other devices all."""
    if model.device.type != "cuda":
        return batches.batch_size
    few = batches.longest(max(1, batches.batch_size // 16)).to(model.device)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    backward(forward, few, len(few.lists), other_weight=1.0)
    per_row = (torch.cuda.max_memory_allocated() - before) / len(few.lists)
    model.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()
    return rows_that_fit(batches.batch_size, per_row, MEMORY_SHARE * torch.cuda.mem_get_info()[0])


def optimizers(model: Transformer, params: TrainingParams) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, AdamW for all other parameters."""
    inside = [p for block in model.layers for p in block.parameters() if p.ndim == 2]
    ids = {id(p) for p in inside}
    rest = [p for p in model.parameters() if id(p) not in ids]
    return [
        Muon(inside, lr=params.muon_lr, weight_decay=params.weight_decay, momentum=0.95),
        torch.optim.AdamW(
            rest, lr=params.adamw_lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True
        ),
    ]


def rate(step: int, params: TrainingParams) -> float:
    """The learning rate at a step, as a share of the full one: linear warm-up, then linear decay to
    zero."""
    return min(
        (step + 1) / params.warmup_steps,
        (params.n_steps - step) / max(1, params.n_steps - params.warmup_steps),
        1.0,
    )
