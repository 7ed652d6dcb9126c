"""What linear readers of the maze alone tell of a fact (docs/science.md#input-baselines): the
controls of probes of a model, which depend on no model.

``input`` reads the connections, origin and target as bits, for what is linear in the input;
``input_pairs`` these bits and the products of connection and target, connection and origin, and
origin and target, for what a single lookup of the input from the origin or from the target could
give. The latter has thousands of inputs and goes on improving with the mazes that it is fitted on,
so it is fitted on many more than probes of a model, and is a lower bound of what it can tell.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from mazewm.io.progress import progress
from mazewm.maze import mazes
from mazewm.maze.mazes import Mazes
from mazewm.planning.errors import Held, Readout, check_apart
from mazewm.planning.facts import facts, steps
from mazewm.planning.fitting import fit
from mazewm.planning.params import PlanningParams

NO_DEPTH, NO_TOKEN = -1, "none"


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


def read_inputs(artifacts: Path, params: PlanningParams) -> pd.DataFrame:
    """Fit both readers on training mazes, and score them on validation and test mazes, which all
    runs share; rows of ProbeRow. BadInput if a held-out split shares a connection set with
    training."""
    folder, parts = artifacts / "mazes", list[pd.DataFrame]()
    train = mazes.read(folder / "train.parquet")[: params.n_input_mazes]
    held_out = {}
    for split in ("validation", "test"):
        some = mazes.read(folder / f"{split}.parquet")[: params.n_held_out_mazes]
        check_apart(train, some)
        held_out[split] = Held(split, some)
    known = facts(train) | steps(train)
    readers = {"input": bits, "input_pairs": pairs}
    fits = progress("readers of the maze alone", len(readers) * len(known))
    for readout, explicit in readers.items():
        fitted = explicit(train)
        x = {split: explicit(each.mazes) for split, each in held_out.items()}
        for name, fact in known.items():
            probe = fit(fitted, fact, params.penalties)
            at = Readout(name, NO_TOKEN, NO_DEPTH, readout)
            for split, each in held_out.items():
                rows = each.rows(x[split], name, probe)
                parts.append(rows.assign(split=split, **at._asdict()))
            fits.advance()
    return pd.concat(parts, ignore_index=True)
