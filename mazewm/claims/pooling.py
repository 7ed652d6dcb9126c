"""Claims over seeds: the runs of each encoding pooled, and claim C7, which compares encodings.

In a pooled claim, ``value`` and ``control`` are means over the seeds that have data for it, ``low``
and ``high`` the lowest and the highest end of their intervals. It is ``supported`` or ``refuted``
only if every seed gives this verdict, ``undecided`` otherwise.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from mazewm.claims.statistics import Interval, rounded
from mazewm.claims.verdicts import Claim, claim


def pool(seeds: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Pool the claims of one encoding's runs, each by id as in metrics/claims.json."""
    pooled = {}
    for id, first in seeds[0].items():
        same = [run[id] for run in seeds]
        verdicts = [one["verdict"] for one in same]
        with_data = [one for one in same if one["n"] > 0] or same
        mean = {
            name: rounded(np.mean([one[name] for one in with_data]))
            for name in ("value", "control")
        }
        pooled[id] = {
            "statement": first["statement"],
            "measure": f"mean over {len(with_data)} of {len(same)} seeds; "
            + _without_setting(first["measure"]),
            **mean,
            "low": min(one["low"] for one in with_data),
            "high": max(one["high"] for one in with_data),
            "control_name": " / ".join(dict.fromkeys(one["control_name"] for one in same)),
            "n": sum(one["n"] for one in same),
            "n_seeds": len(same),
            "verdict": verdicts[0] if len(set(verdicts)) == 1 else "undecided",
            "verdicts": {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)},
        }
        if len(with_data) > 1:
            pooled[id]["sd_over_seeds"] = rounded(
                np.std([one["value"] for one in with_data], ddof=1)
            )
    return pooled


def _without_setting(measure: str) -> str:
    """The measure without the head or the setting, which differ between seeds."""
    return measure.partition(":")[0]


# What C7 compares between encodings: id -> (statement, keys of the number in a run's metrics).
CODE = {
    "C7a": (
        "encodings change how many latents a connection takes",
        ("features", "consolidation", "latents_per_connection", "value"),
    ),
    "C7b": (
        "encodings change how much heads of block 0 bind",
        ("attention", "own_mass_block_0", "value"),
    ),
    "C7c": ("encodings change how heads split cells by parity", ("attention", "parity_gap")),
    "C7d": (
        "encodings change whether latents transfer between positions",
        ("features", "consolidation", "transfer", "value"),
    ),
    "C7e": (
        "encodings change whether connections can be written",
        ("interventions", "writing", "add", "mean_difference", "value"),
    ),
}


def code_differs(id: str, values: Mapping[str, Sequence[float]]) -> Claim:
    """C7: a number differs between encodings by more than between seeds of one encoding.

    ``values`` has, for each encoding, the number of each seed. The two encodings whose means differ
    most are compared with a Student interval (Welch's degrees of freedom, Bonferroni over all
    pairs; docs/science.md#over-seeds). With fewer than two seeds of either, there is no interval
    and the claim is undecided. The difference is taken so that it is positive, so the claim is
    refuted only if nothing differs at all.

    >>> code_differs("C7c", {"rotary": [0.1, 0.2], "learned": [0.8, 0.9]}).verdict
    'supported'
    """
    statement, place = CODE[id]
    means = {name: float(np.mean(seeds)) for name, seeds in values.items()}
    high, low = max(means, key=lambda name: means[name]), min(means, key=lambda name: means[name])
    a, b = values[high], values[low]
    difference, n = means[high] - means[low], min(len(a), len(b))
    n_pairs = len(means) * (len(means) - 1) // 2
    name = _name(place)
    interval = Interval(difference, difference, difference, 0)
    if n >= 2 and n_pairs:
        parts = np.array([np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)])
        error = float(np.sqrt(parts.sum()))
        freedom = parts.sum() ** 2 / (parts**2 / [len(a) - 1, len(b) - 1]).sum() if error else 1.0
        half = float(stats.t.ppf(1 - 0.025 / n_pairs, freedom)) * error
        interval = Interval(difference, difference - half, difference + half, n)
    measure = f"{name}: {high} - {low}, over seeds" if n_pairs else f"{name}: one encoding"
    return claim(id, statement, measure, interval, 0.0, "no difference")


def code_table(metrics: Mapping[tuple[str, int], Mapping[str, Any]]) -> pd.DataFrame:
    """What CODE compares, as a table with the columns id, measure, encoding, seed and value;
    ``metrics`` are by (encoding, seed)."""
    rows = [
        {
            "id": id,
            "measure": _name(place),
            "encoding": encoding,
            "seed": seed,
            "value": float(_at(one, place)),
        }
        for id, (_, place) in CODE.items()
        for (encoding, seed), one in metrics.items()
    ]
    return pd.DataFrame(rows)


def code_claims(metrics: Mapping[tuple[str, int], Mapping[str, Any]]) -> dict[str, Claim]:
    """Every claim of CODE, from the metrics of all runs by (encoding, seed)."""
    by_id = code_table(metrics).groupby("id", sort=False)
    return {
        str(id): code_differs(
            str(id), rows.groupby("encoding", sort=False).value.agg(list).to_dict()
        )
        for id, rows in by_id
    }


def _name(place: Sequence[str]) -> str:
    return next(part for part in reversed(place) if part != "value").replace("_", " ")


def _at(tree: Mapping[str, Any], place: Sequence[str]) -> Any:
    for name in place:
        tree = tree[name]
    return tree
