"""Every number that a run comes down to, on planted tables, is the one that is written down in
``planted_numbers.json``: whatever changes one, on purpose or not, shows here. To write it anew
after a change on purpose, from the top folder:
``PYTHONPATH=.:tests python tests/claims/test_every_number.py``
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from claims.test_run import leaves
from planted import run_tables

from mazewm.claims.run import score_run

WRITTEN = Path(__file__).parent / "planted_numbers.json"


def numbers() -> dict[str, Any]:
    """All metrics, and of every long table its length, its words, and the sum of each column."""
    scored = score_run(run_tables(), 0.5)
    return {
        "metrics": scored.metrics,
        "curves": {name: _told(curve) for name, curve in sorted(scored.curves.items())},
    }


def _told(curve: pd.DataFrame) -> dict[str, Any]:
    told: dict[str, Any] = {"": len(curve)}
    for name in curve:
        column = curve[name]
        if pd.api.types.is_numeric_dtype(column):
            weights = np.arange(1, len(column) + 1)  # so that an exchange of rows is seen, too
            told[name] = float((column.fillna(-1).astype(float) * weights).sum())
        else:
            told[name] = " ".join(sorted(column.astype(str).unique()))
    return told


def test_every_number_is_as_written_down():
    now = dict(leaves(json.loads(json.dumps(numbers()))))
    before = dict(leaves(json.loads(WRITTEN.read_text(encoding="utf-8"))))
    assert set(now) == set(before)
    for way, value in before.items():
        if isinstance(value, float):
            # processors differ in the last places
            assert now[way] == pytest.approx(value, rel=1e-4, abs=1e-6), way
        else:
            assert now[way] == value, way


if __name__ == "__main__":
    WRITTEN.write_text(json.dumps(numbers(), indent=1) + "\n", encoding="utf-8")
