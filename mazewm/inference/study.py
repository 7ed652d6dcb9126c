"""The behaviour of one run's transformer: one question about every maze, and all questions about
some. A few are also asked of an untrained model.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field

from mazewm.inference.answers import Answers, measure_answers
from mazewm.inference.behaviour import BehaviourRow, behaviour_rows
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.params import Params
from mazewm.io.progress import progress
from mazewm.model.transformer import Transformer
from mazewm.results import TRAINED, UNTRAINED
from mazewm.run import Run

Count = Annotated[int, Field(gt=0)]


class BehaviourParams(Params):
    """How much is asked."""

    # mazes about which everything is asked
    n_test_mazes: Count
    n_overload_mazes: Count
    n_untrained_mazes: Count  # of each split, of the untrained model
    batch_size: Count  # mazes
    n_threads: Count


@dataclass(frozen=True)
class Behaved:
    """All tables."""

    behaviour: list[BehaviourRow]
    everything: Answers

    def write(self, folder: Path) -> None:
        """``behaviour.parquet``, ``answers.parquet`` and ``beliefs.parquet``."""
        tables.write_rows(folder / "behaviour.parquet", BehaviourRow, self.behaviour)
        self.everything.write(folder)


def measure_behaviour(run: Run, params: BehaviourParams) -> Behaved:
    """Ask on the test and the overload mazes, which are in random order."""
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
            asked = progress(f"all questions, {split}, {name}", len(subject.mazes), share=0.2)
            for part in measure_answers(subject, split, name):
                parts.append(part)
                asked.update(asked.done + part.answers.maze_id.nunique())
    return Behaved(rows, Answers.joined(parts))
