"""Stage probe_beyond: model + mazes -> which facts that no single token states it represents, and where steering along them leads."""

from mazewm import outputs, tables
from mazewm.maze import mazes
from mazewm.params import load
from stages.command import Location, Seed, command, progress


def main(seed: Seed, mazes_in: Location, model: Location, out: Location) -> None:
    """Fit probes on training mazes, score them on test mazes, and steer at forks of validation and then of test mazes."""
    import numpy as np
    import pandas as pd
    import torch

    from mazewm.beyond import probes, steering
    from mazewm.beyond.forks import SITUATIONS, forks
    from mazewm.model.transformer import Transformer

    params = load(probes.BeyondParams, "beyond")
    torch.set_num_threads(params.n_threads)
    sets = {name: mazes.read(mazes_in / f"{name}.parquet") for name in ("train", "validation", "test")}
    trained = Transformer.load(model)
    n_layers = trained.params.n_layers
    torch.manual_seed(seed)
    # Drawn on the CPU, so that it is the same model on every device.
    untrained = Transformer(trained.params, trained.encoding_name, trained.d_vocab, trained.n_ctx).to(trained.device)
    untrained.eval().requires_grad_(False)
    held_out = {split: sets[split][: params.n_held_out_mazes] for split in ("validation", "test")}
    progress("probes", 1, share=0.2)
    measured = probes.measure(trained, untrained, sets["train"][: params.n_fit_mazes], held_out, params, seed)

    steered = []
    for nth, situation in enumerate(SITUATIONS):
        doses = steering.every_dose(n_layers, params.doses)
        for split, n in (("validation", params.n_steered_validation), ("test", params.n_steered)):
            chosen = forks(sets[split], situation, np.random.default_rng([seed, nth]), n)
            n_steps = steering.n_steps(trained, chosen, split, doses, params.batch_size)
            batches = progress(f"steering, {split}, {situation} fork", n_steps, share=0.2)
            rows = steering.steer(trained, chosen, split, measured.directions, doses, params.batch_size, seed, batches.advance)
            steered.append(rows)
            doses = steering.best_doses(rows, situation, n_layers, params.doses)
    with outputs.replacing(out) as folder:
        tables.write_rows(folder / "probes.parquet", probes.BeyondRow, measured.rows)
        steering.write(folder / "steering.parquet", pd.concat(steered, ignore_index=True))


if __name__ == "__main__":
    command(main)()
