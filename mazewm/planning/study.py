"""Fact probes and steering of one run."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mazewm.counterfactuals.forks import SITUATIONS, forks
from mazewm.counterfactuals.pairs import trees_of, twins
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.progress import progress
from mazewm.io.streams import stream
from mazewm.model.transformer import Transformer
from mazewm.planning import probes, steering, whole
from mazewm.planning.frame_writing import FrameRow, FrameWriting
from mazewm.planning.probes import PlanningParams, ProbeRow
from mazewm.planning.steering import Steering
from mazewm.run import Run


@dataclass(frozen=True)
class Planning:
    """The tables of probes and of steering, and of what one token after the list holds."""

    probes: list[ProbeRow]
    steering: pd.DataFrame  # of SteerRow
    whole: pd.DataFrame  # of WholeRow
    frame: list[FrameRow]

    def write(self, folder: Path) -> None:
        """Write each table to a file of its name."""
        tables.write_rows(folder / "probes.parquet", ProbeRow, self.probes)
        steering.write(folder / "steering.parquet", self.steering)
        whole.write_rows(folder / "whole.parquet", self.whole)
        tables.write_rows(folder / "frame.parquet", FrameRow, self.frame)


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
    seen, written = after_the_list(run, trained, params)
    return Planning(measured.rows, pd.concat(steered, ignore_index=True), seen, written)


def after_the_list(
    run: Run, model: Transformer, params: PlanningParams
) -> tuple[pd.DataFrame, list[FrameRow]]:
    """What the tokens after the list hold of the whole maze: probes fitted on training mazes, as
    rows of WholeRow, and connections written there, chosen on validation and measured on test
    mazes."""
    progress("the whole maze from one token", 1, share=0.2)
    train, most = run.mazes("train"), int(run.mazes("train").n_connections.max())
    subject = Subject(model, train[: params.n_fit_mazes], run.seed, params.batch_size)
    held_out = {split: run.mazes(split) for split in ("validation", "test")}
    some = {split: mazes[: params.n_held_out_mazes] for split, mazes in held_out.items()}
    seen = whole.read_whole(subject, some, params.penalties)
    progress("writing at the tokens after the list", 1, share=0.2)
    writing = FrameWriting(model, seen.arrows, run.seed)
    numbers = {"validation": params.n_twins_validation, "test": params.n_twins}
    pairs = {
        split: twins(trees_of(mazes, most - 1), stream(f"frame: {split}", run.seed), numbers[split])
        for split, mazes in held_out.items()
    }
    chosen = writing.choose(pairs["validation"], params.twin_doses)
    return seen.rows, chosen + writing.report(pairs["test"], chosen)
