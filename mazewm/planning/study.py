"""Fact probes and steering of one run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mazewm.counterfactuals.forks import SITUATIONS, asked_anew, forks
from mazewm.counterfactuals.pairs import trees_of, twins
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.progress import progress
from mazewm.io.streams import stream
from mazewm.maze.mazes import Mazes
from mazewm.model.transformer import Transformer
from mazewm.planning import errors, probes, steering, whole
from mazewm.planning.errors import ProbeRow
from mazewm.planning.frame_writing import FrameRow, FrameWriting
from mazewm.planning.params import PlanningParams
from mazewm.planning.probes import Directions
from mazewm.planning.steering import Steering, Where
from mazewm.planning.whole import WholeRow
from mazewm.run import Run

QUESTIONS = 20  # about each held-out maze, of which those at forks are steered
CHOSEN_ON = 4  # one in so many held-out mazes of the validation split serves to choose places


@dataclass(frozen=True)
class Planning:
    """The tables of probes and of steering, and of what one token after the list holds."""

    probes: pd.DataFrame  # of ProbeRow
    steering: pd.DataFrame  # of SteerRow
    whole: pd.DataFrame  # of WholeRow
    frame: list[FrameRow]

    def write(self, folder: Path) -> None:
        """Write each table to a file of its name."""
        errors.write_rows(folder / "probes.parquet", ProbeRow, self.probes)
        steering.write(folder / "steering.parquet", self.steering)
        errors.write_rows(folder / "whole.parquet", WholeRow, self.whole)
        tables.write_rows(folder / "frame.parquet", FrameRow, self.frame)


def probe_and_steer(run: Run, params: PlanningParams) -> Planning:
    """Everything about one run."""
    trained = Transformer.load(run.weights)
    held_out = {split: run.mazes(split) for split in ("validation", "test")}
    progress("probes", 1, share=0.3)
    n = params.n_held_out_mazes
    some = {
        "validation": held_out["validation"][: max(1, n // CHOSEN_ON)],
        "test": held_out["test"][:n],
    }
    measured = probes.measure(
        trained, run.mazes("train")[: params.n_fit_mazes], some, params, run.seed
    )
    steered = steer(run, trained, measured.directions, params)
    seen, written = after_the_list(run, trained, some, params)
    return Planning(measured.rows, steered, seen, written)


def steer(
    run: Run, model: Transformer, directions: Mapping[Where, Directions], params: PlanningParams
) -> pd.DataFrame:
    """Steer at forks of held-out mazes, as rows of SteerRow: on validation mazes everywhere and
    with every dose, on test mazes where and with the doses that did best there."""
    study = Steering(model, directions, run.seed, params.batch_size)
    numbers = {"validation": params.n_steered_validation, "test": params.n_steered}
    asked = {
        split: asked_anew(
            run.mazes(split), stream(f"forks: questions, {split}", run.seed), QUESTIONS
        )
        for split in numbers
    }
    parts = list[pd.DataFrame]()
    for situation in SITUATIONS:
        progress(f"steering at the {situation} fork", 1, share=0.15)
        validation, test = (
            forks(asked[split], situation, stream(f"forks: {situation}", run.seed), n)
            for split, n in numbers.items()
        )
        everywhere = steering.places(situation, model.params.n_layers)
        every = steering.conditions(everywhere, steering.CHOOSING, params.doses)
        tried = study.steer(validation, "validation", every)
        best = steering.best_places(tried)
        others = steering.conditions(best, steering.CONTROLS, params.doses)
        tried = pd.concat([tried, study.steer(validation, "validation", others)])
        parts += [tried, study.steer(test, "test", steering.best_doses(tried, best))]
    return pd.concat(parts, ignore_index=True)


def after_the_list(
    run: Run, model: Transformer, some: Mapping[str, Mazes], params: PlanningParams
) -> tuple[pd.DataFrame, list[FrameRow]]:
    """What the tokens after the list hold of the whole maze: probes fitted on training mazes, as
    rows of WholeRow, and connections written there, chosen on validation and measured on test
    mazes."""
    progress("the whole maze from one token", 1, share=0.2)
    train, most = run.mazes("train"), int(run.mazes("train").n_connections.max())
    # half as many as for facts, as there are twice as many tokens
    subject = Subject(model, train[: max(1, params.n_fit_mazes // 2)], run.seed, params.batch_size)
    half = {split: mazes[: max(1, len(mazes) // 2)] for split, mazes in some.items()}
    seen = whole.read_whole(subject, half, params.penalties)
    progress("writing at the tokens after the list", 1, share=0.2)
    writing = FrameWriting(model, seen.arrows, run.seed)
    numbers = {"validation": params.n_twins_validation, "test": params.n_twins}
    pairs = {
        split: twins(trees_of(run.mazes(split), most - 1), stream(f"frame: {split}", run.seed), n)
        for split, n in numbers.items()
    }
    chosen = writing.choose(pairs["validation"], params.twin_doses)
    return seen.rows, chosen + writing.report(pairs["test"], chosen)
