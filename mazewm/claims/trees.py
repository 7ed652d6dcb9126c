"""Which decision trees of the feature map are reported, and how many latents a connection needs."""

import pandas as pd

from mazewm.features.trees import DEPTHS

NEAR_BEST = 0.01  # of the MCC
DETECTED = 0.7  # the MCC from which on a connection is said to be detected
MOST_UNITS = 2 ** max(DEPTHS) - 1  # that a tree can ask, one at each fork


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


def latents_of_all(rows: pd.DataFrame) -> pd.Series:
    """The same for every connection that has trees. One that is not detected takes more
    latents than the trees that were tried ask; it counts as one more than MOST_UNITS. So a mean
    over connections is a restricted mean, and does not fall when those that take many are lost.

    >>> trees = {"connection": [0, 1], "mcc_chosen": [0.9, 0.3], "units": [[7], [7]]}
    >>> latents_of_all(pd.DataFrame(trees)).to_dict()
    {0: 1, 1: 8}
    """
    every = pd.Index(rows.connection.unique(), name="connection")
    return latents_per_connection(rows).reindex(every, fill_value=MOST_UNITS + 1).astype(int)


def deepest_trees(rows: pd.DataFrame) -> pd.DataFrame:
    """The deepest tree of each site, readout and connection; depth is not chosen by how well a tree
    does on test mazes."""
    return rows[
        rows.depth == rows.groupby(["site", "readout", "connection"]).depth.transform("max")
    ]
