"""Hit, spill and selectivity of edits at many sites, without the model."""

from collections.abc import Sequence

import pandas as pd

from mazewm.choosing import for_choosing

COUNTS = ("n_affected", "n_hit", "n_unaffected", "n_spill")  # of questions, in tables of edits


def selectivities(rows: pd.DataFrame) -> pd.DataFrame:
    """``hit``, ``spill`` and ``selectivity`` of every row of a table with COUNTS."""
    hit = rows.n_hit / rows.n_affected.clip(lower=1)
    spill = rows.n_spill / rows.n_unaffected.clip(lower=1)
    return rows.assign(hit=hit, spill=spill, selectivity=hit - spill)


def totals(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """COUNTS and selectivity over all rows with the same ``keys``, in the order in which they first
    appear; for a choice, so all rows must be of validation mazes."""
    sums = for_choosing(rows).groupby(list(keys), sort=False)[list(COUNTS)].sum()
    return selectivities(sums.reset_index())
