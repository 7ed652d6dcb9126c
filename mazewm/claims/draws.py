"""SAEs of one readout with several seeds: draws of what single units can detect."""

import pandas as pd


def by_draw(singles: pd.DataFrame, readout: str) -> pd.DataFrame:
    """The MCC of one readout's best single units: connections by draws."""
    rows = singles[singles.readout == readout]
    return rows.pivot(index="connection", columns="draw", values="mcc")


def best_draw(singles: pd.DataFrame, readout: str) -> pd.Series:
    """The MCC of every connection in the draw with the highest mean over connections, the first of
    equal ones: what a control counts by. Empty if the readout has no rows.

    >>> rows = {"readout": "r", "connection": [0, 1, 0, 1], "draw": [0, 0, 1, 1]}
    >>> best_draw(pd.DataFrame(rows | {"mcc": [0.9, 0.1, 0.4, 0.8]}), "r").tolist()
    [0.4, 0.8]
    """
    draws = by_draw(singles, readout)
    if draws.empty:
        return pd.Series(dtype=float)
    return draws[draws.mean().idxmax()].dropna()
