"""Claims over seeds: the runs of each encoding pooled, and claim C7, which compares encodings.

In a pooled claim, value, control and gap are means over the seeds that have data for it, each with
Student's interval over seeds (docs/science.md#over-seeds). Its verdict is the one that every seed
gives, and ``undecided`` where seeds differ.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from mazewm.claims.claim import Claim, Control, claim, unmeasured
from mazewm.claims.statistics import Contrast, fixed, rounded

N_PERMUTATIONS = 9_999
SEED = 0
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
    """value, control and gap as means with Student's interval over seeds. It is at least as wide as
    the mean of the seeds' own intervals over the root of their number, so that a few seeds with
    equal values do not make a point. The interval of a single seed is its own."""
    found: dict[str, float] = {}
    for name, (low, high) in ENDS.items():
        values = np.array([one[name] for one in claims], float)
        middle, n = float(values.mean()), len(values)
        below = middle - float(np.mean([one[low] for one in claims]))
        above = float(np.mean([one[high] for one in claims])) - middle
        if n > 1:
            half = float(stats.t.ppf(0.975, n - 1) * values.std(ddof=1) / n**0.5)
            below, above = (max(half, own / n**0.5) for own in (below, above))
        found |= {name: middle, low: middle - below, high: middle + above}
    return {name: rounded(value) for name, value in found.items()}


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
        ("interventions", "add", "mean_difference", "value"),
    ),
}


def code_differs(id: str, values: Mapping[str, Sequence[float]]) -> Claim:
    """C7: a number differs between encodings by more than between seeds of one encoding.

    ``values`` has, for each encoding, the number of each seed. The two encodings whose means differ
    most are compared with a Student interval (Welch's degrees of freedom, Bonferroni over all
    pairs). p is the larger of that of this interval and that of a permutation of the encodings over
    all runs, so that few seeds show nothing (docs/science.md#over-seeds). The difference is taken
    so that it is positive, so the claim cannot be refuted. Unmeasured with fewer than two seeds of
    either encoding, or if the seeds of both are equal.

    >>> seeds = {"rotary": [0.1, 0.2, 0.1, 0.2], "learned": [0.8, 0.9, 0.8, 0.9]}
    >>> p = code_differs("C7c", seeds).p_above  # times two: two of the 70 ways to part the runs
    >>> round(2 * p, 2)
    0.03
    """
    statement, place = CODE[id]
    name = _name(place)
    means = {encoding: float(np.mean(seeds)) for encoding, seeds in values.items()}
    high, low = max(means, key=lambda one: means[one]), min(means, key=lambda one: means[one])
    a, b = values[high], values[low]
    n_pairs = len(means) * (len(means) - 1) // 2
    if not n_pairs:
        return unmeasured(id, statement, f"{name}: one encoding", "there is only one encoding")
    measure, difference = f"{name}: {high} - {low}, over seeds", means[high] - means[low]
    if min(len(a), len(b)) < 2:
        return unmeasured(id, statement, measure, "an encoding has only one seed")
    parts = np.array([np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)])
    error = float(np.sqrt(parts.sum()))
    if error == 0:
        return unmeasured(id, statement, measure, "the seeds of an encoding do not differ")
    freedom = parts.sum() ** 2 / (parts**2 / [len(a) - 1, len(b) - 1]).sum()
    half = float(stats.t.ppf(1 - 0.025 / n_pairs, freedom)) * error
    p_above = n_pairs * float(stats.t.sf(difference / error, freedom))
    # half of it: the largest difference has no sign
    p_above = min(1.0, max(p_above, _permuted(list(values.values())) / 2))
    gap = Contrast(
        difference,
        difference - half,
        difference + half,
        min(len(a), len(b)),
        len(a) + len(b),
        p_above,
        1.0,
    )
    return claim(id, statement, measure, gap.interval, [Control("no difference", fixed(0.0), gap)])


def _permuted(groups: Sequence[Sequence[float]]) -> float:
    """The share of permutations of all values over the groups in which the largest difference of
    two groups' means is at least as large as it is, counting the values as they are."""
    sizes, values = [len(group) for group in groups], np.concatenate(groups)
    rng = np.random.default_rng(SEED)
    tried = rng.permuted(np.tile(values, (N_PERMUTATIONS + 1, 1)), axis=1)
    tried[0] = values
    means = np.stack([part.mean(axis=1) for part in np.split(tried, np.cumsum(sizes)[:-1], axis=1)])
    spread = np.ptp(means, axis=0)
    return float((spread >= spread[0] - 1e-12).mean())


def code_table(metrics: Mapping[tuple[str, int], Mapping[str, Any]]) -> pd.DataFrame:
    """What CODE compares, as a table with the columns id, measure, encoding, seed and value;
    ``metrics`` are by (encoding, seed). A run of which nothing was measured has no row."""
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
        if _is_measured(one, place)
    ]
    return pd.DataFrame(rows)


def code_claims(metrics: Mapping[tuple[str, int], Mapping[str, Any]]) -> list[Claim]:
    """Every claim of CODE, from the metrics of all runs by (encoding, seed)."""
    return [
        code_differs(str(id), rows.groupby("encoding", sort=False).value.agg(list).to_dict())
        for id, rows in code_table(metrics).groupby("id", sort=False)
    ]


def _name(place: Sequence[str]) -> str:
    return next(part for part in reversed(place) if part != "value").replace("_", " ")


def _is_measured(tree: Mapping[str, Any], place: Sequence[str]) -> bool:
    """Whether any connection was detected, where a number is about those that are."""
    return place[-1] != "value" or _at(tree, place[:-1]).get("n_detected", 1) > 0


def _at(tree: Mapping[str, Any], place: Sequence[str]) -> Any:
    for name in place:
        tree = tree[name]
    return tree
