"""The tables of interventions: one row for each pair of mazes under each condition, with counts;
one row for each pair; one for each question under the reported settings; and the units that were
written. Every figure can be
computed from them without the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Bool

from mazewm.inference.posed import Compared
from mazewm.inference.trials import Counts, Trial
from mazewm.interventions.directions import Directions
from mazewm.interventions.edits import Writer
from mazewm.interventions.labels import Label
from mazewm.io import tables


@dataclass(frozen=True)
class LedgerRow:
    """One pair of mazes under one condition. The counts are those of
    ``mazewm.inference.trials.Counts``."""

    split: tables.Text
    kind: tables.Text  # add, remove, move, corridor or single
    k: tables.Int  # connections that are added at once; for remove 1
    n_connections: tables.Int  # in the prompt before the edit
    pair: tables.Int  # of one split, kind and k
    maze_id: tables.Int
    connection: tables.Int  # the edited one of twins (the removed one, where one is); else -1
    method: tables.Text
    n_units: tables.Int
    place: tables.Text
    tokens: tables.Text
    dose: tables.Real
    length: tables.Real  # of what is added to an edited token, mean over tokens of the batch
    n_affected: tables.Int
    n_hit: tables.Int
    n_affected_first: tables.Int
    n_hit_first: tables.Int
    n_affected_telling: tables.Int
    n_hit_telling: tables.Int
    n_unaffected: tables.Int
    n_spill: tables.Int
    n_crossings: tables.Int
    n_edited: tables.Int
    n_edited_believed: tables.Int
    n_others: tables.Int
    n_others_changed: tables.Int
    n_others_open: tables.Int
    n_others_kept: tables.Int
    n_others_false: tables.Int


@dataclass(frozen=True)
class PairRow:
    """One pair of mazes, and what walkers without a map would do about its questions."""

    split: tables.Text
    kind: tables.Text
    k: tables.Int
    pair: tables.Int
    maze_id: tables.Int
    connections: tables.Bits  # before the edit
    added: tables.Cells  # numbers of connections
    removed: tables.Cells
    end: tables.Int  # the end of a corridor; -1: all questions are asked
    n_questions: tables.Int
    n_unique: tables.Int  # with one shortest path before and one after
    n_solved: tables.Int  # of these: solved before the edit
    n_told: tables.Int  # of these: solved with the edited maze in the prompt
    n_affected: tables.Int  # that count
    blind: tables.Real  # of these: how many the blind walker answers as predicted, on average
    near: tables.Real  # the near-sighted walker, who sees the walls of the edited maze
    n_unaffected: tables.Int  # that count
    blind_spill: tables.Real  # of these: of how many the blind walker does not take the path
    near_spill: tables.Real


@dataclass(frozen=True)
class EditedRow:
    """The answer to one question about a pair under one reported setting; the question counts, or
    is about the belief in a connection."""

    kind: tables.Text
    k: tables.Int
    pair: tables.Int
    method: tables.Text
    n_units: tables.Int
    place: tables.Text
    tokens: tables.Text
    dose: tables.Real
    origin: tables.Int
    target: tables.Int
    counts: tables.Flag  # for hit and spill under this setting
    is_affected: tables.Flag  # the shortest path differs
    is_first: tables.Flag  # from the first step on
    is_telling: tables.Flag
    agrees: tables.Flag  # with the path that was predicted
    n_right: tables.Int  # cells before the first other token
    instead: tables.Int  # that token's cell; -1 for the end of the path or none
    belief: tables.Real  # probability that the target follows the origin
    is_straight: tables.Flag  # whether nothing is likelier to


@dataclass(frozen=True)
class UnitRow:
    """One of the units that stand for a connection (``mazewm.interventions.directions``)."""

    site: tables.Text  # where they were chosen
    method: tables.Text
    connection: tables.Int
    rank: tables.Int  # 0 is the best
    unit: tables.Int
    correlation: tables.Real  # on validation mazes
    mean_on: tables.Real  # activation where the connection is encoded, on training mazes


@dataclass(frozen=True)
class Batch:
    """Some pairs of a group that are put to a model, their numbers, and what edits them."""

    split: str
    k: int
    numbers: np.ndarray
    trial: Trial
    writer: Writer


class Ledger:
    """Rows collected batch by batch."""

    def __init__(self) -> None:
        self.counts: list[pd.DataFrame] = []
        self.pairs: list[pd.DataFrame] = []
        self.answers: list[pd.DataFrame] = []
        self.units: list[pd.DataFrame] = []

    def __len__(self) -> int:
        return sum(map(len, self.counts))

    def add_units(self, known: Directions) -> None:
        """Append the units of all dictionaries at one location."""
        for method, one in known.dictionaries.items():
            connection, rank = np.indices(one.units.ids.shape)
            columns = {
                "connection": connection,
                "rank": rank,
                "unit": one.units.ids,
                "correlation": one.units.correlation,
                "mean_on": one.mean_on,
            }
            flat = {name: np.asarray(values).ravel() for name, values in columns.items()}
            self.units.append(pd.DataFrame({"site": str(known.source), "method": method, **flat}))

    def add_pairs(self, batch: Batch) -> None:
        """Append the pairs of a batch."""
        trial = batch.trial
        pairs, paths = trial.pairs, trial.paths
        affected, unaffected = trial.counts & paths.differs, trial.counts & ~paths.differs
        (blind, blind_spill), (near, near_spill) = map(trial.by_walking, trial.chances)
        columns = {
            **_of_pairs(batch),
            "connections": list(pairs.before),
            "added": list(pairs.added),
            "removed": list(pairs.removed),
            "end": pairs.end,
            "n_questions": trial.is_posed.sum(axis=1),
            "n_unique": paths.is_unique.sum(axis=1),
            "n_solved": (paths.is_unique & trial.solved).sum(axis=1),
            "n_told": (paths.is_unique & trial.told.agrees).sum(axis=1),
            "n_affected": affected.sum(axis=1),
            "blind": blind,
            "near": near,
            "n_unaffected": unaffected.sum(axis=1),
            "blind_spill": blind_spill,
            "near_spill": near_spill,
        }
        self.pairs.append(pd.DataFrame(columns))

    def add(self, batch: Batch, label: Label, counts: Counts, length: float) -> None:
        """Append what happened to a batch of pairs under one condition."""
        pairs = batch.trial.pairs
        edited = pairs.removed if pairs.removed.shape[1] else pairs.added
        columns = {
            **_of_pairs(batch),
            "n_connections": batch.trial.lists.n_connections,
            "connection": edited[:, 0] if edited.shape[1] == 1 else -1,
            **vars(label),
            "length": length,
            **vars(counts),
        }
        self.counts.append(pd.DataFrame(columns))

    def add_answers(
        self,
        batch: Batch,
        label: Label,
        answers: Compared,
        counts: Bool[np.ndarray, "maze question"],
    ) -> None:
        """Append the answers of a batch under one condition to the questions that count, and to
        those between adjacent cells."""
        trial = batch.trial
        paths, is_kept = trial.paths, counts | trial.is_adjacent
        of_questions = {
            "origin": paths.origin,
            "target": paths.target,
            "counts": counts,
            "is_affected": paths.differs,
            "is_first": trial.is_first,
            "is_telling": trial.is_telling,
            "agrees": answers.agrees,
            "n_right": answers.n_right,
            "instead": answers.instead,
            "belief": answers.straight,
            "is_straight": answers.is_straight,
        }
        flat = {name: values[is_kept] for name, values in of_questions.items()}
        pair = np.repeat(batch.numbers, is_kept.sum(axis=1))
        of_all = {"kind": trial.pairs.kind, "k": batch.k, "pair": pair, **vars(label)}
        self.answers.append(pd.DataFrame(of_all | flat))

    def frame(self) -> pd.DataFrame:
        """All rows of counts."""
        return pd.concat(self.counts, ignore_index=True)

    def write(self, folder: Path) -> None:
        """Write ``ledger``, ``pairs``, ``edited`` and ``units``, each as parquet."""
        parts = {
            "ledger": (LedgerRow, self.counts),
            "pairs": (PairRow, self.pairs),
            "edited": (EditedRow, self.answers),
            "units": (UnitRow, self.units),
        }
        for name, (row_type, some) in parts.items():
            _write(folder / f"{name}.parquet", row_type, some)


def _write(path: Path, row_type: type, parts: Sequence[pd.DataFrame]) -> None:
    joined = pd.concat(parts, ignore_index=True)
    tables.write(path, row_type, {str(name): values for name, values in joined.items()})


def _of_pairs(batch: Batch) -> dict[str, object]:
    pairs = batch.trial.pairs
    return {
        "split": batch.split,
        "kind": pairs.kind,
        "k": batch.k,
        "pair": batch.numbers,
        "maze_id": pairs.maze_id,
    }
