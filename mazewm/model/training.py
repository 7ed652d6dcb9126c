"""Train one transformer, with snapshots of how it grows; a training that is stopped goes on where
it was.

A checkpoint every ``checkpoint_every`` steps: a training that is resumed ends with the same bits as
one that was not stopped (on CUDA, if batches are read in as many parts), and may be resumed on
another device. At each of ``observation_steps`` the weights are kept as a snapshot, and the loss
and the share of solved mazes go to the history.
"""

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mazewm.io.errors import BadInput
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import PADDING, Vocabulary, encode, encoding_rng, prompt_length
from mazewm.model import devices
from mazewm.model.batches import Batches, ahead
from mazewm.model.recipe import (
    TrainingParams,
    backward,
    forward_of,
    micro_batch,
    observation_steps,
    optimizers,
    rate,
)
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.run import Run

STATE, SNAPSHOTS = "state.pt", "snapshots"


@dataclass(frozen=True)
class HistoryRow:
    """One look at a growing model: losses are means since the look before."""

    step: int
    n_mazes: int
    loss_path: float  # nats per token
    loss_other: float
    solved: float  # share of the observed mazes


@dataclass(frozen=True)
class Progress:
    """What a progress bar wants to know; never written to a file."""

    step: int
    mazes_per_second: float
    seen: HistoryRow | None  # if the model was looked at after this step


