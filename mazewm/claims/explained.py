"""The explained variance of readers, 1 - SSE / SST, from sums over mazes or connection sets; and
where a reader does best."""

import numpy as np
import pandas as pd

from mazewm.choosing import for_choosing
from mazewm.claims.statistics import Contrast, Interval, Ratio, contrast


def explained(rows: pd.DataFrame) -> Ratio:
    """The explained variance, from the columns ``sse`` and ``sst``."""
    return Ratio(rows.sst - rows.sse, rows.sst)


def value_of(rows: pd.DataFrame, n_resamples: int | None = None) -> Interval:
    """The explained variance with its interval over connection sets."""
    return contrast([explained(rows)], [], rows.connection_set, n_resamples).interval


def gap(own: pd.DataFrame, other: pd.DataFrame) -> Contrast:
    """The explained variance of one reader less that of another, on the mazes of the first; both
    have one index."""
    return contrast([explained(own)], [explained(other.loc[own.index])], own.connection_set)


def best_place(validation: pd.DataFrame) -> tuple[str, int]:
    """The token and depth with the highest explained variance, from rows of validation mazes, of
    which there must be some; the first of all if there is nothing to explain."""
    sums = for_choosing(validation).groupby(["token", "depth"])[["sse", "sst"]].sum()
    token, depth = (sums.sse / sums.sst.where(sums.sst > 0)).fillna(np.inf).idxmin()
    return str(token), int(depth)


def can_choose(validation: pd.DataFrame) -> bool:
    """Whether there is anything to explain, without which no place is best."""
    return bool((validation.sst > 0).any())
