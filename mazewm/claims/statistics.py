"""Intervals, all of 95 %, and p values (docs/science.md#intervals).

Mazes that share a connection set are not independent draws: where ``clusters`` are given, examples
of one cluster are not treated as independent. No interval has zero width: where the data show no
spread, the interval is Wilson's over clusters, or there is none (``n`` is 0).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import optimize, stats

from mazewm.claims.resampling import Statistic, bounded, resample

N_RESAMPLES = 10_000
FEWEST = 5  # clusters that a bootstrap takes
Z = float(stats.norm.ppf(0.975))


class Interval(NamedTuple):
    """A value, the ends of its 95 % interval, and the number of examples that it is from."""

    value: float
    low: float
    high: float
    n: int

    def as_metrics(self) -> dict[str, float]:
        """As numbers for a JSON file, rounded so that equal results give equal files."""
        return {
            "value": rounded(self.value),
            "low": rounded(self.low),
            "high": rounded(self.high),
            "n": self.n,
        }


NOTHING = Interval(0.0, 0.0, 0.0, 0)  # without examples; a claim with it is unmeasured


class Contrast(NamedTuple):
    """A value with its 95 % interval, and one-sided p values for a true value of at most 0
    (``p_above``, small if the value lies above 0) and of at least 0 (``p_below``).

    If ``n`` is 0 there is no interval: both ends are the value, and both p values are 1."""

    value: float
    low: float
    high: float
    n: int  # rows with data
    n_clusters: int
    p_above: float
    p_below: float

    @property
    def interval(self) -> Interval:
        """The value and its interval, without the p values."""
        return Interval(self.value, self.low, self.high, self.n)


NO_CONTRAST = Contrast(0.0, 0.0, 0.0, 0, 0, 1.0, 1.0)  # without data


class Ratio(NamedTuple):
    """A sum over a sum, from one entry for each row: say, questions solved and questions asked of
    each maze. Rows with an ``n`` of 0 count for nothing. A mean has an ``n`` of 1 in every row."""

    total: ArrayLike
    n: ArrayLike


def rounded(value: float) -> float:
    """The value to six decimals."""
    return round(float(value), 6)


def fixed(level: float) -> Interval:
    """A level without sampling error, say chance by counting, as an interval of equal ends."""
    return Interval(level, level, level, 0)


def wilson(successes: int, n: int) -> Interval:
    """A share with its Wilson score interval (Wilson 1927); NOTHING if there is no example.

    >>> wilson(10, 10).as_metrics()
    {'value': 1.0, 'low': 0.722467, 'high': 1.0, 'n': 10}
    """
    if n == 0:
        return NOTHING
    return Interval(successes / n, *_wilson_ends(successes / n, float(n)), int(n))


def share(
    flags: np.ndarray | pd.Series, clusters: np.ndarray | pd.Series | None = None
) -> Interval:
    """The share of True with its Wilson interval.

    With ``clusters`` the interval is that of n over the design effect: the variance of the share
    estimated from clusters, over that of independent examples (Kish 1965), but at least 1. ``n``
    remains the number of examples.

    >>> flags = np.array([True, True, True, False, False, False])
    >>> alone, together = share(flags), share(flags, clusters=np.array([0, 0, 0, 1, 1, 1]))
    >>> round(float(alone.low), 2), round(float(together.low), 2)  # like two examples, not six
    (0.19, 0.06)
    """
    flags = np.asarray(flags, bool)
    n, successes = len(flags), int(flags.sum())
    if clusters is None or n == 0:
        return wilson(successes, n)
    _, which = np.unique(np.asarray(clusters), return_inverse=True)
    size, hits, p = np.bincount(which), np.bincount(which, weights=flags), successes / n
    if len(size) < 2:
        return Interval(p, 0.0, 1.0, n)
    if p in (0, 1):
        # There is no variance to estimate; one example for each cluster is the widest interval.
        return wilson(len(size) * round(p), len(size))._replace(n=n)
    between = len(size) / (len(size) - 1) * np.square(hits - p * size).sum() / n**2
    design_effect = between / (p * (1 - p) / (n - 1))
    if design_effect < 1 + 1e-9:
        return wilson(successes, n)
    return Interval(p, *_wilson_ends(p, float(n / design_effect)), n)


def _wilson_ends(p: float, n: float, z: float = Z) -> tuple[float, float]:
    """The ends of the Wilson score interval of a share, for any ``n``, also fractions."""
    centre, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return (0.0 if p == 0 else low), (1.0 if p == 1 else high)  # exactly, not but for rounding


def contrast(
    plus: Sequence[Ratio],
    minus: Sequence[Ratio],
    clusters: ArrayLike,
    n_resamples: int | None = None,
) -> Contrast:
    """The sum of the ratios ``plus`` less that of the ratios ``minus``, by a bootstrap of whole
    clusters that draws the clusters of all ratios together.

    All ratios have the same rows. So two ratios of the same rows are paired, and two of different
    rows (``n`` 0 in those of the other) are not. With fewer than FEWEST clusters, or without any
    spread, shares have Wilson intervals over clusters, combined by Newcombe's square-and-add rule
    (1998, method 10); anything else has no interval then. ``n_resamples`` is N_RESAMPLES if it is
    not given.

    >>> solved, walker = Ratio([9, 8, 9, 7, 9], [9] * 5), Ratio([3, 4, 2, 3, 4], [9] * 5)
    >>> one = contrast([solved], [walker], clusters=range(5))
    >>> round(one.value, 2), round(one.low, 2), round(one.high, 2), one.n_clusters
    (0.58, 0.44, 0.76, 5)
    """
    signs = np.repeat([1.0, -1.0], [len(plus), len(minus)])
    columns = np.array([column for ratio in (*plus, *minus) for column in ratio], float)
    filled = (columns[1::2] != 0).any(axis=0)
    n, columns = int(filled.sum()), columns[:, filled]
    _, which = np.unique(np.asarray(clusters)[filled], return_inverse=True)
    sums = np.stack([np.bincount(which, weights=column) for column in columns], axis=1)
    if not n or not sums.sum(axis=0)[1::2].all():
        return NO_CONTRAST
    found = estimate(
        sums, lambda some: (some[:, ::2] / some[:, 1::2] * signs).sum(axis=1), n_resamples
    )
    are_shares = ((columns[::2] >= 0) & (columns[::2] <= columns[1::2])).all()
    if found.n == 0 and are_shares:
        within = (sums[:, 1::2] > 0).sum(axis=0)
        parts = [
            (sign, _share_of_clusters(float(total / size), int(n_clusters)))
            for sign, (total, size), n_clusters in zip(
                signs, sums.sum(axis=0).reshape(-1, 2), within, strict=True
            )
        ]
        found = _square_and_add(parts, n_resamples)
    if are_shares:  # which no true value is beyond
        low, high = max(found.low, -len(minus)), min(found.high, len(plus))
        found = found._replace(low=float(low), high=float(high))
    return found._replace(n=n, n_clusters=len(sums)) if found.n else found


def mean(values: ArrayLike, clusters: ArrayLike | None = None) -> Interval:
    """The mean of values with its interval as in ``contrast``; each is a cluster of its own if
    ``clusters`` are not given. NOTHING if there is no value.

    >>> value, low, high, n = mean([0.2, 0.4, 0.6, 0.8, 0.9])
    >>> round(value, 2), low < value < high, n
    (0.58, True, 5)
    """
    values = np.asarray(values, float)
    every = np.arange(len(values)) if clusters is None else clusters
    return contrast([Ratio(values, np.ones(len(values)))], [], every).interval


def paired(own: pd.Series, other: pd.Series, clusters: pd.Series | None = None) -> Contrast:
    """The mean of ``own`` less that of ``other`` over the entries of the index that both have; each
    entry is a cluster of its own if ``clusters`` are not given."""
    both = pd.DataFrame({"own": own.astype(float), "other": other.astype(float)}).dropna()
    ones = np.ones(len(both))
    groups = np.arange(len(both)) if clusters is None else clusters.loc[both.index].to_numpy()
    return contrast([Ratio(both.own, ones)], [Ratio(both.other, ones)], groups)


def estimate(
    sums: Float[np.ndarray, "cluster column"],
    statistic: Statistic,
    n_resamples: int | None = None,
) -> Contrast:
    """Any statistic of sums over clusters, which takes many sums ``[draw column]`` at once and
    gives one number for each; with the interval and p values of ``contrast``. It has no interval
    (``n`` is 0) with fewer than FEWEST clusters, or where the draws have no spread."""
    if len(sums) == 0:
        return NO_CONTRAST
    found = resample(np.asarray(sums, float), statistic, n_resamples or N_RESAMPLES)
    n = len(sums)
    if n < FEWEST or not np.isfinite(found.value) or not found.has_spread:
        value = found.value if np.isfinite(found.value) else 0.0
        return Contrast(value, value, value, 0, n, 1.0, 1.0)
    return Contrast(found.value, *found.interval(), n, n, *found.p_values())


class Sample(NamedTuple):
    """The mean of a share over independent units, their standard deviation, their number."""

    mean: float
    sd: float
    n: int

    @property
    def interval(self) -> Interval:
        """The mean with its normal interval; without spread, Wilson's."""
        return Interval(self.mean, *self.ends(Z), int(self.n))

    def ends(self, z: float) -> tuple[float, float]:
        """The ends of the interval that reaches z standard errors to both sides."""
        if self.sd == 0:
            return _wilson_ends(float(self.mean), float(self.n), z)
        half = z * self.sd / self.n**0.5
        return self.mean - half, self.mean + half


