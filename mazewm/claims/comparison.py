"""Comparison of runs: the summary that ``dvc metrics diff`` shows, the claims of every run and of
every encoding, and the claims C7 and C10, which compare encodings and objectives.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from mazewm.claims import objectives
from mazewm.claims.claim import Claim
from mazewm.claims.code import AT_DELIMITER
from mazewm.claims.curves import read_curve
from mazewm.claims.encodings import CODE, encodings_differ, geometry_differs
from mazewm.claims.geometry import similarities
from mazewm.claims.pooling import over_seeds, pool
from mazewm.claims.solvers import left_out
from mazewm.claims.statistics import rounded
from mazewm.claims.tested import Tested, decided_together
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
    "carried",
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
    "geometry",
)
BETWEEN_RUNS = "geometry"  # the table that is read for what it says of two runs
# every number that is compared between runs: its claim, and its name
COMPARED = {key: (id, name) for id, (_, names) in CODE.items() for key, name in names.items()}
COMPARED |= {AT_DELIMITER: (objectives.ID, objectives.NAME)}


@dataclass(frozen=True)
class Compared:
    """All results that concern several runs."""

    summary: dict[str, Any]  # the headline figures of each run
    # "runs" by run and claim id, "encodings" by recipe and id, "comparison" by id
    claims: dict[str, dict[str, Any]]
    curves: dict[str, pd.DataFrame]  # long tables with a column ``run``
    threshold: float  # own_mass of a connectivity head
    # what C7 and C10 compare: id, key, measure, encoding, objective, seed, value, low, high
    code: pd.DataFrame
    similarities: pd.DataFrame  # of the geometry of every two runs: run, other, source, rsa, cka


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
    read = {
        name: {run.name: read_curve(folder / f"{name}.csv") for run, folder in tables.items()}
        for name in TABLES
    }
    code, alike = code_table(metrics), similarities(read.pop(BETWEEN_RUNS))
    return Compared(
        summary={run.name: headline(one) for run, one in metrics.items()},
        claims={
            "runs": {run.name: one for run, one in claims.items()},
            "encodings": {
                recipe: pool([one for run, one in claims.items() if run.recipe == recipe])
                for recipe in recipes
            },
            "comparison": between_runs(code, alike, left_out(_solved(metrics))),
        },
        curves={
            name: _together([rows.assign(run=run) for run, rows in parts.items()])
            for name, parts in read.items()
        },
        threshold=next(iter(metrics.values()))["attention"]["connectivity_threshold"],
        code=code,
        similarities=alike,
    )


def code_table(metrics: Mapping[Run, Mapping[str, Any]]) -> pd.DataFrame:
    """What C7 and C10 compare, from the metrics of all runs; a run that lacks a number has no row
    for it. A number without an interval of its own has equal ends."""
    rows = [
        {
            "id": id,
            "key": key,
            "measure": name,
            "encoding": run.encoding,
            "objective": run.objective,
            "seed": run.seed,
            "run": run.name,
        }
        | {end: float(one["code"][key].get(end, one["code"][key]["value"])) for end in ENDS}
        for key, (id, name) in COMPARED.items()
        for run, one in metrics.items()
        if key in one["code"]
    ]
    columns = ["id", "key", "measure", "encoding", "objective", "seed", "run", *ENDS]
    return pd.DataFrame(rows, columns=columns)


ENDS = ("value", "low", "high")


def _solved(metrics: Mapping[Run, Mapping[str, Any]]) -> dict[str, float]:
    """The share of held-out mazes that each run solves, by its name."""
    return {
        run.name: float(one["behaviour"]["test"]["solved"]["value"]) for run, one in metrics.items()
    }


def between_runs(
    code: pd.DataFrame, alike: pd.DataFrame, without: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """C7 between the encodings of each objective, and C10 between objectives, decided together,
    with the values of all seeds. With several objectives, the objective is appended to the id of
    C7. Runs that are named in ``without`` do not count, for the reason given there, which every
    claim repeats; their values are shown."""
    every, code = code, code[~code.run.isin(list(without))]
    why = "; ".join(without.values())
    all_objectives = list(dict.fromkeys(every.objective))
    tested, values = list[Tested](), dict[str, dict[str, Any]]()
    for objective in all_objectives:
        mine = code[code.objective == objective]
        suffix = "" if len(all_objectives) == 1 else f" {objective}"
        found = [encodings_differ(id, _wide(mine[mine.id == id])) for id in CODE]
        runs = mine[["run", "encoding"]].drop_duplicates().itertuples(index=False, name=None)
        found.append(geometry_differs(alike, list(runs)))
        for one in found:
            named = replace(one.claim, id=one.claim.id + suffix)
            tested.append(one._replace(claim=named))
            shown = every[(every.objective == objective) & (every.id == one.claim.id)]
            values[named.id] = by_encoding(shown, "encoding")
    tested.append(objectives.objective_decides(code[code.id == objectives.ID]))
    shares = every[every.id == objectives.ID]
    shares = shares.assign(recipe=shares.encoding + "-" + shares.objective)
    values[objectives.ID] = by_encoding(shares, "recipe")
    exchanged = {
        one.claim.id: {"exchange": one.exchange.as_json()} for one in tested if one.exchange
    }
    return {
        one.id: _with_reason(one, why).as_json()
        | exchanged.get(one.id, {})
        | {"values": values[one.id]}
        for one in decided_together(tested)
    }


def _with_reason(one: Claim, why: str) -> Claim:
    """The claim, with the reason why runs do not count."""
    if not why:
        return one
    if one.verdict == "unmeasured":
        return replace(one, reason=f"{one.reason}; {why}")
    return replace(one, measure=f"{one.measure} (left out: {why})")


def _wide(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each run, by encoding and seed in order of appearance, a column for each number."""
    order = rows.set_index(["encoding", "seed"]).index.unique()
    wide = rows.pivot(index=["encoding", "seed"], columns="key", values="value")
    return wide.reindex(order)


def by_encoding(rows: pd.DataFrame, group: str) -> dict[str, dict[str, Any]]:
    """For each number and group of runs the mean, Student's interval over seeds and the value of
    every seed; without an interval where no seed has one and all are equal."""
    found: dict[str, dict[str, Any]] = {}
    for (measure, name), part in rows.groupby(["measure", group], sort=False):
        value, low, high = over_seeds(*(part[end].tolist() for end in ENDS))
        one: dict[str, Any] = {"value": rounded(value), "n_seeds": len(part)}
        if low < high:
            one |= {"low": rounded(low), "high": rounded(high)}
        seeds = zip(part.seed, part.value, strict=True)
        one["seeds"] = {str(seed): rounded(each) for seed, each in seeds}
        found.setdefault(str(measure), {})[str(name)] = one
    return found


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
