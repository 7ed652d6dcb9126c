"""What readers of the maze alone tell of a fact (docs/science.md#input-baselines): the controls of
probes of a model, which depend on no model.

``input`` reads the connections, origin and target as bits, for what is linear in the input;
``input_pairs`` these bits and the products of connection and target, connection and origin, and
origin and target, for what a single lookup of the input from the origin or from the target could
give. The latter has thousands of inputs and goes on improving with the mazes that it is fitted on,
so it is fitted on many more than probes of a model, and is a lower bound of what it can tell.

Whether two cells are connected is told by ``mentions`` and ``mentions_boosted`` from how often the
list mentions each cell: a linear reader, and boosted trees (module ``mentions``).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from mazewm.io.progress import progress
from mazewm.maze import mazes
from mazewm.maze.mazes import Mazes
from mazewm.planning.errors import Held, ProbeRow, Readout, check_apart, write_rows
from mazewm.planning.facts import Fact, unstated
from mazewm.planning.fitting import Readable, Reader, fit
from mazewm.planning.mentions import BOOSTED, MENTIONS, Boosted, mentions, one_hot
from mazewm.planning.params import PlanningParams
from mazewm.planning.whole import connected

NO_DEPTH, NO_TOKEN = -1, "none"

# What a reader reads of mazes, and how it is fitted to that and a fact.
_HowToRead: TypeAlias = tuple[Callable[[Mazes], Any], Callable[[Any, Fact], Reader]]


def bits(mazes: Mazes) -> Float[np.ndarray, "maze bit"]:
    """The maze itself as ones and zeros: its connections, then origin and target, one-hot."""
    one_hot = np.eye(mazes.grid.n_cells, dtype=np.float32)
    return np.concatenate(
        [mazes.connections, one_hot[mazes.origin], one_hot[mazes.target]], axis=1, dtype=np.float32
    )


def pairs(mazes: Mazes) -> sparse.csr_array:
    """The bits, and the products of each connection and target, of each connection and origin, and
    of each origin and target; ``[maze, pair]``, sparse."""
    n_cells, n_connections, n_mazes = mazes.grid.n_cells, mazes.grid.n_connections, len(mazes)
    maze, connection = np.nonzero(mazes.connections)
    every, ends = np.arange(n_mazes), (mazes.origin, mazes.target)
    parts, first = [(maze, connection)], n_connections
    for end in ends:
        parts.append((every, first + end))
        first += n_cells
    for end in ends:
        parts.append((maze, first + connection * n_cells + end[maze]))
        first += n_connections * n_cells
    parts.append((every, first + mazes.origin * n_cells + mazes.target))
    rows, columns = (np.concatenate(each) for each in zip(*parts, strict=True))
    shape = (n_mazes, first + n_cells**2)
    return sparse.csr_array((np.ones(len(rows), np.float32), (rows, columns)), shape=shape)


class Inputs(NamedTuple):
    """The errors of readers of the maze alone, as rows of ProbeRow."""

    probes: pd.DataFrame  # of facts that no single token states
    whole: pd.DataFrame  # of which cells are connected

    def write(self, folder: Path) -> None:
        """Write each table to a file of its name."""
        for name, rows in self._asdict().items():
            write_rows(folder / f"{name}.parquet", ProbeRow, rows)


def read_inputs(folder: Path, params: PlanningParams) -> Inputs:
    """Fit all readers on the training mazes of a folder, and score them on its validation and test
    mazes. BadInput if a held-out split shares a connection set with training."""
    train = mazes.read(folder / "train.parquet")[: params.n_input_mazes]
    held_out = {}
    for split in ("validation", "test"):
        held_out[split] = mazes.read(folder / f"{split}.parquet")[: params.n_held_out_mazes]
        check_apart(train, held_out[split])
    study = _Study(train, held_out)

    def linear(x: Readable, fact: Fact) -> Reader:
        return fit(x, fact, params.penalties)

    return Inputs(
        probes=study.read(unstated, {"input": (bits, linear), "input_pairs": (pairs, linear)}),
        whole=study.read(connected, {MENTIONS: (one_hot, linear), BOOSTED: (mentions, Boosted.of)}),
    )


class _Study(NamedTuple):
    """The mazes on which readers are fitted, and by split those on which they are scored."""

    train: Mazes
    held_out: Mapping[str, Mazes]

    def read(
        self, facts_of: Callable[[Mazes], dict[str, Fact]], readers: Mapping[str, _HowToRead]
    ) -> pd.DataFrame:
        """Fit and score readers of some facts, each given by what it reads and how it is fitted."""
        known, parts = facts_of(self.train), list[pd.DataFrame]()
        held = {split: Held(split, some, facts_of(some)) for split, some in self.held_out.items()}
        fits = progress("readers of the maze alone", len(readers) * len(known), share=0.5)
        for readout, (x_of, fit_to) in readers.items():
            fitted, x = x_of(self.train), {name: x_of(some) for name, some in self.held_out.items()}
            for name, fact in known.items():
                reader, at = fit_to(fitted, fact), Readout(name, NO_TOKEN, NO_DEPTH, readout)
                parts += [each.rows(at, x[split], reader) for split, each in held.items()]
                fits.advance()
        return pd.concat(parts, ignore_index=True)
