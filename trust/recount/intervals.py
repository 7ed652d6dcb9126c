"""Intervals: sums over clusters -> a share, or what is made of several, and the ends of its 95 %
interval.

Written from docs/science.md#of-differences alone, with draws of its own, so that its ends agree
with published ones only up to the error of a finite number of draws.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

# For each cluster what is counted and of how many; of several shares one beside the other:
# [cluster column].
Sums = NDArray[np.float64]
Values = NDArray[np.float64]
Formula = Callable[[Sums], Values]  # what is made of sums: [... column] -> [...]
N_DRAWS = 200_000  # many more than published ends have: hardly any chance is added to theirs
FEWEST = 5  # clusters


def signed(signs: Sequence[int]) -> Formula:
    """Shares, added with these signs."""
    return lambda sums: (sums[..., ::2] / sums[..., 1::2]) @ np.array(signs, float)


LESS = (1, -1)  # one share less another
SHARE, DIFFERENCE = signed((1,)), signed(LESS)


def lacking(sums: Sums) -> Values:
    """The share of a difference of two shares that another one lacks
    (docs/science.md#of-differences). Columns: the two shares, each of what is counted and of how
    many; then those of the other."""
    return 1 - DIFFERENCE(sums[..., 4:]) / DIFFERENCE(sums[..., :4])


def value_of(sums: Sums, formula: Formula) -> float:
    """The formula, of all clusters together."""
    return float(formula(sums.sum(axis=0)))


def interval(sums: Sums, formula: Formula) -> tuple[float, float] | None:
    """The ends of the bias-corrected interval over clusters, with quantiles of Student's
    distribution (Efron 1981; Hesterberg 2015). None for fewer than FEWEST clusters, and where all
    are alike: such intervals are not made by a bootstrap."""
    n, value = len(sums), value_of(sums, formula)
    if n < FEWEST:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = formula(_weights(n) @ sums)
        without = formula(sums.sum(axis=0) - sums)
    draws, without = draws[np.isfinite(draws)], without[np.isfinite(without)]
    if np.ptp(draws) < 1e-9 or np.ptp(without) < 1e-12:
        return None
    influence = without - without.mean()
    kurtosis = len(influence) * (influence**4).sum() / np.square(influence).sum() ** 2
    freedom = np.clip(2 * n / max(kurtosis - 1, 1e-9), 1, n - 1)
    below = ((draws < value - 1e-12).mean() + (draws <= value + 1e-12).mean()) / 2
    bias = stats.norm.ppf(np.clip(below, 1 / N_DRAWS, 1 - 1 / N_DRAWS))
    reach = np.sqrt(n / (n - 1)) * stats.t.ppf(0.975, freedom) * np.array([-1, 1])
    low, high = np.quantile(draws, stats.norm.cdf(2 * bias + reach))
    return float(low), float(high)


@lru_cache(maxsize=4)
def _weights(n: int) -> Sums:
    """How often each of n clusters is drawn: [draw cluster]."""
    drawn = np.random.default_rng(n).multinomial(n, np.full(n, 1 / n), N_DRAWS)
    return drawn.astype(float)
