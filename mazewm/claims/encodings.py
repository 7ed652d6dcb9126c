"""C7: positional encodings change how connections are represented, by more than seeds do.

Each claim is about one or several numbers of a run (module ``code``). Its statistic is the largest
share, of any of these numbers, of the variance over runs that lies between encodings; p is that of
a permutation of the encodings among the runs (module ``exchange``). What is reported is the
difference of the two encodings that are furthest apart, in the number in which this is plainest,
with an interval that is simultaneous for all pairs (Tukey and Kramer) and wider for the number of
numbers (Bonferroni); a claim is supported only if this, too, lies above 0
(docs/science.md#over-seeds).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from mazewm.circuits.directions import EMBEDDING, WHOLE
from mazewm.claims.claim import LEVEL, Control, claim
from mazewm.claims.code import BOUND
from mazewm.claims.exchange import Labels, p_of, smallest_p, ways
from mazewm.claims.geometry import Gram, square
from mazewm.claims.statistics import Contrast
from mazewm.claims.tested import NO_DIFFERENCE, Exchange, Tested, nothing, of_largest
from mazewm.claims.trees import MOST_UNITS

# What C7 compares between encodings: id -> (statement, numbers of a run with their names).
CODE: dict[str, tuple[str, dict[str, str]]] = {
    "C7a": (
        "encodings change to which tokens connections are brought",
        {key: f"brought to {token}" for token, key in BOUND.items()},
    ),
    "C7b": (
        "encodings change where connections are read and written",
        {"read_block": "block of the read site", "single_share": "share of one token class"},
    ),
    "C7c": (
        "encodings change whether the code is the same early and late",
        {
            "f1_carried": "F1 carried",
            "edits_carried": "selectivity carried",
            "cosine_early_late": "cosine of early and late",
        },
    ),
    "C7d": (
        "encodings change which heads bind",
        {
            "binding_heads": "binding heads",
            "their_block": "mean block of binding heads",
            "lost_by_others": "lost by all other heads",
        },
    ),
    "C7e": (
        "encodings change how many latents a connection takes",
        {"latents_needed": f"latents per connection (undetected: {MOST_UNITS + 1})"},
    ),
}
GEOMETRY = "C7f"
STATEMENT = "encodings change the geometry of the code"
TINY = 1e-12  # squares within groups that come from rounding
Values = Float[np.ndarray, "run number"]


def encodings_differ(id: str, runs: pd.DataFrame) -> Tested:
    """One claim of CODE. ``runs`` has a row for each run, by (encoding, seed), and a column for
    each number, by its key; runs that lack one do not count. Unmeasured with one encoding, if all
    runs are alike, or if even the smallest p that they allow is above 5 %.

    >>> seeds = [("rotary", 0), ("rotary", 1), ("rotary", 2), ("rotary", 3), ("rotary", 4)]
    >>> seeds += [("learned", seed) for _, seed in seeds]
    >>> needed = pd.DataFrame({"latents_needed": [1, 1, 2, 1, 1, 4, 5, 4, 4, 4]})
    >>> needed.index = pd.MultiIndex.from_tuples(seeds)
    >>> p = encodings_differ("C7e", needed).claim.p_above  # times two: 2 of the 252 ways
    >>> round(2 * p, 4)
    0.0079
    """
    statement, names = CODE[id]
    known = runs[[key for key in names if key in runs]].dropna()
    encodings = list(dict.fromkeys(known.index.get_level_values(0)))
    groups = [encodings.index(name) for name in known.index.get_level_values(0)]
    measure = ", ".join(names.values()) + ": over seeds"
    if refusal := refused(id, statement, measure, groups):
        return refusal
    varied = known.loc[:, known.nunique() > 1]
    if varied.empty:
        return nothing(id, statement, measure, "all runs are alike")
    tried = ways(groups)
    shares = between(varied.to_numpy(float), tried)
    p = p_of(shares.max(axis=1))
    pairs = {
        key: furthest(varied[key].to_numpy(float), np.asarray(groups), len(varied.columns))
        for key in varied
    }
    key = min(pairs, key=lambda key: pairs[key].p)
    found, share = pairs[key], shares[:, varied.columns.get_loc(key)]
    measure = f"{names[key]}: {encodings[found.high]} - {encodings[found.low]}, over seeds"
    gap = of_largest(found.difference, found.half, len(known), max(p, found.p))
    made = claim(
        id, statement, measure, gap.interval, [Control("no difference", NO_DIFFERENCE, gap)]
    )
    floor = smallest_p(np.bincount(groups).tolist())
    return Tested(made, Exchange(p, floor, float(share[0]), float(np.median(share))))


def refused(id: str, statement: str, measure: str, groups: Sequence[int]) -> Tested | None:
    """An unmeasured claim if so few runs can show nothing, else None."""
    if len(set(groups)) < 2:
        return nothing(id, statement, measure, "there is only one encoding with such runs")
    sizes = np.bincount(groups).tolist()
    if (floor := smallest_p(sizes)) > LEVEL:
        many = " and ".join(map(str, sizes))
        reason = f"too few seeds: the smallest p that {many} runs can give is {floor:.2g}"
        return nothing(id, statement, measure, reason)
    return None


def between(values: Values, tried: Labels) -> Float[np.ndarray, "way number"]:
    """The share of each number's variance over runs that lies between groups, for every way to deal
    the runs to them. Where the runs of every group are equal, ``supposed`` squares lie within:
    otherwise a whole number, which many ways part so, would have all of its variance between."""
    centred = values - values.mean(axis=0)
    sizes = np.bincount(tried[0])
    of_group = [tried == group for group in range(len(sizes))]
    means = np.array([mine @ centred / n for mine, n in zip(of_group, sizes, strict=True)])
    parted = np.tensordot(sizes, np.square(means), axes=1)
    rest, apart = np.square(centred).sum(axis=0) - parted, np.ptp(means, axis=0)
    rest = np.where(rest < TINY * apart**2, supposed(apart, int(sizes.max())), rest)
    shares: Float[np.ndarray, "way number"] = parted / (parted + rest)
    return shares


def supposed(apart: Any, n: int) -> Any:
    """The squares within groups whose runs are all equal, as if one of the ``n`` runs of the
    largest group were off by as much as the two groups are apart that differ most."""
    return apart**2 * (1 - 1 / n)


class Furthest(NamedTuple):
    """The two groups whose means differ most, and by how much, with half the width of the interval
    and p by the studentized range, times the number of numbers, above 1, too."""

    high: int
    low: int
    difference: float
    half: float
    p: float


def furthest(values: Float[np.ndarray, " run"], groups: np.ndarray, n_numbers: int) -> Furthest:
    """Compare the two groups that are furthest apart by Tukey and Kramer's rule, at a level divided
    by the number of numbers. If the runs of every group are equal, the spread is ``supposed``: some
    run may yet differ."""
    parts = [values[groups == group] for group in range(int(groups.max()) + 1)]
    means = [float(part.mean()) for part in parts]
    high, low = int(np.argmax(means)), int(np.argmin(means))
    difference, freedom = means[high] - means[low], len(values) - len(parts)
    squares = sum(float(np.square(part - part.mean()).sum()) for part in parts)
    n_high, n_low = len(parts[high]), len(parts[low])
    if squares < TINY * difference**2:
        squares = supposed(difference, max(map(len, parts)))
    error = (squares / freedom * (1 / n_high + 1 / n_low) / 2) ** 0.5
    half = _quantile(1 - LEVEL / n_numbers, len(parts), freedom) * error
    p = float(stats.studentized_range.sf(difference / error, len(parts), freedom))
    return Furthest(high, low, difference, half, n_numbers * p)


@lru_cache
def _quantile(level: float, n_groups: int, freedom: int) -> float:
    """Of the studentized range; kept, since it takes long."""
    return float(stats.studentized_range.ppf(level, n_groups, freedom))


def nearer_within(found: Gram, groups: np.ndarray) -> float:
    """The mean similarity of two runs of one encoding less that of two runs of two encodings; NaN
    if there are no such two."""
    a, b = np.triu_indices(len(groups), 1)
    is_same = groups[a] == groups[b]
    pairs = found[a, b]
    if not all(np.isfinite(pairs[some]).any() for some in (is_same, ~is_same)):
        return float("nan")
    return float(np.nanmean(pairs[is_same]) - np.nanmean(pairs[~is_same]))


def geometry_differs(similarities: pd.DataFrame, runs: Sequence[tuple[str, str]]) -> Tested:
    """C7f: two runs of one encoding have more similar geometries than two runs of two encodings
    have, and this by more than the geometries of their embeddings alone. ``runs`` are names of runs
    with their encodings; the interval is that of the jackknife over runs."""
    measure = "similarity of two runs of one encoding less that of two encodings"
    names = [run for run, _ in runs]
    codes = [square(similarities, source, names) for source in (WHOLE, EMBEDDING)]
    is_known = ~np.any([np.isnan(code).all(axis=1) for code in codes], axis=0)
    kept = [encoding for (_, encoding), known in zip(runs, is_known, strict=True) if known]
    encodings = list(dict.fromkeys(kept))
    groups = np.array([encodings.index(encoding) for encoding in kept], int)
    if refusal := refused(GEOMETRY, STATEMENT, measure, groups.tolist()):
        return refusal
    own, embedding = (code[np.ix_(is_known, is_known)] for code in codes)
    p = p_of(np.array([nearer_within(own, each) for each in ways(groups.tolist())]))
    value = jackknifed(own, groups)
    plain = value._replace(p_above=p / 2, p_below=1.0)
    controls = [
        Control("no difference", NO_DIFFERENCE, plain),
        Control(
            "the same of the embeddings of cells",
            jackknifed(embedding, groups).interval,
            # how much more the embeddings may be alike says nothing against the claim
            jackknifed(own - embedding, groups)._replace(p_below=1.0),
        ),
    ]
    made = claim(GEOMETRY, STATEMENT, measure, value.interval, controls)
    return Tested(made, Exchange(p, smallest_p(np.bincount(groups).tolist())))


def jackknifed(found: Gram, groups: np.ndarray) -> Contrast:
    """``nearer_within`` with Student's interval by the jackknife over runs."""
    n, value = len(groups), nearer_within(found, groups)
    rest = [np.delete(np.arange(n), nth) for nth in range(n)]
    without = np.array([nearer_within(found[np.ix_(kept, kept)], groups[kept]) for kept in rest])
    error = float(((n - 1) / n * np.square(without - without.mean()).sum()) ** 0.5)
    if not error > 0:
        return Contrast(value, value, value, 0, n, 1.0, 1.0)
    half = float(stats.t.ppf(1 - LEVEL / 2, n - 1)) * error
    p_above = float(stats.t.sf(value / error, n - 1))
    return Contrast(value, value - half, value + half, n, n, p_above, 1 - p_above)
