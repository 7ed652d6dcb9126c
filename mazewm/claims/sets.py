"""Which mazes share a connection set. They are not independent draws, so they count together in
intervals (docs/science.md#of-shares-of-mazes).
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from mazewm.io.errors import BadInput
from mazewm.maze.mazes import Mazes


def with_connection_sets(rows: pd.DataFrame, held_out: Mapping[str, Mazes]) -> pd.DataFrame:
    """``rows``, which have the columns split and maze_id, with another one, ``connection_set``: a
    number that mazes of a split with equal connections share.

    BadInput if a row's maze is not among ``held_out``."""
    numbered = []
    for split, mazes in held_out.items():
        _, which = np.unique(mazes.connections, axis=0, return_inverse=True)
        numbered.append(
            pd.DataFrame(
                {"split": split, "maze_id": mazes.maze_id, "connection_set": which.ravel()}
            )
        )
    found = rows.merge(pd.concat(numbered), on=["split", "maze_id"], how="left")
    if found.connection_set.isna().any():
        lost = found[found.connection_set.isna()].iloc[0]
        raise BadInput(
            f"maze {lost.maze_id} of the split {lost.split!r} is not among the mazes; expected "
            "tables made from these mazes."
        )
    return found.astype({"connection_set": int})
