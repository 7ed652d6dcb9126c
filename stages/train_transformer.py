"""Stage train_transformer: mazes -> one trained transformer, snapshots from its training, and the
history of its losses.
"""

import hashlib
import os
from pathlib import Path

from mazewm.io import files
from mazewm.io.params import load
from mazewm.io.progress import console, progress
from mazewm.run import Run
from stages.command import RunName, command
from stages.imports import digests


def main(run: RunName) -> None:
    """Train the transformer of one run."""
    from mazewm.model import Checkpoint, Training, TrainingParams, TransformerParams
    from stages.live import LiveCurve

    one = Run.named(run)
    architecture, params = load(TransformerParams, "transformer"), load(TrainingParams, "training")
    given = [architecture.model_dump_json(), params.model_dump_json()]
    given += [files.file_hash(one.maze_file(split)) for split in ("train", "validation")]
    given.append(digests(Path("stages/train_transformer.py")))
    fingerprint = hashlib.sha256("\n".join(given).encode()).hexdigest()[:16]
    kept = Path(os.environ.get("DVC_ROOT", ".")) / ".checkpoints" / f"{one.name}-{fingerprint}"
    training = Training(one, architecture, params, Checkpoint(kept, fingerprint))
    steps, curve = progress("training", params.n_steps), LiveCurve.of(one.name)
    for nth, now in enumerate(training.steps()):
        steps.update(now.step)
        if nth == 0 or now.seen is not None:  # at first, what the checkpoint knew
            curve.write(training.history)
        if now.seen is not None:
            text = f"loss {now.seen.loss_path:.3f} solved {now.seen.solved:.1%} "
            text += f"{now.mazes_per_second:.0f} mazes/s"
            steps.update(now.step, text)
            console.print(f"step {now.step}: {run}: {text}")
    with (
        files.replacing(one.folder("models")) as folder,
        files.replacing(one.folder("snapshots")) as snapshots,
    ):
        training.write(folder, snapshots)
    training.end()
    curve.end()


if __name__ == "__main__":
    command(main)()
