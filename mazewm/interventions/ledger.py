"""Run every condition on every example and write down what was predicted and what happened.

The ledger has one row for each (example, condition); every rate can be computed from it without the model. Beside it, the table of
examples holds the mazes as they were spelled, so that every one can be drawn.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int

from mazewm import tables
from mazewm.behaviour import judge
from mazewm.interventions.conditions import PROMPTS, Condition, Method, delta, positions
from mazewm.interventions.design import InterventionParams, conditions_of
from mazewm.interventions.directions import Directions
from mazewm.interventions.prompts import walk_prompt
from mazewm.maze.examples import Examples
from mazewm.maze.mazes import Mazes
from mazewm.model.edits import Edit, add_at
from mazewm.model.reading import Prefix
from mazewm.model.resuming import ReadLists
from mazewm.model.rollout import questions_of, rollouts_behind
from mazewm.model.transformer import Transformer
from mazewm.tokens import Spelled, spell


@dataclass(frozen=True)
class LedgerRow:
    """One example under one condition."""

    split: tables.Text
    kind: tables.Text  # add, remove, move, several or overload
    site: tables.Text
    method: tables.Text
    where: tables.Text
    n_latents: tables.Int
    dose: tables.Real
    example: tables.Int  # within a split and kind, the same number is the same example in every condition
    maze_id: tables.Int
    added: tables.Cells  # connection numbers
    removed: tables.Cells  # connection numbers
    n_changed: tables.Int  # connections that are added, removed or moved
    n_spelled: tables.Int  # connections in the prompt
    original: tables.Cells  # the shortest path of the maze as spelled
    predicted: tables.Cells  # the shortest path of the edited maze, fixed before the run; ``repeated`` and ``shifted``: the original
    measured: tables.Cells  # the cells that the model walked; -2 for a token that is no cell
    solved_before: tables.Flag  # without an edit the model takes the original path
    follows_edit: tables.Flag  # measured equals predicted
    keeps_original: tables.Flag  # measured equals original


@dataclass(frozen=True)
class ExampleRow:
    """One maze as it was spelled before any edit."""

    split: tables.Text
    kind: tables.Text
    example: tables.Int  # the ledger's number
    maze_id: tables.Int  # the maze from which it was made
    connections: tables.Bits
    origin: tables.Int
    target: tables.Int


LISTS = ("added", "removed", "original", "predicted", "measured")


class Ledger:
    """Columns of LedgerRow, collected batch by batch."""

    def __init__(self) -> None:
        self.flat: dict[str, list[np.ndarray]] = {}
        self.lists: dict[str, list[np.ndarray]] = {name: [] for name in LISTS}  # padded with -1
        self.examples: list[ExampleRow] = []

    def __len__(self) -> int:
        return sum(map(len, self.lists["measured"]))

    def add(
        self,
        labels: dict[str, object],
        examples: Examples,
        numbers: Int[np.ndarray, " maze"],
        cells: Int[np.ndarray, "maze step"],
        solved_before: Bool[np.ndarray, " maze"],
    ) -> None:
        """Append one condition's outcome for a batch of examples."""
        predicted = examples.mazes if labels["method"] in ("repeated", "shifted") else examples.edited
        columns = {name: np.full(len(examples), value) for name, value in labels.items()}
        columns |= {"example": numbers, "maze_id": examples.mazes.maze_id, "solved_before": solved_before}
        columns["follows_edit"] = judge(predicted, cells).solved
        columns["keeps_original"] = judge(examples.mazes, cells).solved
        for name, column in columns.items():
            self.flat.setdefault(name, []).append(column)
        lists = (examples.added, examples.removed, examples.mazes.path, predicted.path, cells)
        for name, column in zip(LISTS, lists, strict=True):
            self.lists[name].append(column)

    def add_examples(self, split: str, examples: Examples, first: int) -> None:
        """Append the examples themselves, numbered from ``first``."""
        mazes = examples.mazes
        for nth, columns in enumerate(zip(mazes.maze_id, mazes.connections, mazes.origin, mazes.target, strict=True)):
            maze_id, connections, origin, target = columns
            row = ExampleRow(split, examples.kind, first + nth, int(maze_id), connections.tolist(), int(origin), int(target))
            self.examples.append(row)

    def frame(self) -> pd.DataFrame:
        """All rows without their lists."""
        return pd.DataFrame({name: np.concatenate(parts) for name, parts in self.flat.items()})

    def write(self, folder: Path) -> None:
        """All rows as ``ledger.parquet``, and the examples as ``examples.parquet``."""
        columns = {name: np.concatenate(parts) for name, parts in self.flat.items()}
        lists = {name: tables.ragged(_padded(parts)) for name, parts in self.lists.items()}
        tables.write(folder / "ledger.parquet", LedgerRow, columns | lists)
        tables.write_rows(folder / "examples.parquet", ExampleRow, self.examples)


