"""Run every condition on every example and write down what was predicted and what happened.

The ledger has one row for each (example, condition); every rate can be computed from it without the model.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from mazewm import tables
from mazewm.interventions.conditions import Condition, Directions, Where, delta, positions
from mazewm.maze.examples import Examples
from mazewm.model.edits import Edit, Taps, add_at
from mazewm.model.rollout import rollout
from mazewm.model.transformer import Transformer
from mazewm.params import Params
from mazewm.tokens import Spelled, spell

Count = Annotated[int, Field(gt=0)]
Dose = Annotated[float, Field(gt=0)]


class InterventionParams(Params):
    """Which examples, and how strongly they are edited."""

    n_per_connection: Count  # examples of each connection, from test mazes
    n_per_connection_validation: Count  # and from validation mazes, where doses and places are chosen
    n_redrawn: Count  # times that origin and target of each maze are drawn anew to find examples
    set_sizes: Annotated[list[Count], Field(min_length=1)]  # how many latents of a connection are edited together
    doses: Annotated[list[Dose], Field(min_length=1)]
    paper_site_doses: Annotated[list[Dose], Field(min_length=1)]
    batch_size: Count
    n_threads: Count


@dataclass(frozen=True)
class LedgerRow:
    """One example under one condition."""

    split: tables.Text
    kind: tables.Text  # add or remove
    site: tables.Text
    method: tables.Text
    where: tables.Text
    n_latents: tables.Int
    dose: tables.Real
    example: tables.Int  # within a split and kind, the same number is the same example in every condition
    maze_id: tables.Int
    connection: tables.Int
    original: tables.Cells  # the shortest path of the maze as spelled
    predicted: tables.Cells  # the shortest path of the edited maze, fixed before the run
    measured: tables.Cells  # the cells that the model walked; -2 for a token that is no cell
    solved_before: tables.Flag  # without an edit the model takes the original path
    follows_edit: tables.Flag  # measured equals predicted
    keeps_original: tables.Flag  # measured equals original


def conditions_of(kind: str, split: str, is_found: bool, params: InterventionParams) -> list[Condition]:
    """What is done to examples of one kind; on validation mazes only that from which a choice is made.

    Where the paper's site is not the consolidation site that was found, it gets fewer doses, and additions are made at every one
    of its tokens, which is the most that can be done there.
    """
    doses = params.doses if is_found else params.paper_site_doses
    places: tuple[Where, ...] = ("own",)
    if kind == "add":
        places = ("all", "borrowed") if is_found else ("all",)
    largest = max(params.set_sizes)
    chosen = [Condition("latents", where, n, dose) for where in places for n in params.set_sizes for dose in doses]
    chosen += [Condition("mean_difference", where, 0, dose) for where in places for dose in doses]
    if split == "validation":
        return chosen
    controls = [Condition("tokens", places[0], 0, 1.0), Condition("no_op", places[0], 0, 1.0)]
    for where in places:
        for dose in doses:
            controls.append(Condition("random_direction", where, 0, dose))
            controls.append(Condition("random_latents", where, largest, dose))
            controls.append(Condition("other_connection" if kind == "add" else "other_latents", where, largest, dose))
    fixed = [Condition("fixed_value", where, params.set_sizes[0], dose) for where in places for dose in doses if kind == "add"]
    return chosen + controls + fixed


class Ledger:
    """Columns of LedgerRow, collected batch by batch."""

    def __init__(self) -> None:
        self.parts: list[pd.DataFrame] = []
        self.cells: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(
        self, labels: dict[str, object], examples: Examples, numbers: np.ndarray, measured: np.ndarray, solved_before: np.ndarray
    ) -> None:
        """Append one condition's outcome for a batch of examples."""
        width = measured.shape[1]
        original, predicted = (
            np.pad(m.path, ((0, 0), (0, width - m.path.shape[1])), constant_values=-1) for m in (examples.mazes, examples.edited)
        )
        columns = {"example": numbers, "maze_id": examples.mazes.maze_id, "connection": examples.connection, "solved_before": solved_before}
        columns["follows_edit"] = (measured == predicted).all(axis=1)
        columns["keeps_original"] = (measured == original).all(axis=1)
        self.parts.append(pd.DataFrame(labels | columns))
        self.cells.append((original, predicted, measured))

    def frame(self) -> pd.DataFrame:
        """All rows without their paths."""
        return pd.concat(self.parts, ignore_index=True)

    def write(self, path: Path) -> None:
        """All rows as parquet."""
        original, predicted, measured = (tables.ragged(np.concatenate(column)) for column in zip(*self.cells, strict=True))
        frame = self.frame()
        columns = {name: frame[name].to_numpy() for name in frame.columns}
        tables.write(path, LedgerRow, columns | {"original": original, "predicted": predicted, "measured": measured})


