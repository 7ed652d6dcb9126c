"""Which decision trees of the feature map are reported, and how many latents a connection needs."""

import pandas as pd

NEAR_BEST = 0.01  # of the MCC
DETECTED = 0.7  # the MCC from which on a connection is said to be detected


def latents_per_connection(rows: pd.DataFrame) -> pd.Series:
    """The fewest units of a tree whose MCC on validation mazes is within NEAR_BEST of the best
    tree's, by connection, of those that are detected; ``rows`` are of one site and readout
    (docs/science.md#latents-per-connection).

    >>> trees = {"connection": 0, "mcc_chosen": [0.9, 0.905], "units": [[7], [7, 8]]}
    >>> latents_per_connection(pd.DataFrame(trees)).to_dict()
    {0: 1}
    """
    best = rows.groupby("connection").mcc_chosen.transform("max")
    near = rows[(rows.mcc_chosen >= best - NEAR_BEST) & (best >= DETECTED)]
    return near.assign(n_units=near.units.map(len)).groupby("connection").n_units.min()


def deepest_trees(rows: pd.DataFrame) -> pd.DataFrame:
    """The deepest tree of each site, readout and connection; depth is not chosen by how well a tree
    does on test mazes."""
    return rows[
        rows.depth == rows.groupby(["site", "readout", "connection"]).depth.transform("max")
    ]