def _padded(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Rows of any width below each other, padded with -1."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1) for part in parts])


Asked = Sequence[tuple[str, Examples]]  # with the split that they are from


def n_steps(asked: Asked, sites: Sequence[Directions], params: InterventionParams) -> int:
    """How often ``run_interventions`` will call ``advance``."""
    total = 0
    for split, examples in asked:
        n_conditions = sum(len(conditions_of(examples.kind, examples.n_changed, split, site.is_main, params)) for site in sites)
        total += n_conditions * sum(1 for _ in _batches(examples.mazes, params.batch_size))
    return total


def run_interventions(
    model: Transformer, asked: Asked, sites: Sequence[Directions], params: InterventionParams, seed: int, advance: Callable[[], None]
) -> Ledger:
    """Every condition at every site on every example; calls ``advance`` after each condition of each batch."""
    ledger = Ledger()
    n_before: Counter[tuple[str, str]] = Counter()  # examples of one split and kind are numbered through
    for split, examples in asked:
        first = n_before[split, examples.kind]
        ledger.add_examples(split, examples, first)
        rng = np.random.default_rng([seed, first])
        for index in _batches(examples.mazes, params.batch_size):
            numbers = index + first
            part = examples[index]
            spelled = spell(part.mazes, rng)
            _run_batch(model, split, numbers, part, spelled, sites, params, seed, ledger, advance)
        n_before[split, examples.kind] += len(examples)
    return ledger


def _batches(mazes: Mazes, batch: int) -> Iterator[np.ndarray]:
    for group in mazes.by_n_connections().values():
        for start in range(0, len(group), batch):
            yield group[start : start + batch]


def _run_batch(
    model: Transformer,
    split: str,
    numbers: np.ndarray,
    part: Examples,
    spelled: Spelled,
    sites: Sequence[Directions],
    params: InterventionParams,
    seed: int,
    ledger: Ledger,
    advance: Callable[[], None],
) -> None:
    """Every condition at every site on one batch of equally long lists."""
    read = ReadLists(model, torch.from_numpy(spelled.lists).to(model.device), {site.site.layer for site in sites})
    [plain] = rollouts_behind(model, [read.prefix], questions_of(part.mazes))
    solved = judge(part.mazes, plain[:, 0]).solved
    wanted = [(site, each) for site in sites for each in conditions_of(part.kind, part.n_changed, split, site.is_main, params)]

    def draws() -> tuple[np.random.Generator, np.random.Generator]:
        """For positions and for what is random otherwise: the same for every method, so that methods differ in nothing else."""
        where, random = (np.random.default_rng([seed, int(numbers[0]), nth]) for nth in range(2))
        return where, random

    def prefixes() -> Iterator[Prefix]:
        """The lists as they are read under each edit."""
        for site, condition in wanted:
            if condition.method not in PROMPTS:
                where, random = draws()
                at = torch.from_numpy(positions(condition.where, part, spelled, site.site, where)).to(model.device)
                yield read.edited(_edit(condition, part, site, at, random))
                advance()

    edited = iter(rollouts_behind(model, prefixes(), questions_of(part.mazes, guess=part.edited.path)))
    prompted: dict[Method, tuple[np.ndarray, int]] = {}  # what does not depend on the site
    for site, condition in wanted:
        if condition.method not in PROMPTS:
            cells, n_spelled = next(edited)[:, 0], spelled.n_connections
        else:
            if condition.method not in prompted:
                prompted[condition.method] = walk_prompt(condition.method, model, part, spelled, draws()[1])
            cells, n_spelled = prompted[condition.method]
            advance()
        labels: dict[str, object] = {"split": split, "kind": part.kind, "site": str(site.site), "method": condition.method}
        labels |= {"where": condition.where, "n_latents": condition.n_latents, "dose": condition.dose}
        labels |= {"n_changed": part.n_changed, "n_spelled": n_spelled}
        ledger.add(labels, part, numbers, cells, solved)


def _edit(condition: Condition, examples: Examples, directions: Directions, at: torch.Tensor, rng: np.random.Generator) -> Edit:
    """A condition's delta, added at the given positions."""

    def push(here: torch.Tensor) -> torch.Tensor:
        return delta(condition, examples, directions, directions.sae.encode(here), rng)

    return add_at(directions.site.place, at, push)
