"""Confidence intervals, all of 95 % (docs/science.md#intervals).

Mazes that share a connection set are not independent draws: where ``clusters`` are given, examples
of one cluster are not treated as independent.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

N_RESAMPLES = 2000
BLOCK = 2**18  # about how many numbers of a sample are resampled at once


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


NOTHING = Interval(0.0, 0.0, 0.0, 0)  # without examples; a claim with it is undecided


def rounded(value: float) -> float:
    """The value to six decimals."""
    return round(float(value), 6)


def wilson(successes: int, n: int) -> Interval:
    """A share with its Wilson score interval (Wilson 1927); NOTHING if there is no example.

    >>> wilson(10, 10).as_metrics()
    {'value': 1.0, 'low': 0.722467, 'high': 1.0, 'n': 10}
    """
    if n == 0:
        return NOTHING
    interval = stats.binomtest(int(successes), int(n)).proportion_ci(0.95, method="wilson")
    return Interval(successes / n, interval.low, interval.high, int(n))


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
    low, high = _wilson_ends(p, n / design_effect)
    return Interval(p, low, high, n)


def _wilson_ends(p: float, n: float) -> tuple[float, float]:
    """The ends of the Wilson score interval of a share, for any ``n``, also fractions."""
    z = float(stats.norm.ppf(0.975))
    centre, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


class Clustered(NamedTuple):
    """Values, and the cluster to which each belongs."""

    values: np.ndarray | pd.Series
    clusters: np.ndarray | pd.Series


def cluster_bootstrap(one: Clustered, other: Clustered | None = None, seed: int = 0) -> Interval:
    """The mean of ``one``, less that of ``other`` if it is given, with a percentile bootstrap
    interval that resamples whole clusters, independently for each sample; NOTHING if a sample is
    empty."""
    samples = [one] if other is None else [one, other]
    if not all(len(sample.values) for sample in samples):
        return NOTHING
    rng = np.random.default_rng(seed)
    draws, means = [], []
    for sample in samples:
        _, which = np.unique(np.asarray(sample.clusters), return_inverse=True)
        size, total = (
            np.bincount(which),
            np.bincount(which, weights=np.asarray(sample.values, float)),
        )
        weights = rng.multinomial(len(size), np.full(len(size), 1 / len(size)), size=N_RESAMPLES)
        draws.append(weights @ total / (weights @ size))
        means.append(total.sum() / size.sum())
    sign = np.array([1, -1])[: len(samples)]
    low, high = np.quantile(sign @ np.stack(draws), [0.025, 0.975])
    return Interval(
        float(sign @ np.array(means)),
        float(low),
        float(high),
        min(len(sample.values) for sample in samples),
    )


def _mean(draws: np.ndarray) -> np.ndarray:
    return draws.mean(axis=1)


def bootstrap(
    sample: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray] = _mean, seed: int = 0
) -> Interval:
    """A statistic of a sample ``[example, ...]`` with its percentile bootstrap interval; NOTHING if
    there is no example.

    ``statistic`` takes resamples ``[resample, example, ...]`` at once and gives one number for each
    of them; by default it is the mean.

    >>> value, low, high, n = bootstrap(np.array([0.2, 0.4, 0.6, 0.8]))
    >>> round(value, 2), low < value < high, n
    (0.5, True, 4)
    """
    rng, sample = np.random.default_rng(seed), np.asarray(sample, float)
    n = len(sample)
    if n == 0:
        return NOTHING
    draws = []
    at_once = max(1, BLOCK // sample.size)
    for start in range(0, N_RESAMPLES, at_once):
        index = rng.integers(n, size=(min(at_once, N_RESAMPLES - start), n))
        draws.append(statistic(sample[index]))
    low, high = np.quantile(np.concatenate(draws), [0.025, 0.975])
    return Interval(float(statistic(sample[None])[0]), float(low), float(high), n)
