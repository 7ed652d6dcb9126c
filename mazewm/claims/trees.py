"""Which decision trees of the feature map are reported, and how many latents a connection needs."""

import pandas as pd

NEAR_BEST = 0.01  # of balanced accuracy


def latents_per_connection(rows: pd.DataFrame) -> pd.Series:
    """The fewest units of a tree within NEAR_BEST of the best tree, by connection; ``rows`` are of
    one site and readout (docs/science.md#latents-per-connection).

    >>> trees = {"connection": 0, "balanced_accuracy": [0.9, 0.905], "units": [[7], [7, 8]]}
    >>> latents_per_connection(pd.DataFrame(trees)).to_dict()
    {0: 1}
    """
    best = rows.groupby("connection").balanced_accuracy.transform("max")
    near = rows[rows.balanced_accuracy >= best - NEAR_BEST]
    return near.assign(n_units=near.units.map(len)).groupby("connection").n_units.min()


def deepest_trees(rows: pd.DataFrame) -> pd.DataFrame:
    """The deepest tree of each site, readout and connection; depth is not chosen by how well a tree
    does on test mazes."""
    return rows[
        rows.depth == rows.groupby(["site", "readout", "connection"]).depth.transform("max")
    ]
