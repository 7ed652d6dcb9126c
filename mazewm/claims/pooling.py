"""Claims over seeds: the runs of each encoding pooled.

In a pooled claim, value, control and gap are means over the seeds that have data for it, each with
Student's interval over seeds (docs/science.md#over-seeds). Its verdict is the one that every seed
gives, and ``undecided`` where seeds differ.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from mazewm.claims.statistics import rounded

# Names of a number of a claim and of the ends of its interval.
ENDS = {"value": ("low", "high")} | {
    name: (f"{name}_low", f"{name}_high") for name in ("control", "gap")
}


def pool(seeds: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Pool the claims of one encoding's runs, each by id as in metrics/claims.json."""
    pooled = {}
    for id, first in seeds[0].items():
        same = [run[id] for run in seeds]
        verdicts = [one["verdict"] for one in same]
        with_data = [one for one in same if one["n"] > 0] or same
        pooled[id] = {
            "statement": first["statement"],
            "measure": f"mean over {len(with_data)} of {len(same)} seeds; "
            + _without_setting(first["measure"]),
            **_over_seeds(with_data),
            "control_name": " / ".join(
                dict.fromkeys(one["control_name"] for one in same if one["control_name"])
            ),
            "p": max(one["p"] for one in same),
            "n": sum(one["n"] for one in same),
            "n_clusters": sum(one["n_clusters"] for one in same),
            "n_seeds": len(same),
            "verdict": verdicts[0] if len(set(verdicts)) == 1 else "undecided",
            "reason": " / ".join(dict.fromkeys(one["reason"] for one in same if one["reason"])),
            "verdicts": {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)},
        }
        if len(with_data) > 1:
            pooled[id]["sd_over_seeds"] = rounded(
                np.std([one["value"] for one in with_data], ddof=1)
            )
    return pooled


def _over_seeds(claims: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """value, control and gap of each seed, pooled."""
    found: dict[str, float] = {}
    for name, ends in ENDS.items():
        columns = ([float(one[key]) for one in claims] for key in (name, *ends))
        found |= dict(zip((name, *ends), over_seeds(*columns), strict=True))
    return {name: rounded(value) for name, value in found.items()}


def over_seeds(
    values: Sequence[float], lows: Sequence[float], highs: Sequence[float]
) -> tuple[float, float, float]:
    """The mean of a value over seeds, with the ends of Student's interval over seeds. It is at
    least as wide as the mean of the seeds' own intervals over the root of their number, so that a
    few seeds with equal values do not make a point. The interval of a single seed is its own.

    >>> over_seeds([0.5], [0.4], [0.7])
    (0.5, 0.4, 0.7)
    """
    middle, n = float(np.mean(values)), len(values)
    if n == 1:
        return middle, float(lows[0]), float(highs[0])
    half = float(stats.t.ppf(0.975, n - 1) * np.std(values, ddof=1) / n**0.5)
    below, above = middle - float(np.mean(lows)), float(np.mean(highs)) - middle
    return middle, middle - max(half, below / n**0.5), middle + max(half, above / n**0.5)


def _without_setting(measure: str) -> str:
    """The measure without the head or the setting, which differ between seeds."""
    return measure.partition(":")[0]
