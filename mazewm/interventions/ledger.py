"""Run every condition on every example and record the predicted and the measured path.

The ledger has one row for each example under each condition; every rate can be computed from it
without the model. A second table, of the examples, holds the mazes before any edit, so that each
can be drawn.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Int

from mazewm.counterfactuals.examples import Examples
from mazewm.inference.behaviour import judge
from mazewm.inference.edits import Edit, add_at
from mazewm.inference.resuming import ReadLists
from mazewm.inference.rollout import questions_of, rollouts_behind
from mazewm.interventions.conditions import PROMPTS, Condition, Method, delta, positions
from mazewm.interventions.design import InterventionParams, conditions_of
from mazewm.interventions.directions import Directions
from mazewm.interventions.prompts import walk_prompt
from mazewm.io import tables
from mazewm.io.streams import stream
from mazewm.maze.tokens import Encoded, encode
from mazewm.model.reading import Prefix
from mazewm.model.transformer import Transformer


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
    # within a split and kind, the same number is the same example in every condition
    example: tables.Int
    maze_id: tables.Int
    added: tables.Cells  # numbers of connections
    removed: tables.Cells  # numbers of connections
    n_changed: tables.Int  # connections that are added, removed or moved
    n_spelled: tables.Int  # connections in the prompt; one encoded twice counts twice
    original: tables.Cells  # the shortest path of the maze as encoded
    # the shortest path of the edited maze, fixed before the run; for ``repeated`` and ``shifted``,
    # the original
    predicted: tables.Cells
    measured: tables.Cells  # the model's rollout; -2 for a token that is no cell
    solved_before: tables.Flag  # without an edit the rollout is the original path
    follows_edit: tables.Flag  # measured equals predicted
    keeps_original: tables.Flag  # measured equals original


@dataclass(frozen=True)
class ExampleRow:
    """The maze of one example, before any edit."""

    split: tables.Text
    kind: tables.Text
    example: tables.Int  # the ledger's number
    maze_id: tables.Int  # the maze from which it was made
    connections: tables.Bits
    origin: tables.Int
    target: tables.Int


LISTS = ("added", "removed", "original", "predicted", "measured")


class Ledger:
    """Rows of LedgerRow, collected by column and batch by batch, and the examples behind them."""

    def __init__(self) -> None:
        self.flat: dict[str, list[np.ndarray]] = {}
        self.lists: dict[str, list[np.ndarray]] = {name: [] for name in LISTS}  # padded with -1
        self.examples: list[ExampleRow] = []

    def __len__(self) -> int:
        return sum(map(len, self.lists["measured"]))

    def add(
        self, part: "Part", outcome: "Outcome", solved_before: Bool[np.ndarray, " maze"]
    ) -> None:
        """Append the results of some examples under one condition."""
        condition, examples, cells = outcome.condition, part.examples, outcome.cells
        predicted = (
            examples.mazes if condition.method in ("repeated", "shifted") else examples.edited
        )
        of_all = {
            "split": part.split,
            "kind": examples.kind,
            "site": str(outcome.site.site),
            "method": condition.method,
            "where": condition.where,
            "n_latents": condition.n_latents,
            "dose": condition.dose,
            "n_changed": examples.n_changed,
            "n_spelled": outcome.n_spelled,
        }
        columns = {name: np.full(len(examples), value) for name, value in of_all.items()}
        columns |= {
            "example": part.numbers,
            "maze_id": examples.mazes.maze_id,
            "solved_before": solved_before,
            "follows_edit": judge(predicted, cells).solved,
            "keeps_original": judge(examples.mazes, cells).solved,
        }
        for name, column in columns.items():
            self.flat.setdefault(name, []).append(column)
        lists = (examples.added, examples.removed, examples.mazes.path, predicted.path, cells)
        for name, column in zip(LISTS, lists, strict=True):
            self.lists[name].append(column)

    def add_examples(self, split: str, examples: Examples, first: int) -> None:
        """Append the examples themselves, numbered from ``first``."""
        mazes = examples.mazes
        for nth, columns in enumerate(
            zip(mazes.maze_id, mazes.connections, mazes.origin, mazes.target, strict=True)
        ):
            maze_id, connections, origin, target = columns
            row = ExampleRow(
                split=split,
                kind=examples.kind,
                example=first + nth,
                maze_id=int(maze_id),
                connections=connections.tolist(),
                origin=int(origin),
                target=int(target),
            )
            self.examples.append(row)

    def frame(self) -> pd.DataFrame:
        """All rows, without the columns that hold lists (``LISTS``)."""
        return pd.DataFrame({name: np.concatenate(parts) for name, parts in self.flat.items()})

    def write(self, folder: Path) -> None:
        """Write the rows to ``ledger.parquet`` and the examples to ``examples.parquet``."""
        columns = {name: np.concatenate(parts) for name, parts in self.flat.items()}
        lists = {name: tables.ragged(_padded(parts)) for name, parts in self.lists.items()}
        tables.write(folder / "ledger.parquet", LedgerRow, columns | lists)
        tables.write_rows(folder / "examples.parquet", ExampleRow, self.examples)


def _padded(parts: Sequence[np.ndarray]) -> np.ndarray:
    """The rows of all parts, padded with -1 to one width."""
    width = max(part.shape[1] for part in parts)
    return np.concatenate(
        [np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=-1) for part in parts]
    )


Asked = Sequence[tuple[str, Examples]]  # each with the split that it is from


def n_steps(asked: Asked, sites: Sequence[Directions], params: InterventionParams) -> int:
    """How often ``run_interventions`` will call ``advance``."""
    total = 0
    for split, examples in asked:
        n_batches = sum(1 for _ in examples.mazes.batches(params.batch_size))
        total += n_batches * len(wanted_at(sites, examples, split, params))
    return total


def wanted_at(
    sites: Sequence[Directions], examples: Examples, split: str, params: InterventionParams
) -> list[tuple[Directions, Condition]]:
    """Every condition that applies to some examples, with its site."""
    return [
        (s, c)
        for s in sites
        for c in conditions_of(examples.kind, examples.n_changed, split, s.is_main, params)
    ]


def run_interventions(
    model: Transformer,
    asked: Asked,
    sites: Sequence[Directions],
    params: InterventionParams,
    seed: int,
    advance: Callable[[], None],
) -> Ledger:
    """Run every condition at every site on every example; calls ``advance`` after each condition of
    each batch."""
    ledger = Ledger()
    # examples of one split and kind are numbered consecutively
    n_before: Counter[tuple[str, str]] = Counter()
    for split, examples in asked:
        first = n_before[split, examples.kind]
        ledger.add_examples(split, examples, first)
        rng = stream("interventions: encoding", seed, first)
        wanted = wanted_at(sites, examples, split, params)
        for index in examples.mazes.batches(params.batch_size):
            part = Part(split, index + first, examples[index])
            encoded = encode(part.examples.mazes, rng)
            lists = ReadLists.of(model, encoded.lists, {site.site.layer for site in sites})
            batch = _Batch(part, encoded, lists, seed)
            for outcome in batch.outcomes(wanted, advance):
                ledger.add(part, outcome, batch.solved)
        n_before[split, examples.kind] += len(examples)
    return ledger


class Part(NamedTuple):
    """Some examples of one split, with their numbers in the ledger."""

    split: str
    numbers: Int[np.ndarray, " maze"]
    examples: Examples


class Outcome(NamedTuple):
    """The rollouts of a batch under one condition."""

    site: Directions
    condition: Condition
    cells: Int[np.ndarray, "maze step"]
    n_spelled: int  # connections in the prompt; one encoded twice counts twice


class _Batch:
    """Examples whose adjacency lists, all of one length, the model has read once."""

    def __init__(self, part: Part, encoded: Encoded, lists: ReadLists, seed: int) -> None:
        self.model, self.part, self.encoded, self.lists, self.seed = (
            lists.model,
            part,
            encoded,
            lists,
            seed,
        )
        [plain] = rollouts_behind(lists.model, [lists.prefix], questions_of(part.examples.mazes))
        self.solved = judge(part.examples.mazes, plain[:, 0]).solved

    def outcomes(
        self, wanted: Sequence[tuple[Directions, Condition]], advance: Callable[[], None]
    ) -> Iterator[Outcome]:
        """An outcome for each condition, in order. The rollouts of all edits are run together; a
        changed prompt does not depend on the site and is run once."""
        edits = [(site, condition) for site, condition in wanted if condition.method not in PROMPTS]
        guesses = questions_of(self.part.examples.mazes, guess=self.part.examples.edited.path)
        edited = iter(rollouts_behind(self.model, self._prefixes(edits, advance), guesses))
        prompted: dict[Method, tuple[np.ndarray, int]] = {}
        for site, condition in wanted:
            if condition.method not in PROMPTS:
                yield Outcome(site, condition, next(edited)[:, 0], self.encoded.n_connections)
                continue
            if condition.method not in prompted:
                changed = walk_prompt(
                    condition.method,
                    self.model,
                    self.part.examples,
                    self.encoded,
                    self._rng("values"),
                )
                prompted[condition.method] = changed
            advance()
            yield Outcome(site, condition, *prompted[condition.method])

    def _prefixes(
        self, wanted: Sequence[tuple[Directions, Condition]], advance: Callable[[], None]
    ) -> Iterator[Prefix]:
        """The key-value cache of the adjacency lists under each edit."""
        for site, condition in wanted:
            examples = self.part.examples
            at = positions(
                condition.where,
                examples,
                self.encoded,
                site.site,
                self._rng("positions"),
            )
            edit = _edit(
                condition,
                examples,
                site,
                torch.from_numpy(at).to(self.model.device),
                self._rng("values"),
            )
            yield self.lists.edited(edit)
            advance()

    def _rng(self, name: str) -> np.random.Generator:
        """A new random generator for one use (positions, or values), the same for every method, so
        that methods are compared at the same positions."""
        return stream(f"interventions: {name}", self.seed, int(self.part.numbers[0]))


def _edit(
    condition: Condition,
    examples: Examples,
    directions: Directions,
    at: torch.Tensor,
    rng: np.random.Generator,
) -> Edit:
    """The edit that adds a condition's delta at the given positions."""

    def push(resid: torch.Tensor) -> torch.Tensor:
        return delta(condition, examples, directions, directions.sae.encode(resid), rng)

    return add_at(directions.site.place, at, push)
