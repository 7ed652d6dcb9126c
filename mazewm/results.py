"""The tables of a run: which there are, where they lie, and how to read them.

Apart from ``mazewm.run``, which training imports: a table more does not train a model again.
"""

from pathlib import Path

import pandas as pd

from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.run import Kind, Run

# name -> the folder that it lies in, and the type of its rows, whose name travels in the file
TABLES: dict[str, tuple[Kind, str]] = {
    "behaviour": ("observations", "BehaviourRow"),
    "consolidation": ("activations", "FormationRow"),
    "writing": ("activations", "WritingRow"),
    "frontier": ("saes", "FrontierRow"),
    "descriptions": ("saes", "DescriptionRow"),
    "splices": ("saes", "SpliceRow"),
    "stability": ("saes", "StabilityRow"),
    "features": ("features", "FeatureRow"),
    "latents": ("features", "LatentRow"),
    "positions": ("features", "PositionRow"),
    "taxonomy": ("features", "LatentKindRow"),
    "attention": ("circuits", "AttentionRow"),
    "heads": ("circuits", "HeadRow"),
    "ov_norms": ("circuits", "OvNormRow"),
    "ov_ranks": ("circuits", "OvRankRow"),
    "ov_consistency": ("circuits", "OvConsistencyRow"),
    "ov_cosines": ("circuits", "OvCosineRow"),
    "knockouts": ("circuits", "KnockoutRow"),
    "faithfulness": ("circuits", "FaithfulnessRow"),
    "qk": ("circuits", "QkRow"),
    "patch_pairs": ("circuits", "PatchPairRow"),
    "patches": ("circuits", "PatchRow"),
    "ledger": ("interventions", "LedgerRow"),
    "examples": ("interventions", "ExampleRow"),
    "probes": ("planning", "ProbeRow"),
    "steering": ("planning", "SteerRow"),
}


def table_file(run: Run, name: str) -> Path:
    """Where one of TABLES lies; BadInput for another name."""
    if name not in TABLES:
        raise BadInput(f"table {name!r}: expected one of {', '.join(TABLES)}.")
    return run.folder(TABLES[name][0]) / f"{name}.parquet"


def table(run: Run, name: str) -> pd.DataFrame:
    """One of TABLES as a data frame; BadInput if it is missing, broken, or of other rows."""
    return tables.read_arrow(table_file(run, name), TABLES[name][1]).to_pandas()
