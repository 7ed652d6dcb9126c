"""A training of the laptop's architecture and batch, killed again and again: each call goes on from
the last checkpoint, and the weights in the end are those of a training that nobody disturbed.
"""

import json
import random
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mazewm.io.params import read_yaml
from mazewm.model.training import STATE
from trust.clone import DVC, Clone
from trust.processes import POLL, kill_all, start

SHORT = {  # fewer steps than the study's, and fewer mazes to draw, or the trial takes half an hour
    "scales.laptop.training.n_steps": 150,
    "scales.laptop.training.checkpoint_every": 15,
    "scales.laptop.training.n_observations": 4,
    "scales.laptop.mazes.n_train": 20000,
}


@dataclass(frozen=True)
class Resumed:
    """One kill in a training, and where the next call went on."""

    killed_at: int  # the last step that had been reported, at most half a second before
    checkpoint: int  # the step of the checkpoint that was there; 0 if there was none
    first: int  # the first step that the next call reported, after half a second or so
    lost: int  # steps to be done again
    seconds: float  # after the training had begun to step


@dataclass(frozen=True)
class Trained:
    """A training with its kills."""

    n_steps: int
    checkpoint_every: int
    kills: list[Resumed]
    seconds: float  # of the undisturbed training
    differ: list[str]  # files that are not as those of the undisturbed training


def make(folder: Path, full: bool) -> Clone:
    """A clone at scale laptop with one run and nothing trained, the training short unless
    ``full``."""
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier call
    changes = {"scale": "laptop", "encodings": ["learned"]} | ({} if full else SHORT)
    return Clone.make(folder, changes)


def trained(clone: Clone, n: int, seed: int) -> Trained:
    """A training without disturbance, then one with ``n`` kills."""
    drawn = random.Random(seed)
    stage = f"train_transformer@{read_yaml(clone.folder / 'params.yaml')['encodings'][0]}-all-0"
    command = (*DVC, "repro", stage)
    params = read_yaml(clone.folder / "params.yaml")["scales"]["laptop"]["training"]
    steps, every = params["n_steps"], params["checkpoint_every"]
    before = clone.call(*DVC, "repro", "generate_mazes@0")
    undisturbed = clone.call(*command)
    for done in (before, undisturbed):
        if done.code:
            raise RuntimeError(done.said[-2000:])
    clone.must("git", "add", "-A")
    clone.must("git", "commit", "-qm", "Trained")
    clone.know()
    clone.forget([stage])
    kills = list[Resumed]()
    at, kept, seconds = 0, 0, 0.0
    for nth in range(n + 1):
        process, progress = _start(clone, command)
        first = _step(progress, steps, process, 1)
        if nth:
            kills.append(Resumed(at, kept, first, at - kept, seconds))
        if nth == n:
            process.wait()
            break
        # the kills share out what is left of the training
        aim = first + max(1, round(drawn.uniform(0.4, 1.0) * (steps - first) / (n - nth + 1)))
        begun = time.monotonic()
        _step(progress, steps, process, aim)
        time.sleep(drawn.uniform(0.0, 0.3))  # anywhere in a step
        kill_all(clone.mark)
        process.wait()
        at, kept = _read(progress, steps), _checkpoint(clone)
        seconds = round(time.monotonic() - begun, 2)
    return Trained(steps, every, kills, undisturbed.seconds, clone.differences())


def _start(clone: Clone, command: tuple[str, ...]) -> tuple[Any, Path]:
    progress = clone.folder.parent / "progress.json"
    progress.unlink(missing_ok=True)
    clone.quiet()
    environment = clone.environment | {"MAZEWM_PROGRESS": str(progress)}
    return start(command, clone.folder, environment, clone.log), progress


def _step(progress: Path, steps: int, process: Any, least: int) -> int:
    """Wait until a step is reported that is at least ``least``; returns it. RuntimeError if the
    training ends first."""
    while process.poll() is None:
        step = _read(progress, steps)
        if step >= least:
            return step
        time.sleep(POLL)
    raise RuntimeError(f"the training ended before step {least}")


def _read(progress: Path, steps: int) -> int:
    """The step in a progress file; 0 if there is none."""
    with suppress(FileNotFoundError):
        return round(steps * json.loads(progress.read_text())["share"])
    return 0


def _checkpoint(clone: Clone) -> int:
    """The step of the checkpoint; 0 if there is none."""
    import torch

    for path in (clone.folder / ".checkpoints").glob(f"*/{STATE}"):
        return int(torch.load(path, weights_only=True)["step"])
    return 0
