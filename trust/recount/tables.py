"""The tables of a run, read by pandas alone; and what a count of them hands on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from mazewm.io.errors import BadInput
from trust.recount.intervals import SHARE, Formula, Sums, interval, value_of

PERCENT, TWO, THREE = "percent", ".2f", ".3f"  # as README.md, docs/claims.md, the report print
COUNTS = ("n_hit", "n_affected", "n_spill", "n_unaffected")


class Counted(NamedTuple):
    """A figure that was counted, and where metrics/ has it."""

    figure: str
    value: float
    ends: tuple[float, float] | None
    at: tuple[str, ...]  # claims or metrics, and names below that
    form: str = PERCENT  # how documents print it
    control: str = ""  # counts only if the claim's control has this name


class Same(NamedTuple):
    """Something that is not a figure, such as a choice, and where metrics/ has it."""

    what: str
    found: object
    at: tuple[str, ...]


class Check(NamedTuple):
    """How many rows of a table are what they should be."""

    what: str
    right: int
    of: int


Found = Counted | Same | Check


@dataclass(frozen=True)
class Tables:
    """The tables of one run of a clone."""

    folder: Path
    run: str

    def read(self, room: str, name: str, columns: str) -> pd.DataFrame:
        """Columns, given by their names in one text, of a table of the run."""
        return _read(self.folder / "artifacts" / room / self.run / f"{name}.parquet", columns)

    def mazes(self, split: str) -> pd.DataFrame:
        """The mazes of a split, of the run's seed: connections and path, by number."""
        seed = self.run.rpartition("-")[2]
        path = self.folder / "artifacts" / "mazes" / seed / f"{split}.parquet"
        return _read(path, "maze_id connections path").set_index("maze_id")


def _read(path: Path, columns: str) -> pd.DataFrame:
    """BadInput if the file is missing, broken, empty, or without one of the columns."""
    try:
        with path.open("rb") as file:
            rows = pd.read_parquet(file, columns=columns.split())
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing; expected a table of the run.") from None
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise BadInput(f"{path}: not a table with columns {columns} ({reason}).") from None
    if rows.empty:
        raise BadInput(f"{path}: expected rows, found none.")
    return rows


def cluster(connections: Sequence[bool]) -> bytes:
    """The unit that a maze belongs to, its connection set (docs/science.md#units)."""
    return np.asarray(connections, bool).tobytes()


def sums(rows: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Sums of columns over the rows of every cluster, by cluster."""
    return rows.groupby("cluster")[list(columns)].sum()


def filled(total: pd.DataFrame) -> Sums:
    """Sums of which every second column is of how many, without clusters that have none of what is
    counted (docs/science.md#units)."""
    found = total.to_numpy(float)
    return found[(found[:, 1::2] > 0).any(axis=1)]


def counted(
    figure: str,
    total: pd.DataFrame,
    at: tuple[str, ...],
    formula: Formula = SHARE,
    form: str = PERCENT,
    control: str = "",
) -> Counted:
    """What a formula makes of sums over clusters, with the interval."""
    found = filled(total)
    return Counted(figure, value_of(found, formula), interval(found, formula), at, form, control)
