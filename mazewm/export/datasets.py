"""Mazes as a ``MazeDataset`` of maze-dataset, which writes the file itself (a .zanj archive: JSON
and arrays, no pickle). That library must be installed: ``make env-peers``.

What becomes what:

* A connection of two cells of one column is in the first half of ``connection_list``, at its upper
  cell; one of two cells of a row in the second half, at its left cell.
* ``solution`` is our shortest path, and its ends are the origin and the target.
* Every maze lies on the vocabulary lattice, so cells without a connection stay.
* ``generation_metadata_collected`` has the family and the ``maze_id`` of every maze, in order.
* The configuration must name one of maze-dataset's generators, and none of them drew these mazes.
  So it names a filter that maze-dataset does not know: asked to make the mazes anew, it stops with
  an error, and does not hand out others.
"""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from mazewm.export.outputs import made_at
from mazewm.io.errors import BadInput
from mazewm.maze.lattice import Lattice
from mazewm.maze.mazes import Mazes

SUFFIX = ".zanj"
MAX_SIZE = 128  # maze-dataset stores the rows and columns of a path as 8-bit integers


def connection_lists(
    grid: Lattice, connections: Bool[np.ndarray, "maze connection"]
) -> Bool[np.ndarray, "maze 2 row col"]:
    """maze-dataset's ``connection_list`` of every maze: whether a cell is connected to the one
    below it (first half), and to the one on its right (second half)."""
    lists = np.zeros((len(connections), 2, grid.n, grid.n), bool)
    first, second = grid.ends.T
    half = np.where(second - first == grid.n, 0, 1)
    lists[:, half, first // grid.n, first % grid.n] = connections
    return lists


def solved_mazes(mazes: Mazes) -> list[Any]:
    """A ``SolvedMaze`` for each maze. BadInput for a lattice that is too large for maze-dataset."""
    from maze_dataset import SolvedMaze

    n = mazes.grid.n
    if n > MAX_SIZE:
        raise BadInput(
            f"mazes: expected a lattice of at most {MAX_SIZE}x{MAX_SIZE}, which is as large as "
            f"maze-dataset stores, found {n}x{n}."
        )
    paths = np.stack(np.divmod(mazes.path, n), axis=-1).astype(np.int8)
    lists = connection_lists(mazes.grid, mazes.connections)
    rows = zip(lists, paths, mazes.path_length, strict=True)
    return [SolvedMaze(one, path[:length]) for one, path, length in rows]


def maze_dataset_of(mazes: Mazes, name: str) -> Any:
    """The mazes as a ``MazeDataset``. ``name`` is what its configuration calls them. BadInput if
    maze-dataset is missing, or the lattice too large for it."""
    try:
        from maze_dataset import MazeDataset, MazeDatasetConfig
    except ImportError as error:
        raise BadInput(
            f"maze-dataset: not installed, or does not import ({error}); make env-peers installs "
            "it."
        ) from None
    solved = solved_mazes(mazes)
    config = MazeDatasetConfig(
        name=name,
        grid_n=mazes.grid.n,
        n_mazes=len(solved),
        applied_filters=[{"name": "__custom__:mazewm", "args": (), "kwargs": {}}],
    )
    about = {"family": mazes.family.tolist(), "maze_id": mazes.maze_id.tolist()}
    return MazeDataset(config, solved, generation_metadata_collected=about)


def export_mazes(mazes: Mazes, name: str, file: Path) -> None:
    """Write a new file for ``MazeDataset.read``. BadInput if its name does not end with .zanj, if
    it is there already, if maze-dataset is missing, or the lattice too large for it."""
    if file.suffix != SUFFIX:
        raise BadInput(f"{file}: expected the name of a file that ends with {SUFFIX}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the library, about its own deprecations
        made = maze_dataset_of(mazes, name)
        from zanj import ZANJ

        with made_at(file) as beside:
            # longer lists would go to files of their own, and come back as references to these
            made.save(os.fspath(beside), zanj=ZANJ(external_list_threshold=len(mazes) + 1))
