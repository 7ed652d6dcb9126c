"""Runs side by side: the summary that ``dvc metrics diff`` shows, the claims of every run, and C7, which is about all of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mazewm import outputs
from mazewm.scores.claims import code_differs
from mazewm.scores.curves import read_curve

TABLES = ("history", "formation", "dose", "consolidation", "features")
COMPARISON = "comparison"


@dataclass(frozen=True)
class Compared:
    """What the runs come down to together."""

    summary: dict[str, Any]
    claims: dict[str, dict[str, Any]]  # by run and id, and COMPARISON for what is about all runs
    curves: dict[str, pd.DataFrame]  # long tables with a column ``run``


def compare(keys: list[tuple[str, int]], runs: Path, tables: Path) -> Compared:
    """Read the given (encoding, seed) runs and put them side by side."""
    metrics = {f"{encoding}-{seed}": outputs.read_json(runs / f"{encoding}-{seed}.json", "the metrics of a run") for encoding, seed in keys}
    claims = {key: outputs.read_json(tables / key / "claims.json", "the claims of a run") for key in metrics}
    needed: dict[str, list[float]] = {}
    for encoding, seed in keys:
        needed.setdefault(encoding, []).append(
            metrics[f"{encoding}-{seed}"]["features"]["consolidation"]["latents_per_connection"]["value"]
        )
    code = code_differs(needed)
    claims[COMPARISON] = {code.id: code.as_json()}
    curves = {
        name: pd.concat([read_curve(tables / key / f"{name}.csv").assign(run=key) for key in metrics], ignore_index=True) for name in TABLES
    }
    return Compared({key: headline(one) for key, one in metrics.items()}, claims, curves)


def headline(metrics: dict[str, Any]) -> dict[str, Any]:
    """The few figures of a run that one looks at first."""
    site = metrics["consolidation"]
    place = f"{site['layer']}_resid_post"
    added, removed = (metrics["interventions"]["consolidation"][kind] for kind in ("add", "remove"))
    return {
        "solved": metrics["behaviour"]["test"]["solved"]["value"],
        "solved_overload": metrics["behaviour"]["overload"]["solved"]["value"],
        "consolidation": f"{site['layer']}.resid_post at {site['token_class']}",
        "explained_variance": metrics["sae"][place]["trained"]["explained_variance"],
        "solved_spliced": metrics["sae"][place]["spliced"]["solved_spliced"],
        "mcc": metrics["features"]["consolidation"]["latents"]["mcc"]["value"],
        "latents_per_connection": metrics["features"]["consolidation"]["latents_per_connection"]["value"],
        "follows_edit_add": added["latents"]["value"],
        "follows_edit_add_mean_difference": added["mean_difference"]["value"],
        "follows_edit_remove": removed["latents"]["value"],
        "verdicts": {id: one["verdict"] for id, one in metrics["claims"].items()},
    } | ({"recovered_effect_add": added["recovered_effect"]} if "recovered_effect" in added else {})
