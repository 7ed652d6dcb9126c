"""Runs side by side: the summary that ``dvc metrics diff`` shows, the claims of every run and of every encoding, and C7."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mazewm import outputs
from mazewm.scores.curves import read_curve
from mazewm.scores.pooling import code_claims, code_table, pool

TABLES = (
    "history", "formation", "interventions", "at_once", "consolidation", "writing", "features", "attention", "knockouts",
    "patching", "frontier", "taxonomy", "positions", "beyond", "steering",
)  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """What the runs come down to together."""

    summary: dict[str, Any]
    claims: dict[str, dict[str, Any]]  # "runs" by run and id, "encodings" by encoding and id, "comparison" by id
    curves: dict[str, pd.DataFrame]  # long tables with a column ``run``
    effects: pd.DataFrame  # run, kind, method, value, low, high, n: what is reported at the writing site
    threshold: float  # own_mass of a connectivity head
    code: pd.DataFrame  # id, measure, encoding, seed, value: what C7 compares


def compare(keys: list[tuple[str, int]], runs: Path, tables: Path) -> Compared:
    """Read the given (encoding, seed) runs and put them side by side."""
    names = {key: f"{key[0]}-{key[1]}" for key in keys}
    metrics = {key: outputs.read_json(runs / f"{name}.json", "the metrics of a run") for key, name in names.items()}
    of_runs = {key: outputs.read_json(tables / name / "claims.json", "the claims of a run") for key, name in names.items()}
    encodings = list(dict.fromkeys(encoding for encoding, _ in keys))
    claims = {
        "runs": {names[key]: one for key, one in of_runs.items()},
        "encodings": {encoding: pool([one for key, one in of_runs.items() if key[0] == encoding]) for encoding in encodings},
        "comparison": {id: one.as_json() for id, one in code_claims(metrics).items()},
    }
    curves = {name: _together([read_curve(tables / run / f"{name}.csv").assign(run=run) for run in names.values()]) for name in TABLES}
    summary = {names[key]: headline(one) for key, one in metrics.items()}
    effects = effects_table({names[key]: one for key, one in metrics.items()})
    threshold = next(iter(metrics.values()))["attention"]["connectivity_threshold"]
    return Compared(summary, claims, curves, effects, threshold, code_table(metrics))


def _together(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all parts. A part without rows has no types either, and would spoil the others'."""
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]


def effects_table(metrics: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """What each run reports of each kind of edit at its writing site, by method."""
    rows = [
        {"run": run, "kind": kind, "method": method} | {name: one[name] for name in ("value", "low", "high", "n")}
        for run, of_run in metrics.items()
        for kind, methods in of_run["interventions"]["writing"].items()
        for method, one in methods.items()
        if isinstance(one, dict)
    ]
    return pd.DataFrame(rows)


def headline(metrics: dict[str, Any]) -> dict[str, Any]:
    """The few figures of a run that one looks at first."""
    writing, site = (metrics["sites"][name] for name in ("writing", "consolidation"))
    place = writing.partition(" ")[0].replace(".", "_")
    at = metrics["interventions"]["writing"]
    return {
        "solved": metrics["behaviour"]["test"]["solved"]["value"],
        "solved_overload": metrics["behaviour"]["overload"]["solved"]["value"],
        "consolidation": site,
        "writing": writing,
        "explained_variance": metrics["sae"][place]["trained"]["explained_variance"],
        "solved_spliced": metrics["sae"][place]["spliced"]["solved_spliced"],
        "mcc": metrics["features"]["consolidation"]["latents"]["mcc"]["value"],
        "latents_per_connection": metrics["features"]["consolidation"]["latents_per_connection"]["value"],
        **{f"follows_edit_{kind}": at[kind]["latents"]["value"] for kind in ("add", "remove", "move")},
        "follows_edit_add_mean_difference": at["add"]["mean_difference"]["value"],
        "verdicts": {id: one["verdict"] for id, one in metrics["claims"].items()},
    } | ({"recovered_effect_add": at["add"]["recovered_effect"]} if "recovered_effect" in at["add"] else {})
