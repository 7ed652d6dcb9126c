"""The training loop of one transformer, with checkpoints to resume from and snapshots over time.

A checkpoint is written every ``checkpoint_every`` steps. A training that was stopped and resumed
ends with bitwise the same weights as one that was not (on CUDA, if batches are read in as many
parts); it may also be resumed on another device. After each of ``observation_steps`` the weights
are saved as a snapshot, and the losses and the share of solved mazes are added to the history.
"""

import math
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.io.progress import console
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
    """One measurement during training. Losses are means over the steps since the measurement
    before."""

    step: int
    n_mazes: int  # mazes read so far
    loss_path: float  # nats per token
    loss_other: float  # nats per token
    solved: float  # share of the observed mazes


@dataclass(frozen=True)
class Progress:
    """The state after a step, for a progress bar; never written to a file."""

    step: int
    mazes_per_second: float
    seen: HistoryRow | None  # the measurement after this step, if there was one


@dataclass(frozen=True)
class Checkpoint:
    """The folder in which the state of an unfinished training is kept. A state with another
    ``fingerprint`` belongs to another training, and is ignored."""

    folder: Path
    fingerprint: str

    def save(self, state: dict[str, Any]) -> None:
        """Write a state, replacing the one before. BadInput if nothing can be written there."""
        beside = self.folder / f"{STATE}.part"
        with files.writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                # A file of ours, since torch does not say why one of its own cannot be written.
                with beside.open("wb") as file:
                    torch.save(state | {"fingerprint": self.fingerprint}, file)
                os.replace(beside, self.folder / STATE)
            except BaseException as error:
                beside.unlink(missing_ok=True)
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The state that was saved last; None if there is none, if it has another fingerprint, or
        if it cannot be read, which is said."""
        file = self.folder / STATE
        if not file.exists():
            return None
        try:
            state = torch.load(file, weights_only=True, map_location=device)
        # torch raises many types of errors; a file that cannot be read is no checkpoint in any case
        except Exception:
            console.print(f"{file}: cannot be read; the training begins anew.", highlight=False)
            return None
        is_own = isinstance(state, dict) and state.get("fingerprint") == self.fingerprint
        return state if is_own else None

    def snapshot(self, step: int) -> Path:
        """The file of the weights after a step."""
        return self.folder / SNAPSHOTS / f"{step:06d}.safetensors"


class Training:
    """The training of one run's transformer."""

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
        # sums of the two losses since the last measurement, and the number of steps in them
        self.sums = [0.0, 0.0, 0]
        self.held = ExitStack()  # the lock on the checkpoint, from the first step until ``end``

    def steps(self) -> Iterator[Progress]:
        """Train to the end, from the checkpoint if there is one; yields after every step. BadInput
        if another process trains this run, if a loss or at the end a weight is not finite, or if
        the loss on the path has not fallen since the first measurement."""
        refusal = f"{self.checkpoint.folder}: another process trains {self.run.name}."
        with ExitStack() as held:
            held.enter_context(files.locked(self.checkpoint.folder, refusal))
            yield from self._steps()
            self.held = held.pop_all()

    def _steps(self) -> Iterator[Progress]:
        params, model = self.params, self.model
        torch.set_num_threads(params.n_threads)
        torch.use_deterministic_algorithms(True)
        batches = Batches(
            self.mazes,
            params.batch_size,
            params.n_questions,
            self.run.seed,
            most_offset=self._most_offset(),
        )
        opts = optimizers(model, params)
        full_rates = [opt.param_groups[0]["lr"] for opt in opts]
        other_weight = params.other_weight if self.run.objective == "all" else 0.0
        observe_at = set(observation_steps(params))
        first = self._resume(opts)
        forward = forward_of(model, self.run.objective, params)
        n_rows = micro_batch(forward, model, batches)
        # Losses stay on the device for a while: reading them at every step would make it wait.
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
                for nth, (path, other) in enumerate(torch.stack(recent).tolist()):
                    if not math.isfinite(path + other):
                        at = step + 2 - len(recent) + nth
                        raise self._failed(f"the loss is {path + other} at step {at}")
                    self.sums = [self.sums[0] + path, self.sums[1] + other, self.sums[2] + 1]
                recent = []
            seen = self._look(step + 1) if step + 1 in observe_at else None
            if is_checkpoint:
                self._save(opts, step + 1)
            yield Progress(step + 1, done / (time.perf_counter() - since), seen)
        if not all(torch.isfinite(p).all() for p in model.parameters()):
            raise self._failed(f"weights are infinite after step {params.n_steps}")
        start, end = self.history[0], self.history[-1]
        if start.step < end.step and end.loss_path >= start.loss_path:
            raise self._failed(
                f"the loss on the path has not fallen: {start.loss_path:.3f} nats per token up to "
                f"step {start.step}, {end.loss_path:.3f} at the end, step {end.step}"
            )

    def _failed(self, what: str) -> BadInput:
        """What ended this training, and where its last checkpoint is."""
        state = self.checkpoint.load(torch.device("cpu"))
        kept = "there is no checkpoint"
        if state is not None:
            kept = f"the last good checkpoint is that of step {state['step']}"
            kept += f", in {self.checkpoint.folder}"
        return BadInput(
            f"params.yaml: training: {self.run.name}: {what}; expected other learning rates; "
            f"{kept}."
        )

    def _most_offset(self) -> int:
        """``position_jitter``; BadInput if the longest sequence might not fit into the context."""
        longest, jitter = Vocabulary(self.mazes.grid.n).max_length, self.params.position_jitter
        used = prompt_length(int(self.mazes.n_connections.max())) + self.mazes.grid.n_cells + 1
        if used + jitter > longest:
            raise BadInput(
                "params.yaml: training.position_jitter: expected at most "
                f"{longest - used}, so that every sequence fits into {longest} positions, "
                f"found {jitter}."
            )
        return jitter

    def write(self, folder: Path, snapshots: Path) -> None:
        """Write the trained model and the history to one folder and the snapshots to another."""
        self.model.eval().requires_grad_(False).save(folder / "transformer.safetensors")
        pd.DataFrame([asdict(row) for row in self.history]).to_csv(
            folder / "history.csv", index=False
        )
        for row in self.history:
            shutil.copy(self.checkpoint.snapshot(row.step), snapshots)

    def end(self) -> None:
        """Delete the checkpoint, once nothing that was written can be lost any more."""
        shutil.rmtree(self.checkpoint.folder)
        self.held.close()

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
        """Load the checkpoint; returns how many steps were done."""
        state = self.checkpoint.load(self.model.device)
        if state is None:
            return 0
        self.model.load_state_dict(state["model"])
        for opt, saved in zip(opts, state["opts"], strict=True):
            opt.load_state_dict(saved)
        self.history, self.sums = [HistoryRow(**row) for row in state["history"]], state["sums"]
        return int(state["step"])


def new_transformer(run: Run, architecture: TransformerParams, n: int) -> Transformer:
    """A run's transformer for n x n mazes, as training starts: its blocks add nothing
    (``Transformer.silence``). Weights are drawn on the CPU, so that they are the same for every
    device."""
    vocabulary = Vocabulary(n)
    torch.manual_seed(run.seed)
    model = Transformer(architecture, run.encoding, len(vocabulary), vocabulary.max_length)
    model.silence()
    return model.to(devices.best())


@torch.inference_mode()
def share_solved(model: Transformer, mazes: Mazes, seed: int, batch: int) -> float:
    """The share of mazes whose greedy rollout is their shortest path. One forward pass shows this:
    after each correct beginning of the path, its next token must have the largest logit."""
    rng, n_solved = encoding_rng(seed), 0
    for index in mazes.batches(batch):
        encoded = encode(mazes[index], rng)
        tokens = torch.from_numpy(encoded.tokens).to(model.device)
        start = prompt_length(encoded.n_connections)
        written, wanted = model(tokens[:, :-1], since=start - 1).argmax(dim=-1), tokens[:, start:]
        n_solved += int(((written == wanted) | (wanted == PADDING)).all(dim=1).sum())
    return n_solved / len(mazes)
