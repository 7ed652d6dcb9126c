"""Intervals. All are 95 %."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

N_RESAMPLES = 2000


class Interval(NamedTuple):
    """A value with the ends of its 95 % interval and the number of examples behind it."""

    value: float
    low: float
    high: float
    n: int

    def as_metrics(self) -> dict[str, float]:
        """Scalars as DVC compares them, rounded so that equal results are equal files."""
        return {"value": rounded(self.value), "low": rounded(self.low), "high": rounded(self.high), "n": self.n}


NOTHING = Interval(0.0, 0.0, 0.0, 0)  # of no example; whatever is decided from it is undecided


def rounded(value: float) -> float:
    """Six decimals."""
    return round(float(value), 6)


def wilson(successes: int, n: int) -> Interval:
    """A share with its Wilson score interval (Wilson 1927); NOTHING if there is no example."""
    if n == 0:
        return NOTHING
    interval = stats.binomtest(int(successes), int(n)).proportion_ci(0.95, method="wilson")
    return Interval(successes / n, interval.low, interval.high, int(n))


def share(flags: np.ndarray | pd.Series) -> Interval:
    """The share of True among independent examples."""
    return wilson(int(np.sum(flags)), len(flags))


def bootstrap(*samples: np.ndarray, statistic: Callable[..., float] = np.mean, seed: int = 0) -> Interval:
    """A statistic of independent samples with its percentile bootstrap interval; each sample is resampled by itself.

    NOTHING if a sample is empty.
    """
    rng = np.random.default_rng(seed)
    samples = tuple(np.asarray(sample, float) for sample in samples)
    if not all(map(len, samples)):
        return NOTHING
    draws = [statistic(*(rng.choice(sample, len(sample)) for sample in samples)) for _ in range(N_RESAMPLES)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return Interval(float(statistic(*samples)), float(low), float(high), min(len(sample) for sample in samples))
