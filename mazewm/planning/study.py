"""Fact probes and steering of one run."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mazewm.counterfactuals.forks import SITUATIONS, forks
from mazewm.io import tables
from mazewm.io.progress import progress
from mazewm.io.streams import stream
from mazewm.model.transformer import Transformer
from mazewm.planning import probes, steering
from mazewm.planning.probes import PlanningParams, ProbeRow
from mazewm.planning.steering import Steering
from mazewm.run import Run


@dataclass(frozen=True)
class Planning:
    """The tables of probes and of steering."""

    probes: list[ProbeRow]
    steering: pd.DataFrame  # of SteerRow

    def write(self, folder: Path) -> None:
        """Write ``probes.parquet`` and ``steering.parquet``."""
        tables.write_rows(folder / "probes.parquet", ProbeRow, self.probes)
        steering.write(folder / "steering.parquet", self.steering)


def probe_and_steer(run: Run, params: PlanningParams) -> Planning:
    """Fit probes on training mazes and score them on validation and test mazes; then steer at forks
    of validation mazes, and at forks of test mazes with the doses that did best there."""
    trained = Transformer.load(run.weights)
    n_layers = trained.params.n_layers
    held_out = {split: run.mazes(split) for split in ("validation", "test")}
    progress("probes", 1, share=0.2)
    measured = probes.measure(
        trained,
        run.mazes("train")[: params.n_fit_mazes],
        {split: mazes[: params.n_held_out_mazes] for split, mazes in held_out.items()},
        params,
        run.seed,
    )
    study, steered = Steering(trained, measured.directions, run.seed, params.batch_size), []
    for situation in SITUATIONS:
        doses = steering.every_dose(n_layers, params.doses)
        for split, n in (("validation", params.n_steered_validation), ("test", params.n_steered)):
            rng = stream(f"forks: {situation}", run.seed)
            chosen = forks(held_out[split], situation, rng, n)
            n_steps = study.n_steps(chosen, split, doses)
            batches = progress(f"steering, {split}, {situation} fork", n_steps, share=0.2)
            rows = study.steer(chosen, split, doses, batches.advance)
            steered.append(rows)
            doses = steering.best_doses(rows, situation, n_layers, params.doses)
    return Planning(measured.rows, pd.concat(steered, ignore_index=True))
