"""The recipe by which a transformer learns to write mazes and their shortest paths.

1. Batches hold mazes with equally many connections, freshly encoded, with ``n_questions`` questions
   behind each list: batch i is a function of the seed and i alone. A question sees the list and
   itself, so each is one sequence of the task; the list is read once.
2. Cross-entropy on the path tokens, and (objective ``all``) on every other token with
   ``other_weight``. With objective ``path`` nothing is predicted on the list, and the last block
   computes no more of it than keys and values.
3. Muon (Jordan et al. 2024) on the blocks' matrices, AdamW on the rest; linear warm-up, then linear
   decay to zero.
4. A batch that does not fit the memory of a CUDA device is read in parts, whose gradients add up to
   its own.
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
# Of a device's free memory, for what is kept between a forward pass and its backward pass.
MEMORY_SHARE = 0.7


class TrainingParams(Params):
    """The recipe, the same for every encoding."""

    n_steps: Count
    batch_size: Count  # mazes
    n_questions: Count  # about each maze
    # of tokens outside the path, when the objective is all
    other_weight: Annotated[float, Field(ge=0)]
    muon_lr: Rate
    adamw_lr: Rate
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_steps: Count
    checkpoint_every: Count
    # how often the growing model is looked at: k/n of the way at (k/n)^2 of the steps, most often
    # at first
    n_observations: Count
    n_observed_mazes: Count
    n_threads: Count  # part of the result: other thread counts add in another order
    # of the matrix products of a training step; bf16 pays on a GPU only
    precision: Literal["fp32", "bf16"]
    compile: bool  # the model's forward and backward pass, by torch.compile


def observation_steps(params: TrainingParams) -> list[int]:
    """After which steps the model is looked at: quadratically spaced, for what forms does so early;
    the last step is among them."""
    parts = (np.arange(params.n_observations) + 1) / params.n_observations
    return sorted({max(1, round(params.n_steps * part**2)) for part in parts})


class Losses(NamedTuple):
    """Summed cross-entropy, in nats, on the tokens of the paths (``<PATH_END>`` included) and on
    those before them."""

    path: Tensor
    other: Tensor


Forward = Callable[[Batch], Losses]


def losses(model: Transformer, batch: Batch, on_path_only: bool) -> Losses:
    """What the model loses on each token given all before it in its question; ``other`` is zero if
    the path's are all that is asked for."""
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
    # What comes after the list is the same for every question, and is asked once.
    of_list = _cross_entropies(
        logits[:, :n], torch.cat([batch.lists[:, 1:], batch.questions[:, :1]], dim=1)
    )
    return Losses(path, of_list.sum() + (each * ~batch.is_path).sum())


def _cross_entropies(
    logits: Float[Tensor, "batch pos vocab"], wanted: Tokens
) -> Float[Tensor, "batch pos"]:
    """In nats; zero for PADDING."""
    return F.cross_entropy(
        logits.flatten(0, 1), wanted.flatten(), ignore_index=PADDING, reduction="none"
    ).view_as(wanted)


def n_other_tokens(batch: Batch) -> Int[Tensor, ""]:
    """Tokens of a row that ``Losses.other`` is summed over."""
    return batch.lists.shape[1] + (~batch.is_path).sum()


def backward(forward: Forward, batch: Batch, n_rows: int, other_weight: float) -> Tensor:
    """Add the gradient of a batch's loss, read ``n_rows`` mazes at a time; returns its two losses,
    in nats per token."""
    n_path, n_other, both = batch.n_path_tokens.sum(), n_other_tokens(batch) * len(batch.lists), []
    for start in range(0, len(batch.lists), n_rows):
        summed = forward(batch.rows(start, start + n_rows))
        path, other = summed.path / n_path, summed.other / n_other
        (path + other_weight * other if other_weight else path).backward()
        both.append(torch.stack([path.detach(), other.detach()]))
    return torch.stack(both).sum(dim=0)


def rows_that_fit(batch_size: int, bytes_per_row: float, n_bytes: float) -> int:
    """The largest half, quarter, ... of a batch whose activations fit; at least one row."""
    parts = 1
    while parts < batch_size and -(-batch_size // parts) * bytes_per_row > n_bytes:
        parts *= 2
    return -(-batch_size // parts)


def forward_of(model: Transformer, objective: Objective, params: TrainingParams) -> Forward:
    """The forward pass of a training step, in the precision that the parameters ask for."""
    run = torch.compile(losses, dynamic=True) if params.compile else losses

    def forward(batch: Batch) -> Losses:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=params.precision == "bf16"):
            return run(model, batch, objective == "path")

    return forward


def micro_batch(forward: Forward, model: Transformer, batches: Batches) -> int:
    """How many mazes to read at once: on CUDA what free memory allows, found by reading a few of
    the longest; elsewhere all."""
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
    """Muon for the matrices inside blocks, AdamW for everything else."""
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
    """The share of the full learning rate at a step: linear warm-up, linear decay to zero."""
    return min(
        (step + 1) / params.warmup_steps,
        (params.n_steps - step) / max(1, params.n_steps - params.warmup_steps),
        1.0,
    )
