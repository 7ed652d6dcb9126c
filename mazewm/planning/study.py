"""Fact probes and steering of one run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from mazewm.counterfactuals.forks import SITUATIONS, asked_anew, forks
from mazewm.counterfactuals.pairs import trees_of, twins
from mazewm.doses import MOST_GROWTH
from mazewm.io import tables
from mazewm.io.progress import progress
from mazewm.io.streams import stream
from mazewm.maze.mazes import Mazes
from mazewm.model.transformer import Transformer
from mazewm.planning import choosing, errors, steering
from mazewm.planning.errors import ProbeRow
from mazewm.planning.frame_writing import FrameRow, FrameWriting
from mazewm.planning.params import PlanningParams
from mazewm.planning.probes import Directions, FactProbes
from mazewm.planning.reading import FRAME, LAST, read
from mazewm.planning.steering import Steering, SteerRow, Where
from mazewm.planning.whole import Arrows, WholeProbes
from mazewm.run import Run

QUESTIONS = 20  # about each held-out maze, of which those at forks are steered
CHOSEN_ON = 4  # one in so many held-out mazes of the validation split serves to choose places


@dataclass(frozen=True)
class Planning:
    """The tables of probes and of steering, and of what one token after the list holds."""

    probes: pd.DataFrame  # of ProbeRow
    steering: pd.DataFrame  # of SteerRow
    whole: pd.DataFrame  # of ProbeRow, for connections after the list
    frame: list[FrameRow]

    def write(self, folder: Path) -> None:
        """Write each table to a file of its name."""
        errors.write_rows(folder / "probes.parquet", ProbeRow, self.probes)
        errors.write_rows(folder / "steering.parquet", SteerRow, self.steering)
        errors.write_rows(folder / "whole.parquet", ProbeRow, self.whole)
        tables.write_rows(folder / "frame.parquet", FrameRow, self.frame)


def probe_and_steer(run: Run, params: PlanningParams) -> Planning:
    """Everything about one run."""
    model, n = Transformer.load(run.weights), params.n_held_out_mazes
    held_out = {
        "validation": run.mazes("validation")[: max(1, n // CHOSEN_ON)],
        "test": run.mazes("test")[:n],
    }
    progress("probes", 1, share=0.4)
    probes = fit_probes(model, run.mazes("train")[: params.n_fit_mazes], held_out, params, run.seed)
    steered = steer(run, model, probes.directions, params)
    progress("writing at the tokens after the list", 1, share=0.3)
    frame = write_at_frame(run, FrameWriting(model, probes.arrows, run.seed), params)
    return Planning(probes.facts, steered, probes.whole, frame)


class Probes(NamedTuple):
    """The errors of all probes, as rows of ProbeRow, and the trained model's directions."""

    facts: pd.DataFrame
    whole: pd.DataFrame
    directions: Mapping[Where, Directions]
    arrows: Arrows


def fit_probes(
    model: Transformer, fit_mazes: Mazes, held_out: Mapping[str, Mazes], params: PlanningParams,
    seed: int,
) -> Probes:  # fmt: skip
    """Read the trained model and an untrained one, and fit probes for facts that no single token
    states, and for connections after the list.

    BadInput if a held-out split shares a connection set with ``fit_mazes``."""
    facts = FactProbes(fit_mazes, held_out, params.penalties, seed)
    whole = WholeProbes(fit_mazes, held_out, params.penalties)
    found = []
    for readout, each in {"model": model, "untrained_model": model.untrained(seed)}.items():
        seen = read(each, fit_mazes, held_out, seed, params.batch_size)
        at_last, at_frame = seen.at(LAST), seen.at(FRAME)
        found.append((facts.read_model(readout, at_last), whole.read_model(readout, at_frame)))
    rows = [pd.concat(study.parts, ignore_index=True) for study in (facts, whole)]
    return Probes(rows[0], rows[1], *found[0])


def steer(
    run: Run, model: Transformer, directions: Mapping[Where, Directions], params: PlanningParams
) -> pd.DataFrame:
    """Steer at forks of held-out mazes, as rows of SteerRow: on validation mazes to choose where
    and with which doses, on test mazes there and with these."""
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
        every = steering.conditions(everywhere, (steering.STEERED,), params.doses)
        tried = study.steer(validation, "validation", every)
        best = choosing.best_places(tried)
        others = steering.conditions(best, steering.OTHERS, params.doses)
        tried = pd.concat([tried, study.steer(validation, "validation", others)])
        for _ in range(MOST_GROWTH):
            if not (further := choosing.further(tried, best)):
                break
            tried = pd.concat([tried, study.steer(validation, "validation", further)])
        parts += [tried, study.steer(test, "test", choosing.best_doses(tried, best))]
    return pd.concat(parts, ignore_index=True)


def write_at_frame(run: Run, writing: FrameWriting, params: PlanningParams) -> list[FrameRow]:
    """Connections written at the tokens after the list, chosen on validation and measured on test
    mazes."""
    most = int(run.mazes("train").n_connections.max())
    numbers = {"validation": params.n_twins_validation, "test": params.n_twins}
    pairs = {
        split: twins(trees_of(run.mazes(split), most - 1), stream(f"frame: {split}", run.seed), n)
        for split, n in numbers.items()
    }
    chosen = writing.choose(pairs["validation"], params.twin_doses)
    return chosen + writing.report(pairs["test"], chosen)