def _share_of_clusters(p: float, n_clusters: int) -> Sample:
    return Sample(min(1.0, max(0.0, p)), 0.0, n_clusters)


def _square_and_add(parts: Sequence[tuple[float, Sample]], n_resamples: int | None) -> Contrast:
    """Signed means added up, with an interval from those of the parts: the distances from the means
    to the ends that count, squared and added (Newcombe 1998; Zou and Donner 2008). A p value is the
    level at which the end is 0."""
    value = float(sum(sign * part.mean for sign, part in parts))

    def end(z: float) -> float:  # the lower end at z; for a negative z, the upper one at -z
        counted = [part.ends(abs(z))[int((sign > 0) == (z < 0))] for sign, part in parts]
        away = [at - part.mean for at, (_, part) in zip(counted, parts, strict=True)]
        return value - float(np.sign(z) * np.hypot.reduce(away))

    most = 8.0  # standard errors; beyond it p values are not told apart
    if abs(value) < 1e-12:
        z = 0.0
    elif end(most) > 0 or end(-most) < 0:
        z = most if end(most) > 0 else -most
    else:
        z = float(optimize.brentq(end, -most, most))
    n, least = min(part.n for _, part in parts), n_resamples or N_RESAMPLES
    p_above, p_below = (bounded(float(stats.norm.sf(side)), least) for side in (z, -z))
    return Contrast(value, end(Z), end(-Z), n, n, p_above, p_below)


def difference(one: Interval, other: Interval, n_clusters: int) -> Contrast:
    """One value less another, as if they were independent: the distances to the ends that count,
    squared and added (Newcombe 1998); p from the normal distribution with these ends."""
    value = one.value - other.value
    below = float(np.hypot(one.value - one.low, other.high - other.value))
    above = float(np.hypot(one.high - one.value, other.value - other.low))
    p_above, p_below = (
        bounded(float(stats.norm.sf(z * Z)), N_RESAMPLES) for z in (value / below, -value / above)
    )
    n = min(one.n, other.n)
    return Contrast(value, value - below, value + above, n, n_clusters, p_above, p_below)


def holm(p: Mapping[str, float], level: float = 0.05) -> dict[str, bool]:
    """Which p values are significant together, by Holm's rule (1979).

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.02})
    {'a': True, 'b': True, 'c': True}
    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': True, 'b': False, 'c': False}
    """
    shown, ordered = dict.fromkeys(p, False), sorted(p, key=lambda name: p[name])
    for nth, name in enumerate(ordered):
        if p[name] > level / (len(p) - nth):
            break
        shown[name] = True
    return shown
