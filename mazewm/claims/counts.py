"""Shares from tables whose rows hold counts (docs/science.md#intervals)."""

import pandas as pd

from mazewm.claims.statistics import Interval, Ratio, contrast


def share_of(rows: pd.DataFrame, of: str, among: str) -> Interval:
    """The share ``of`` all that are ``among``, both counts of each row; n is the number counted.
    Rows of one ``connection_set`` are a cluster.

    >>> rows = pd.DataFrame({"hits": [3, 4], "n": [4, 4], "connection_set": [0, 1]})
    >>> share_of(rows, "hits", "n").value
    0.875
    """
    found = contrast([Ratio(rows[of], rows[among])], [], rows.connection_set).interval
    return found._replace(n=int(rows[among].sum()))


def ratio(rows: pd.DataFrame, of: str, among: str) -> float:
    """The same without an interval; 0 if there is nothing to count."""
    return float(rows[of].sum() / max(1, rows[among].sum()))
