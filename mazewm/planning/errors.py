"""The errors of probes on held-out mazes, by connection set (docs/science.md#fact-probes)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mazewm.choosing import CHOOSING
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.maze.mazes import Mazes
from mazewm.planning.facts import Fact
from mazewm.planning.fitting import Reader, errors

# the folder of what readers of the maze alone tell, which all runs share
INPUTS = "inputs"


@dataclass(frozen=True)
class ProbeRow:
    """The errors of one readout on the mazes of one connection set; on validation mazes, which only
    serve a choice, on all together."""

    split: tables.Text
    fact: tables.Text
    token: tables.Text  # one of FRAME or LAST; none for readers of the maze alone
    depth: tables.Int  # blocks passed; 0 is the embedding, -1 the maze itself
    readout: tables.Text
    maze_id: tables.Int  # the first of these mazes
    n: tables.Int  # units of these mazes that count
    sse: tables.Real  # sum of squared errors
    sst: tables.Real  # the same of each unit's mean among the mazes for fitting


class Readout(NamedTuple):
    """What a probe predicts, and from what (the columns of ProbeRow)."""

    fact: str
    token: str
    depth: int
    readout: str


def check_apart(fit: Mazes, test: Mazes) -> None:
    """BadInput if some connection set is in both batches."""
    shared = {row.tobytes() for row in fit.connections} & {
        row.tobytes() for row in test.connections
    }
    if shared:
        raise BadInput(
            "mazes: expected no connection set both where probes are fitted and where they are "
            f"measured, found {len(shared)}."
        )


class Held:
    """The held-out mazes of one split, and which of them count together."""

    def __init__(self, split: str, mazes: Mazes, facts: Mapping[str, Fact]) -> None:
        self.split, self.facts = split, facts
        if split == CHOOSING:
            first, self.group = np.zeros(1, int), np.zeros(len(mazes), int)
        else:
            _, first, group = np.unique(
                mazes.connections, axis=0, return_index=True, return_inverse=True
            )
            self.group = group.ravel()
        self.maze_id = mazes.maze_id[first]

    def rows(self, at: Readout, x: Any, reader: Reader) -> pd.DataFrame:
        """The errors of a reader on each group of mazes in which something counts, from what it
        reads, a row for each maze; rows of ProbeRow."""
        found = errors(x, self.facts[at.fact], reader)
        columns = {
            name: np.bincount(self.group, weights=values, minlength=len(self.maze_id))
            for name, values in found._asdict().items()
        }
        rows = pd.DataFrame({"maze_id": self.maze_id} | columns)
        return rows[rows.n > 0].assign(split=self.split, **at._asdict())


def write_rows(path: Path, row_type: type, rows: pd.DataFrame) -> None:
    """Write a data frame as rows of ``row_type`` to a parquet file."""
    names = tables.schema_of(row_type).names
    tables.write(path, row_type, {name: rows[name].to_numpy() for name in names})
