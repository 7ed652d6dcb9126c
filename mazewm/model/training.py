"""Train one transformer to spell mazes and their shortest paths.

1. Batches hold mazes with equally many connections, freshly spelled: batch i is a function of the seed and i alone.
2. Cross-entropy on the path tokens, and (``loss_on: all``) on every other token with ``other_weight``.
3. Muon (Jordan et al. 2024, ``torch.optim.Muon``) on the blocks' matrices, AdamW on the rest; linear warm-up, then linear
   decay to zero.
4. A checkpoint every ``checkpoint_every`` steps; a run that is resumed ends with the same bits as one that was not stopped.
"""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional as F

from mazewm.errors import BadInput
from mazewm.maze.mazes import Mazes
from mazewm.model.transformer import Transformer
from mazewm.params import Params
from mazewm.tokens import PADDING, Spelled, prompt_length, spell

Count = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(gt=0)]


class TrainingParams(Params):
    """The recipe, the same for every encoding."""

    n_steps: Count
    batch_size: Count
    loss_on: Literal["all", "path"]
    other_weight: Annotated[float, Field(ge=0)]  # of tokens outside the path, when loss_on is all
    muon_lr: Rate
    adamw_lr: Rate
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_steps: Count
    checkpoint_every: Count
    n_observations: Count  # how often the growing model is looked at: k/n of the way at (k/n)^2 of the steps, most often at first
    n_observed_mazes: Count
    n_threads: Count  # part of the result: other thread counts add in another order


