"""Hit, spill and selectivity of edits at many sites, without the model."""

import pandas as pd


def selectivities(rows: pd.DataFrame) -> pd.DataFrame:
    """``hit``, ``spill`` and ``selectivity`` of every row of a table of ``WritingRow``."""
    hit = rows.n_hit / rows.n_affected.clip(lower=1)
    spill = rows.n_spill / rows.n_unaffected.clip(lower=1)
    return rows.assign(hit=hit, spill=spill, selectivity=hit - spill)