def n_steps(examples: Examples, split: str, sites: Sequence[Directions], params: InterventionParams) -> int:
    """How often ``run_interventions`` will call ``advance``."""
    batches = sum(-(-len(group) // params.batch_size) for group in examples.mazes.by_n_connections().values())
    return batches * sum(len(conditions_of(examples.kind, split, directions.is_found, params)) for directions in sites)


def run_interventions(
    model: Transformer,
    examples: Examples,
    split: str,
    sites: Sequence[Directions],
    params: InterventionParams,
    seed: int,
    ledger: Ledger,
    advance: Callable[[], None],
) -> None:
    """Every condition at every site on every example, into ``ledger``; calls ``advance`` after each condition of each batch."""
    for index, spelled, part in _batches(examples, params.batch_size, seed):
        prompt = torch.from_numpy(spelled.prompt).to(model.device)
        before = rollout(model, prompt)
        solved = (before == np.pad(part.mazes.path, ((0, 0), (0, before.shape[1] - part.mazes.path.shape[1])), constant_values=-1)).all(
            axis=1
        )
        for directions in sites:
            for condition in conditions_of(examples.kind, split, directions.is_found, params):
                # The same draw of positions for every method, so that methods differ in nothing else.
                where = np.random.default_rng([seed, int(index[0]), 0])
                random = np.random.default_rng([seed, int(index[0]), 1])
                if condition.method == "tokens":
                    measured = _rollout_edited(model, part, random)
                else:
                    at = torch.from_numpy(positions(condition, part, spelled, directions.site, where)).to(model.device)
                    tap = Taps([_edit(condition, part, directions, at, random)])
                    measured = rollout(model, prompt, tap)
                    tap.check()
                labels: dict[str, object] = {"split": split, "kind": examples.kind, "site": str(directions.site)}
                labels |= {"method": condition.method, "where": condition.where, "n_latents": condition.n_latents, "dose": condition.dose}
                ledger.add(labels, part, index, measured, solved)
                advance()


def _batches(examples: Examples, batch: int, seed: int) -> Iterator[tuple[np.ndarray, Spelled, Examples]]:
    rng = np.random.default_rng(seed)
    for group in examples.mazes.by_n_connections().values():
        for start in range(0, len(group), batch):
            index = group[start : start + batch]
            part = Examples(examples.kind, examples.mazes[index], examples.connection[index], examples.edited[index])
            yield index, spell(part.mazes, rng), part


def _edit(condition: Condition, examples: Examples, directions: Directions, at: torch.Tensor, rng: np.random.Generator) -> Edit:
    return add_at(directions.site.place, at, partial(delta, condition, examples, directions, rng=rng))


def _rollout_edited(model: Transformer, examples: Examples, rng: np.random.Generator) -> np.ndarray:
    """The edited mazes given as tokens: the ceiling, and for additions a longer input."""
    return rollout(model, torch.from_numpy(spell(examples.edited, rng).prompt).to(model.device))