class Batches:
    """Batch ``i`` of an endless, freshly spelled run through the training mazes."""

    def __init__(self, mazes: Mazes, batch_size: int, seed: int) -> None:
        self.mazes, self.seed = mazes, seed
        self.groups = [index for index in mazes.by_n_connections().values() if len(index) >= batch_size]
        self.batch_size = batch_size
        self.per_epoch = sum(len(index) // batch_size for index in self.groups)
        if self.per_epoch == 0:
            raise BadInput(
                f"params.yaml: training.batch_size: expected at most {max(map(len, mazes.by_n_connections().values()))}, "
                f"the most training mazes with equally many connections, found {batch_size}."
            )
        self._epoch, self._plan = -1, np.empty((0, batch_size), int)

    def __getitem__(self, i: int) -> Spelled:
        epoch, nth = divmod(i, self.per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, 1, epoch])
            whole = [rng.permutation(index)[: len(index) // self.batch_size * self.batch_size] for index in self.groups]
            plan = np.concatenate([index.reshape(-1, self.batch_size) for index in whole])
            self._epoch, self._plan = epoch, rng.permutation(plan)
        return spell(self.mazes[self._plan[nth]], np.random.default_rng([self.seed, 2, i]))


def observation_steps(params: TrainingParams) -> list[int]:
    """After which steps the model is looked at: quadratically spaced, for what forms does so early; the last step is among them."""
    parts = (np.arange(params.n_observations) + 1) / params.n_observations
    return sorted({max(1, round(params.n_steps * part**2)) for part in parts})


def losses(model: Transformer, spelled: Spelled) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean cross-entropy, in nats per token, on the path's tokens (``<PATH_END>`` included) and on those before it."""
    tokens = torch.from_numpy(spelled.tokens).to(model.device)
    logits = model(tokens[:, :-1])
    first = prompt_length(spelled.n_connections) - 1
    path = F.cross_entropy(logits[:, first:].flatten(0, 1), tokens[:, first + 1 :].flatten(), ignore_index=PADDING)
    other = F.cross_entropy(logits[:, :first].flatten(0, 1), tokens[:, 1 : first + 1].flatten())
    return path, other


def optimizers(model: Transformer, params: TrainingParams) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside blocks, AdamW for everything else."""
    inside = [p for block in model.layers for p in block.parameters() if p.ndim == 2]
    ids = {id(p) for p in inside}
    rest = [p for p in model.parameters() if id(p) not in ids]
    return [
        torch.optim.Muon(inside, lr=params.muon_lr, weight_decay=params.weight_decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=params.adamw_lr, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    ]


def rate(step: int, params: TrainingParams) -> float:
    """The share of the full learning rate at a step: linear warm-up, linear decay to zero."""
    return min((step + 1) / params.warmup_steps, (params.n_steps - step) / max(1, params.n_steps - params.warmup_steps), 1.0)


@dataclass(frozen=True)
class HistoryRow:
    """One look at the loss, averaged since the look before."""

    step: int
    n_mazes: int
    loss_path: float  # nats per token
    loss_other: float


@dataclass(frozen=True)
class Progress:
    """What a progress bar wants to know; never written to a file."""

    step: int
    mazes_per_second: float
    history: HistoryRow | None


def train(
    model: Transformer,
    mazes: Mazes,
    params: TrainingParams,
    seed: int,
    checkpoint: Path,
    fingerprint: str,
    observe: Callable[[Transformer, HistoryRow], dict[str, Any]],
) -> Iterator[tuple[Progress, list[dict[str, Any]]]]:
    """Train ``model`` in place, yielding progress and all observations so far after each step.

    ``observe`` looks at the model after each of ``observation_steps``; what it returns is kept in the checkpoint, with the weights.
    A checkpoint with another ``fingerprint`` is another run's and is ignored.
    """
    torch.set_num_threads(params.n_threads)
    torch.use_deterministic_algorithms(True)
    batches = Batches(mazes, params.batch_size, seed)
    opts = optimizers(model, params)
    full_rates = [opt.param_groups[0]["lr"] for opt in opts]
    other_weight = params.other_weight if params.loss_on == "all" else 0.0
    observe_at = set(observation_steps(params))
    first, observations, sums = _resume(checkpoint, fingerprint, model, opts)
    since, done = time.perf_counter(), 0
    for step in range(first, params.n_steps):
        for opt, full in zip(opts, full_rates, strict=True):
            opt.param_groups[0]["lr"] = full * rate(step, params)
        path, other = losses(model, batches[step])
        loss = path + other_weight * other if other_weight else path
        loss.backward()
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        sums = [sums[0] + path.item(), sums[1] + other.item(), sums[2] + 1]
        done += params.batch_size
        row = None
        if step + 1 in observe_at:
            row = HistoryRow(step + 1, (step + 1) * params.batch_size, sums[0] / sums[2], sums[1] / sums[2])
            observations.append(observe(model, row))
            sums = [0.0, 0.0, 0]
        if (step + 1) % params.checkpoint_every == 0 and step + 1 < params.n_steps:
            _save(checkpoint, fingerprint, model, opts, step + 1, observations, sums)
        yield Progress(step + 1, done / (time.perf_counter() - since), row), observations


def _save(
    checkpoint: Path,
    fingerprint: str,
    model: Transformer,
    opts: list[torch.optim.Optimizer],
    step: int,
    observations: list[Any],
    sums: list[Any],
) -> None:
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    beside = checkpoint.with_suffix(".part")
    state = {"fingerprint": fingerprint, "model": model.state_dict(), "opts": [o.state_dict() for o in opts]}
    torch.save(state | {"step": step, "observations": observations, "sums": sums}, beside)
    os.replace(beside, checkpoint)


def _resume(checkpoint: Path, fingerprint: str, model: Transformer, opts: list[torch.optim.Optimizer]) -> tuple[int, list[Any], list[Any]]:
    if not checkpoint.exists():
        return 0, [], [0.0, 0.0, 0]
    try:
        state = torch.load(checkpoint, weights_only=True, map_location=model.device)
    except Exception:  # torch raises many kinds; whatever they say, a file that cannot be read is no checkpoint
        return 0, [], [0.0, 0.0, 0]
    if state.get("fingerprint") != fingerprint:
        return 0, [], [0.0, 0.0, 0]
    model.load_state_dict(state["model"])
    for opt, saved in zip(opts, state["opts"], strict=True):
        opt.load_state_dict(saved)
    return state["step"], state["observations"], state["sums"]