@dataclass(frozen=True)
class Checkpoint:
    """A folder in which a training is kept while it goes on. Another ``fingerprint`` is another
    training's, and is ignored."""

    folder: Path
    fingerprint: str

    def save(self, state: dict[str, Any]) -> None:
        """Replace the state that was there."""
        self.folder.mkdir(parents=True, exist_ok=True)
        beside = self.folder / f"{STATE}.part"
        torch.save(state | {"fingerprint": self.fingerprint}, beside)
        os.replace(beside, self.folder / STATE)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The state that was saved last, if there is any that can be read."""
        try:
            state = torch.load(self.folder / STATE, weights_only=True, map_location=device)
        # torch raises many kinds; whatever they say, a file that cannot be read is no checkpoint
        except Exception:
            return None
        return state if state.get("fingerprint") == self.fingerprint else None

    def snapshot(self, step: int) -> Path:
        """The file of the weights after a step."""
        return self.folder / SNAPSHOTS / f"{step:06d}.safetensors"


class Training:
    """One run's transformer, as it is trained."""

    def __init__(
        self,
        run: Run,
        architecture: TransformerParams,
        params: TrainingParams,
        checkpoint: Checkpoint,
    ) -> None:
        self.run, self.params, self.checkpoint = run, params, checkpoint
        self.mazes = run.mazes("train")
        self.observed = run.mazes("validation")[: params.n_observed_mazes]
        self.model = new_transformer(run, architecture, self.mazes.grid.n)
        self.history: list[HistoryRow] = []
        self.sums = [0.0, 0.0, 0]  # of the two losses since the last look, and of how many steps

    def steps(self) -> Iterator[Progress]:
        """Train to the end, from the checkpoint if there is one."""
        params, model = self.params, self.model
        torch.set_num_threads(params.n_threads)
        torch.use_deterministic_algorithms(True)
        batches = Batches(self.mazes, params.batch_size, params.n_questions, self.run.seed)
        opts = optimizers(model, params)
        full_rates = [opt.param_groups[0]["lr"] for opt in opts]
        other_weight = params.other_weight if self.run.objective == "all" else 0.0
        observe_at = set(observation_steps(params))
        first = self._resume(opts)
        forward = forward_of(model, self.run.objective, params)
        n_rows = micro_batch(forward, model, batches)
        # Losses that are still on the device: to ask for them at every step would make it wait.
        recent: list[Tensor] = []
        since, done = time.perf_counter(), 0
        for step, batch in enumerate(ahead(batches, first, params.n_steps, model.device), first):
            for opt, full in zip(opts, full_rates, strict=True):
                opt.param_groups[0]["lr"] = full * rate(step, params)
            recent.append(backward(forward, batch, n_rows, other_weight))
            for opt in opts:
                opt.step()
                opt.zero_grad(set_to_none=True)
            done += params.batch_size
            is_checkpoint = (step + 1) % params.checkpoint_every == 0 and step + 1 < params.n_steps
            if is_checkpoint or step + 1 in observe_at:
                for path, other in torch.stack(recent).tolist():
                    self.sums = [self.sums[0] + path, self.sums[1] + other, self.sums[2] + 1]
                recent = []
            seen = self._look(step + 1) if step + 1 in observe_at else None
            if is_checkpoint:
                self._save(opts, step + 1)
            yield Progress(step + 1, done / (time.perf_counter() - since), seen)
        if not all(torch.isfinite(p).all() for p in model.parameters()):
            raise BadInput(
                f"params.yaml: training: the weights of {self.run.name} became infinite; expected "
                "lower learning rates."
            )

    def write(self, folder: Path) -> None:
        """The trained model, the history and the snapshots; the checkpoint has done its work and
        goes."""
        self.model.eval().requires_grad_(False).save(folder / "transformer.safetensors")
        pd.DataFrame([asdict(row) for row in self.history]).to_csv(
            folder / "history.csv", index=False
        )
        (folder / SNAPSHOTS).mkdir()
        for row in self.history:
            shutil.copy(self.checkpoint.snapshot(row.step), folder / SNAPSHOTS)
        shutil.rmtree(self.checkpoint.folder)

    def _look(self, step: int) -> HistoryRow:
        path, other, n = self.sums
        self.sums = [0.0, 0.0, 0]
        solved = share_solved(self.model, self.observed, self.run.seed, self.params.batch_size)
        self.history.append(
            HistoryRow(
                step=step,
                n_mazes=step * self.params.batch_size,
                loss_path=path / n,
                loss_other=other / n,
                solved=solved,
            )
        )
        self.checkpoint.snapshot(step).parent.mkdir(parents=True, exist_ok=True)
        self.model.save(self.checkpoint.snapshot(step))
        return self.history[-1]

    def _save(self, opts: list[torch.optim.Optimizer], step: int) -> None:
        state = {
            "model": self.model.state_dict(),
            "opts": [opt.state_dict() for opt in opts],
            "step": step,
        }
        self.checkpoint.save(
            state | {"history": [asdict(row) for row in self.history], "sums": self.sums}
        )

    def _resume(self, opts: list[torch.optim.Optimizer]) -> int:
        """Put the checkpoint into place; how many steps were done."""
        state = self.checkpoint.load(self.model.device)
        if state is None:
            return 0
        self.model.load_state_dict(state["model"])
        for opt, saved in zip(opts, state["opts"], strict=True):
            opt.load_state_dict(saved)
        self.history, self.sums = [HistoryRow(**row) for row in state["history"]], state["sums"]
        return int(state["step"])


def new_transformer(run: Run, architecture: TransformerParams, n: int) -> Transformer:
    """A transformer for n x n mazes, silent, as training begins; made on the CPU, so that every
    device starts with the same weights."""
    vocabulary = Vocabulary(n)
    torch.manual_seed(run.seed)
    model = Transformer(architecture, run.encoding, len(vocabulary), vocabulary.max_length)
    model.silence()
    return model.to(devices.best())


@torch.inference_mode()
def share_solved(model: Transformer, mazes: Mazes, seed: int, batch: int) -> float:
    """The share of mazes whose greedy rollout is their path: those of which every token of the path
    is the likeliest after the true ones before it."""
    rng, n_solved = encoding_rng(seed), 0
    for index in mazes.batches(batch):
        encoded = encode(mazes[index], rng)
        tokens = torch.from_numpy(encoded.tokens).to(model.device)
        start = prompt_length(encoded.n_connections)
        written, wanted = model(tokens[:, :-1], since=start - 1).argmax(dim=-1), tokens[:, start:]
        n_solved += int(((written == wanted) | (wanted == PADDING)).all(dim=1).sum())
    return n_solved / len(mazes)
