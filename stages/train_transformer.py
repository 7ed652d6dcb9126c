"""Stage train_transformer: mazes -> one trained transformer, the story of its training, and how it behaves."""

import hashlib
import inspect
import json
import os
from pathlib import Path

from mazewm import outputs, tables
from mazewm.errors import BadInput
from mazewm.maze import mazes
from mazewm.params import load
from stages.command import Location, Name, Seed, command, console, progress


def main(encoding: Name, seed: Seed, mazes_in: Location, out: Location) -> None:
    """Train the transformer with one positional encoding and one seed."""
    import numpy as np
    import pandas as pd
    import torch

    from mazewm import behaviour, consolidation, devices, tokens
    from mazewm.maze import routes
    from mazewm.model import batches, muon, positions, reading, training, transformer
    from mazewm.model.transformer import Transformer, TransformerParams

    architecture = load(TransformerParams, "transformer")
    params = load(training.TrainingParams, "training")
    sets = {name: mazes.read(mazes_in / f"{name}.parquet") for name in ("train", "validation", "test", "overload")}
    vocabulary = tokens.Vocabulary(sets["train"].grid.n)
    torch.manual_seed(seed)
    model = Transformer(architecture, encoding, len(vocabulary), vocabulary.max_length)
    model.silence()
    model.to(devices.best())  # made on the CPU, so that every device starts with the same weights

    observed = sets["validation"][: params.n_observed_mazes]

    def observe(growing: Transformer, row: training.HistoryRow) -> dict:
        solved = behaviour.behave(growing, observed, np.random.default_rng(seed), params.batch_size).solved.mean()
        formation = consolidation.look(growing, observed, seed, params.batch_size)
        return {"history": row.__dict__ | {"solved": float(solved)}, "formation": [r.__dict__ | {"step": row.step} for r in formation]}

    code = [inspect.getsource(module) for module in (training, batches, muon, transformer, reading, positions, tokens, routes)]
    data = outputs.file_hash(mazes_in / "train.parquet")
    identity = json.dumps([architecture.model_dump(), params.model_dump(), encoding, seed, data, code])
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:16]
    root = Path(os.environ.get("DVC_ROOT", "."))
    checkpoint = root / ".checkpoints" / f"transformer-{encoding}-{seed}-{fingerprint}.pt"
    observations: list = []
    steps = progress("training", params.n_steps, share=0.95)
    for now, observations in training.train(model, sets["train"], params, seed, checkpoint, fingerprint, observe):
        steps.update(now.step)
        if now.history is not None:
            seen = observations[-1]["history"]
            text = f"loss {seen['loss_path']:.3f} solved {seen['solved']:.1%} {now.mazes_per_second:.0f} mazes/s"
            steps.update(now.step, text)
            console.print(f"step {now.step}: {encoding} {seed}: {text}")
    progress("measuring behaviour", 1)
    if not all(torch.isfinite(p).all() for p in model.parameters()):
        raise BadInput(f"params.yaml: training: the weights of {encoding} {seed} became infinite; expected lower learning rates.")
    model.eval().requires_grad_(False)
    with outputs.replacing(out) as folder:
        model.save(folder / "transformer.safetensors")
        pd.DataFrame([o["history"] for o in observations]).to_csv(folder / "history.csv", index=False)
        pd.DataFrame([row for o in observations for row in o["formation"]]).to_csv(folder / "formation.csv", index=False)
        rows = [behaviour.measure(model, sets[name], name, seed, params.batch_size) for name in ("test", "overload")]
        tables.write_rows(folder / "behaviour.parquet", behaviour.BehaviourRow, [row for part in rows for row in part])
    checkpoint.unlink(missing_ok=True)


if __name__ == "__main__":
    command(main)()
