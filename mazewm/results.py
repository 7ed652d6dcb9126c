"""The tables of a run: which there are, where their files are, and how to read them.

Only what comes after all measurements imports this, so that a new table reruns scoring and nothing
before it. A stage that measures reads an earlier one's table by its row type
(``mazewm.io.tables.read``).
"""

from pathlib import Path

import pandas as pd

from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.planning.errors import INPUTS, ProbeRow
from mazewm.run import Run, Study

# Every table of a run: the kind of result that it belongs to (its folder), and the name of its row
# type, which the file's metadata repeats.
TABLES: dict[str, tuple[str, str]] = {
    "behaviour": ("behaviour", "BehaviourRow"),
    "answers": ("behaviour", "AnswerRow"),
    "beliefs": ("behaviour", "BeliefRow"),
    "detours": ("behaviour", "DetourRow"),
    "states": ("behaviour", "StateRow"),
    "spellings": ("behaviour", "SpellingRow"),
    "consolidation": ("locations", "FormationRow"),
    "writing": ("locations", "WritingRow"),
    "carried": ("locations", "CarriedRow"),
    "saes": ("saes", "SaeRow"),
    "frontier": ("saes", "FrontierRow"),
    "descriptions": ("saes", "DescriptionRow"),
    "splices": ("saes", "SpliceRow"),
    "stability": ("saes", "StabilityRow"),
    "features": ("features", "FeatureRow"),
    "latents": ("features", "LatentRow"),
    "positions": ("features", "PositionRow"),
    "taxonomy": ("features", "LatentKindRow"),
    "singles": ("features", "SingleRow"),
    "boards": ("features", "BoardRow"),
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
    "binding": ("circuits", "BindingRow"),
    "edges": ("circuits", "EdgeRow"),
    "circuit": ("circuits", "CircuitEdgeRow"),
    "readers": ("circuits", "ReaderRow"),
    "predictions": ("circuits", "PredictionRow"),
    "directions": ("circuits", "DirectionRow"),
    "ledger": ("interventions", "LedgerRow"),
    "pairs": ("interventions", "PairRow"),
    "edited": ("interventions", "EditedRow"),
    "units": ("interventions", "UnitRow"),
    "probes": ("planning", "ProbeRow"),
    "steering": ("planning", "SteerRow"),
    "whole": ("planning", "ProbeRow"),
    "frame": ("planning", "FrameRow"),
}


# Those that have rows whatever was found; others are empty where there was nothing to measure.
FILLED = {
    *("behaviour", "answers", "beliefs", "consolidation", "writing", "saes", "frontier"),
    *("descriptions", "features", "latents", "taxonomy", "singles", "attention", "ledger", "pairs"),
}


def table_file(run: Study, name: str) -> Path:
    """The file of one of TABLES; BadInput for any other name.

    >>> table_file(Run.named("rotary-all-0"), "ledger").as_posix()
    'artifacts/interventions/rotary-all-0/ledger.parquet'
    """
    if name not in TABLES:
        raise BadInput(f"table {name!r}: expected one of {', '.join(TABLES)}.")
    return run.folder(TABLES[name][0]) / f"{name}.parquet"


def table(run: Study, name: str) -> pd.DataFrame:
    """One of TABLES as a data frame. BadInput if the file is missing, broken, or of another row
    type, if TABLES has no such name, or if one of FILLED has no rows."""
    file = table_file(run, name)
    rows = tables.read_arrow(file, TABLES[name][1]).to_pandas()
    if name in FILLED:
        tables.check_filled(file, len(rows))
    return rows


def inputs(run: Run, name: str) -> pd.DataFrame:
    """What readers of the maze alone tell, in the form of the table ``probes`` or ``whole``.
    BadInput as for ``table``."""
    return tables.read(run.shared(INPUTS) / f"{name}.parquet", ProbeRow)
