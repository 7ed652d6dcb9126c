"""The tables of a run: which there are, where their files are, and how to read them.

This is not part of ``mazewm.run``, which training imports, so that a new table does not cause
models to be trained again.
"""

from pathlib import Path

import pandas as pd

from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.run import Run

# Every table of a run: the kind of result that it belongs to (its folder), and the name of its row
# type, which the file's metadata repeats.
TABLES: dict[str, tuple[str, str]] = {
    "behaviour": ("behaviour", "BehaviourRow"),
    "answers": ("behaviour", "AnswerRow"),
    "beliefs": ("behaviour", "BeliefRow"),
    "detours": ("behaviour", "DetourRow"),
    "states": ("behaviour", "StateRow"),
    "spellings": ("behaviour", "SpellingRow"),
    "consolidation": ("activations", "FormationRow"),
    "writing": ("activations", "WritingRow"),
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
    "ledger": ("interventions", "LedgerRow"),
    "pairs": ("interventions", "PairRow"),
    "edited": ("interventions", "EditedRow"),
    "units": ("interventions", "UnitRow"),
    "probes": ("planning", "ProbeRow"),
    "steering": ("planning", "SteerRow"),
    "whole": ("planning", "ProbeRow"),
    "frame": ("planning", "FrameRow"),
}


# the folder of what readers of the maze alone tell, which all runs share
INPUTS = "inputs"

CHOOSING = "validation"  # the split on which heads, places, doses and sizes are chosen
# Values of the column ``model``, where a table has one.
TRAINED, UNTRAINED = "trained", "untrained"

# Kinds of rollouts by the steps that were forced on them (docs/science.md#detours): none; only such
# after which the target could be reached without a cell twice; others.
UNDISTURBED, FREE, BACK = "undisturbed", "free", "must turn back"

# In what two prompts differ (docs/science.md#states): the first two lead to the same state.
SPELLING, ORIGIN, TARGET, CONNECTION = "spelling", "origin", "target", "connection"
SAME_STATE = (SPELLING, ORIGIN)

# What of a list is drawn anew (docs/science.md#spellings).
ORDER, DIRECTIONS, BOTH = "order", "directions", "order and directions"


def table_file(run: Run, name: str) -> Path:
    """The file of one of TABLES; BadInput for any other name.

    >>> table_file(Run.named("rotary-all-0"), "ledger").as_posix()
    'artifacts/interventions/rotary-all-0/ledger.parquet'
    """
    if name not in TABLES:
        raise BadInput(f"table {name!r}: expected one of {', '.join(TABLES)}.")
    return run.folder(TABLES[name][0]) / f"{name}.parquet"


def table(run: Run, name: str) -> pd.DataFrame:
    """One of TABLES as a data frame. BadInput if the file is missing, broken, or of another row
    type, or if TABLES has no such name."""
    return tables.read_arrow(table_file(run, name), TABLES[name][1]).to_pandas()


def inputs(run: Run, name: str) -> pd.DataFrame:
    """What readers of the maze alone tell, in the form of the table ``probes`` or ``whole``.
    BadInput as for ``table``."""
    file = run.artifacts / INPUTS / f"{name}.parquet"
    return tables.read_arrow(file, TABLES[name][1]).to_pandas()


def for_choosing(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows, if all are of the validation split, by their column ``split``. Everything that
    chooses takes its rows through here; RuntimeError if any row is of another split.

    >>> len(for_choosing(pd.DataFrame({"split": ["validation", "validation"]})))
    2
    """
    if "split" not in rows:
        raise RuntimeError("rows without the column split were to decide a choice")
    others = sorted(set(rows.split) - {CHOOSING})
    if others:
        raise RuntimeError(f"rows of the split {', '.join(others)} were to decide a choice")
    return rows
