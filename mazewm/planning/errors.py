"""The errors of probes on held-out mazes, by connection set (docs/science.md#fact-probes)."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mazewm.choosing import CHOOSING
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.maze.mazes import Mazes
from mazewm.planning.facts import facts, steps
from mazewm.planning.fitting import Probe, Readable, errors

# the folder of what readers of the maze alone tell, which all runs share
INPUTS = "inputs"


@dataclass(frozen=True)
class ProbeRow:
    """The errors of one readout on the mazes of one connection set; on validation mazes, which only
    serve a choice, on all together."""

    split: tables.Text
    fact: tables.Text
    token: tables.Text  # one of TOKENS; none for the input's bits
    depth: tables.Int  # blocks passed; 0 is the embedding, -1 the input's bits
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

    def __init__(self, name: str, mazes: Mazes) -> None:
        self.mazes, self.facts = mazes, facts(mazes) | steps(mazes)
        if name == CHOOSING:
            first, self.group = np.zeros(1, int), np.zeros(len(mazes), int)
        else:
            _, first, group = np.unique(
                mazes.connections, axis=0, return_index=True, return_inverse=True
            )
            self.group = group.ravel()
        self.maze_id = mazes.maze_id[first]

    def rows(self, x: Readable, fact: str, probe: Probe) -> pd.DataFrame:
        """The errors on each group of mazes in which something counts."""
        found = errors(x, self.facts[fact], probe)
        columns = {
            name: np.bincount(self.group, weights=values, minlength=len(self.maze_id))
            for name, values in found._asdict().items()
        }
        rows = pd.DataFrame({"maze_id": self.maze_id} | columns)
        return rows[rows.n > 0]


def write_rows(path: Path, row_type: type, rows: pd.DataFrame) -> None:
    """Write a data frame as rows of ``row_type`` to a parquet file."""
    names = tables.schema_of(row_type).names
    tables.write(path, row_type, {name: rows[name].to_numpy() for name in names})
