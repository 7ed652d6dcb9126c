"""Comparison of runs: the summary that ``dvc metrics diff`` shows, the claims of every run and of
every encoding, and claim C7, which compares encodings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mazewm.claims.claim import decided
from mazewm.claims.curves import read_curve
from mazewm.claims.pooling import code_claims, code_table, pool
from mazewm.io import files
from mazewm.run import Run

# Methods beside the latents whose selectivity is in the summary.
HEADLINE = ("mean_difference", "random_direction")
TABLES = (
    "history",
    "formation",
    "edits",
    "doses",
    "corridors",
    "held",
    "consolidation",
    "writing",
    "features",
    "singles",
    "boards",
    "architectures",
    "attention",
    "binding",
    "connections",
    "edges",
    "readers",
    "predictions",
    "whole",
    "frame",
    "knockouts",
    "patching",
    "frontier",
    "taxonomy",
    "positions",
    "beyond",
    "steps",
    "steering",
    "answers",
    "beliefs",
    "detours",
    "states",
    "spellings",
)


@dataclass(frozen=True)
class Compared:
    """All results that concern several runs."""

    summary: dict[str, Any]  # the headline figures of each run
    # "runs" by run and claim id, "encodings" by recipe and id, "comparison" by id
    claims: dict[str, dict[str, Any]]
    curves: dict[str, pd.DataFrame]  # long tables with a column ``run``
    threshold: float  # own_mass of a connectivity head
    code: pd.DataFrame  # what C7 compares: id, measure, encoding (the recipe), seed, value


def compare(runs: Sequence[Run], results: Path) -> Compared:
    """Compare runs by their metrics, claims and tables in the folder ``results``; BadInput if one
    of these files is missing."""
    metrics = {
        run: files.read_json(results / "runs" / f"{run.name}.json", "the metrics of a run")
        for run in runs
    }
    tables = {run: results / "tables" / run.name for run in runs}
    claims = {
        run: files.read_json(folder / "claims.json", "the claims of a run")
        for run, folder in tables.items()
    }
    recipes = dict.fromkeys(run.recipe for run in runs)
    curves = {
        name: _together(
            [
                read_curve(folder / f"{name}.csv").assign(run=run.name)
                for run, folder in tables.items()
            ]
        )
        for name in TABLES
    }
    return Compared(
        summary={run.name: headline(one) for run, one in metrics.items()},
        claims={
            "runs": {run.name: one for run, one in claims.items()},
            "encodings": {
                recipe: pool([one for run, one in claims.items() if run.recipe == recipe])
                for recipe in recipes
            },
            "comparison": _of_code(metrics),
        },
        curves=curves,
        threshold=next(iter(metrics.values()))["attention"]["connectivity_threshold"],
        code=code_table({(run.recipe, run.seed): one for run, one in metrics.items()}),
    )


def _of_code(metrics: Mapping[Run, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """C7, between the encodings of each objective, decided together; with several objectives, the
    objective is appended to the claim's id."""
    objectives = list(dict.fromkeys(run.objective for run in metrics))
    claims = []
    for objective in objectives:
        same: dict[tuple[str, int], Mapping[str, Any]] = {
            (run.encoding, run.seed): one
            for run, one in metrics.items()
            if run.objective == objective
        }
        suffix = "" if len(objectives) == 1 else f" {objective}"
        claims += [replace(one, id=one.id + suffix) for one in code_claims(same)]
    return {one.id: one.as_json() for one in decided(claims)}


def _together(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """The rows of all parts. Empty parts are left out: they have no column types, and would change
    those of the others."""
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0]


def headline(metrics: dict[str, Any]) -> dict[str, Any]:
    """The few figures of a run to look at first, from its metrics."""
    writing, site = (metrics["sites"][name] for name in ("writing", "consolidation"))
    place = writing.partition(" ")[0].replace(".", "_")
    edits = metrics["interventions"]
    return {
        "solved": metrics["behaviour"]["test"]["solved"]["value"],
        "solved_overload": metrics["behaviour"]["overload"]["solved"]["value"],
        "consolidation": site,
        "writing": writing,
        "explained_variance": metrics["sae"][place]["trained"]["explained_variance"],
        "solved_spliced": metrics["sae"][place]["spliced"]["solved_spliced"],
        "mcc": metrics["features"]["consolidation"]["latents"]["mcc"]["value"],
        "latents_per_connection": metrics["features"]["consolidation"]["latents_per_connection"][
            "value"
        ],
        **{
            f"selectivity_{kind}": {
                method: one["value"]
                for method, one in edits.get(kind, {}).items()  # small mazes have no moves
                if method.startswith("latents_") or method in HEADLINE
            }
            for kind in ("add", "remove", "move")
        },
        "verdicts": {id: one["verdict"] for id, one in metrics["claims"].items()},
    }
