"""The behaviour of one run's transformer: one question about every maze, and all questions about
some; detours, states reached in two ways, and other spellings of the list. A few are also asked of
an untrained model.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field, field_validator

from mazewm.inference.answers import Answers, measure_answers
from mazewm.inference.behaviour import BehaviourRow, behaviour_rows
from mazewm.inference.detours import DetourRow, measure_detours
from mazewm.inference.kinds import TRAINED, UNTRAINED
from mazewm.inference.spellings import SpellingRow, measure_spellings
from mazewm.inference.states import StateRow, measure_states
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.params import Params
from mazewm.io.progress import progress
from mazewm.model.transformer import Transformer
from mazewm.run import Run

Count = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]


class DetourParams(Params):
    """A probability of a detour at each step, and how often every question is walked with it."""

    p: Share
    n_walks: Count


class BehaviourParams(Params):
    """How much is asked."""

    # mazes about which everything is asked
    n_test_mazes: Count
    n_overload_mazes: Count
    n_untrained_mazes: Count  # of each split, of the untrained model
    detours: Annotated[list[DetourParams], Field(min_length=1)]
    n_detour_mazes: Count
    n_detour_questions: Count  # about each of them
    accepted: Share  # a next token is accepted if its probability is above this
    n_state_mazes: Count
    n_state_pairs: Count  # of prompts, of each kind, about each of them
    n_spellings: Count
    n_spelling_mazes: Count
    n_spelling_mazes_apart: Count  # of these: where order and directions are drawn apart, too
    batch_size: Count  # mazes
    n_threads: Count

    @field_validator("detours")
    @classmethod
    def _probabilities_differ(cls, detours: list[DetourParams]) -> list[DetourParams]:
        if len({each.p for each in detours}) < len(detours):
            raise ValueError("expected probabilities p that differ from one another")
        return detours


@dataclass(frozen=True)
class Behaved:
    """All tables."""

    behaviour: list[BehaviourRow]
    everything: Answers
    detours: pd.DataFrame  # of DetourRow
    states: pd.DataFrame  # of StateRow
    spellings: pd.DataFrame  # of SpellingRow

    def write(self, folder: Path) -> None:
        """Each as a parquet file of its name; ``everything`` as ``answers`` and ``beliefs``."""
        tables.write_rows(folder / "behaviour.parquet", BehaviourRow, self.behaviour)
        self.everything.write(folder)
        rows = {"detours": DetourRow, "states": StateRow, "spellings": SpellingRow}
        for name, row_type in rows.items():
            tables.write(folder / f"{name}.parquet", row_type, dict(getattr(self, name).items()))


def measure_behaviour(run: Run, params: BehaviourParams) -> Behaved:
    """Ask on the test and the overload mazes, which are in random order; detours, states and
    spellings on test mazes only."""
    trained = Transformer.load(run.weights)
    untrained = trained.untrained(run.seed)
    rows, parts = [], []
    sizes = {"test": params.n_test_mazes, "overload": params.n_overload_mazes}
    for split, n_mazes in sizes.items():
        mazes = run.mazes(split)
        progress(f"rollouts, {split}", 1, share=0.1)
        rows += behaviour_rows(Subject(trained, mazes, run.seed, params.batch_size), split)
        models = {TRAINED: (trained, n_mazes), UNTRAINED: (untrained, params.n_untrained_mazes)}
        for name, (model, n) in models.items():
            subject = Subject(model, mazes[:n], run.seed, params.batch_size)
            asked = progress(f"all questions, {split}, {name}", len(subject.mazes), share=0.1)
            for part in measure_answers(subject, split, name):
                parts.append(part)
                asked.update(asked.done + part.answers.maze_id.nunique())
    mazes = run.mazes("test")

    def about(n: int, model: Transformer = trained) -> Subject:
        return Subject(model, mazes[:n], run.seed, params.batch_size)

    progress("detours", 1, share=0.2)
    n_walks = {each.p: each.n_walks for each in params.detours}
    detours = pd.concat(
        measure_detours(about(params.n_detour_mazes), params.n_detour_questions, n_walks, "test"),
        ignore_index=True,
    )
    progress("states", 1, share=0.1)
    states = [
        found.assign(model=name)
        for name, subject in (
            (TRAINED, about(params.n_state_mazes)),
            (UNTRAINED, about(params.n_untrained_mazes, untrained)),
        )
        for found in measure_states(subject, params.n_state_pairs, params.accepted, "test")
    ]
    progress("spellings", 1, share=0.2)
    spellings = pd.concat(
        measure_spellings(
            about(params.n_spelling_mazes),
            params.n_spellings,
            params.n_spelling_mazes_apart,
            "test",
        ),
        ignore_index=True,
    )
    return Behaved(
        rows,
        Answers.joined(parts),
        detours,
        pd.concat(states, ignore_index=True),
        spellings,
    )
