"""Bootstrap over clusters: draws of a statistic -> its interval and one-sided p values.

The interval is the bias-corrected percentile interval (Efron 1981), widened for few clusters as
Hesterberg (2015) does, with degrees of freedom from the data: where a few clusters make up most of
the spread there are few, as in Satterthwaite's rule (docs/decisions/0017-statistics.md has how
often this and other intervals hold the truth).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Shaped
from scipy import stats

# A statistic of sums over clusters, for many of them at once: [draw column] -> [draw].
Statistic = Callable[[Float[np.ndarray, "draw column"]], Float[np.ndarray, "draw"]]
SEED = 0
CONFIDENCE = 0.95
BLOCK = 2**22  # weights, draws times clusters, that are made or kept at once
DIGITS = 10  # to which draws are rounded, so that equal ones are equal


@dataclass(frozen=True)
class Resampled:
    """A statistic, its sorted bootstrap draws, and what its intervals need."""

    value: float
    draws: Float[np.ndarray, "draw"]
    error: float  # standard error, by the jackknife over clusters
    freedom: float  # degrees of freedom
    n_clusters: int

    @property
    def has_spread(self) -> bool:
        """Whether there are draws, and not all of them are equal."""
        return len(self.draws) > 1 and bool(self.draws[0] < self.draws[-1]) and self.error > 0

    def interval(self) -> tuple[float, float]:
        """The ends of the 95 % interval."""
        return self._low(), -self._mirrored()._low()

    def p_values(self) -> tuple[float, float]:
        """One-sided p values of "the true value is at most 0" and "at least 0": below 0.025 exactly
        where the interval lies above 0, or below it. The draws resolve no p value below one over
        their number, so none is smaller."""
        return self._p_at_most_zero(), self._mirrored()._p_at_most_zero()

    def _mirrored(self) -> "Resampled":
        return replace(self, value=-self.value, draws=-self.draws[::-1])

    @property
    def _bias(self) -> float:
        """Twice the bias of the median of the draws, in standard deviations."""
        n, value = len(self.draws), round(self.value, DIGITS)
        below, upto = (np.searchsorted(self.draws, value, side) for side in ("left", "right"))
        return 2 * float(stats.norm.ppf(np.clip((below + upto) / 2 / n, 1 / n, 1 - 1 / n)))

    @property
    def _widened(self) -> float:
        """By how much the bootstrap's spread is smaller than that of the statistic."""
        return float(np.sqrt(self.n_clusters / (self.n_clusters - 1)))

    def _low(self) -> float:
        t = self._widened * float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom))
        at, n = float(stats.norm.cdf(self._bias - t)), len(self.draws)
        if at * (n + 1) >= 1:
            return float(self.draws[max(0, int(np.ceil(at * n)) - 1)])
        # beyond what the draws resolve: the tail of a normal distribution
        return min(float(self.draws[0]), self.value + (self._bias - t) * self.error)

    def _p_at_most_zero(self) -> float:
        n = len(self.draws)
        upto = int(np.searchsorted(self.draws, 0.0, "right"))
        if upto:
            z = float(stats.norm.ppf(np.clip(upto / n, 1 / n, 1 - 1 / n)))
        else:
            z = min(float(stats.norm.ppf(1 / (n + 1))), -self.value / self.error)
        p = float(stats.t.cdf((z - self._bias) / self._widened, self.freedom))
        return bounded(p, n)


def bounded(p: float, n_resamples: int) -> float:
    """A p value that claims no more than so many resamples can show."""
    least = 1 / (n_resamples + 1)
    return float(np.clip(p, least, 1 - least))


def resample(
    sums: Float[np.ndarray, "cluster column"], statistic: Statistic, n_resamples: int
) -> Resampled:
    """Draw whole clusters, as many as there are, and take the statistic of their summed columns.

    Draws in which it is not finite (a denominator of 0) are dropped."""
    n, total = len(sums), sums.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        [value] = statistic(total[None])
        draws = np.concatenate([statistic(w @ sums) for w in weights(n, n_resamples)])
        without = statistic(total - sums)  # each cluster left out in turn
    draws, without = (values[np.isfinite(values)] for values in (draws, without))
    error, freedom = _jackknife(without)
    return Resampled(float(value), np.sort(np.round(draws, DIGITS)), error, freedom, n)


def _jackknife(without: Float[np.ndarray, "cluster"]) -> tuple[float, float]:
    """The standard error, and the degrees of freedom of its square by the clusters' influences u:
    2 (sum u²)² / (sum u⁴ - (sum u²)² / n), at least 1 and at most n - 1."""
    n = len(without)
    if n < 2:
        return 0.0, 1.0
    squares = np.square(without - without.mean())
    error, spread = float(np.sqrt((n - 1) / n * squares.sum())), float(np.square(squares).sum())
    excess = spread - float(squares.sum()) ** 2 / n
    freedom = 2 * float(squares.sum()) ** 2 / excess if excess > 1e-9 * spread else n - 1.0
    return error, float(np.clip(freedom, 1, n - 1))


def weights(n: int, n_resamples: int) -> Iterator[Float[np.ndarray, "draw cluster"]]:
    """How often each of n clusters is drawn, in blocks of draws; the same for the same numbers."""
    if n * n_resamples <= BLOCK:
        yield _kept_weights(n, n_resamples)
        return
    rng, at_once = np.random.default_rng(SEED), max(1, BLOCK // n)
    for start in range(0, n_resamples, at_once):
        yield _drawn(rng.integers(n, size=(min(at_once, n_resamples - start), n)))


@lru_cache(maxsize=4)
def _kept_weights(n: int, n_resamples: int) -> Float[np.ndarray, "draw cluster"]:
    return _drawn(np.random.default_rng(SEED).integers(n, size=(n_resamples, n)))


def _drawn(which: Shaped[np.ndarray, "draw cluster"]) -> Float[np.ndarray, "draw cluster"]:
    """Counts of each number in each row."""
    n_draws, n = which.shape
    shifted = which + n * np.arange(n_draws)[:, None]
    return np.bincount(shifted.ravel(), minlength=n * n_draws).reshape(n_draws, n).astype(float)
