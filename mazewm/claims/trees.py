"""Decision trees of the feature map: how deep, and how many latents it takes."""

import pandas as pd

NEAR_BEST = 0.01  # of balanced accuracy


def latents_per_connection(rows: pd.DataFrame) -> pd.Series:
    """The fewest units that come within NEAR_BEST of the best tree, by connection (rows of one site
    and readout)."""
    best = rows.groupby("connection").balanced_accuracy.transform("max")
    near = rows[rows.balanced_accuracy >= best - NEAR_BEST]
    return near.assign(n_units=near.units.map(len)).groupby("connection").n_units.min()


def deepest_trees(rows: pd.DataFrame) -> pd.DataFrame:
    """Of each site's readouts and connections only the deepest tree: depth is not chosen by how
    well it does on test mazes."""
    return rows[
        rows.depth == rows.groupby(["site", "readout", "connection"]).depth.transform("max")
    ]
