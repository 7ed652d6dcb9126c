"""Ridge probes for facts, one for each cell or connection; their errors; and mean differences, the
directions that probes are compared with.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import linalg, sparse

from mazewm.planning.facts import Fact

N_LEAST = 5  # mazes with and without the fact that a unit needs to be fitted
CHOICE_UNITS = 8
HELD_EVERY = 5  # every fifth of the mazes for fitting is held out to choose the penalty


# what a probe reads: a row for each maze; sparse, zeros and ones only
Readable: TypeAlias = Float[np.ndarray, "maze d"] | sparse.csr_array


@runtime_checkable
class Reader(Protocol):
    """What predicts a fact after it was fitted: a probe, or boosted trees."""

    @property
    def is_fitted(self) -> Bool[np.ndarray, " unit"]:
        """Whether there were mazes enough to fit the unit."""

    @property
    def usual(self) -> Float[np.ndarray, " unit"]:
        """The mean of the fact among the mazes for fitting."""

    def predict(self, x: Any) -> Float[np.ndarray, "maze unit"]:
        """The value of every unit."""


class Probe(NamedTuple):
    """A linear probe for each unit; zeros where there were too few mazes to fit one."""

    weight: Float[np.ndarray, "unit d"]
    bias: Float[np.ndarray, " unit"]
    is_fitted: Bool[np.ndarray, " unit"]
    usual: Float[np.ndarray, " unit"]  # the mean of the fact among the mazes for fitting

    def predict(self, x: Readable) -> Float[np.ndarray, "maze unit"]:
        """The value of every unit."""
        return np.asarray(x @ self.weight.T + self.bias)


class Errors(NamedTuple):
    """How well a probe does on each maze, over the units that count and were fitted."""

    n: Int[np.ndarray, " maze"]  # units
    sse: Float[np.ndarray, " maze"]  # sum of squared errors
    sst: Float[np.ndarray, " maze"]  # the same of what is usual


def shuffled(fact: Fact, rng: np.random.Generator) -> Fact:
    """A control: the values of each unit, shuffled among the mazes that count for it."""
    value = fact.value.copy()
    for unit, known in enumerate(fact.counts.T):
        value[known, unit] = rng.permutation(value[known, unit])
    return fact._replace(value=value)


def units(fact: Fact) -> np.ndarray:
    """The units with at least N_LEAST mazes in which the fact holds and as many in which it does
    not."""
    yes = fact.holds() & fact.counts
    return np.flatnonzero(
        (yes.sum(axis=0) >= N_LEAST) & ((fact.counts & ~yes).sum(axis=0) >= N_LEAST)
    )


def usual(fact: Fact) -> Float[np.ndarray, " unit"]:
    """The mean of each unit over the mazes in which it counts."""
    return fact.value.sum(axis=0, where=fact.counts) / np.maximum(1, fact.counts.sum(axis=0))


def fit(x: Readable, fact: Fact, penalties: Sequence[float]) -> Probe:
    """Ridge regressions of a fact on ``x``, one for each unit, all with the same penalty.

    It is the one of ``penalties`` (multiples of the mean eigenvalue of X'X) with the least error on
    every fifth maze when the others are fitted; then all mazes are fitted. To save time, at most
    CHOICE_UNITS units are asked for the choice."""
    is_held = np.arange(len(fact.value)) % HELD_EVERY == HELD_EVERY - 1
    errors, solved = np.zeros(len(penalties)), units(fact)
    every = -(-len(solved) // CHOICE_UNITS)
    for unit in solved[:: max(1, every)] if len(penalties) > 1 else []:
        known = fact.counts[:, unit]
        y = fact.value[:, unit]
        part, held = known & ~is_held, known & is_held
        tried = _ridge(x[part], y[part], penalties)
        predicted = np.stack([x[held] @ weight + bias for weight, bias in tried])
        errors += ((predicted - y[held]) ** 2).sum(axis=1) / y[known].var()
    best = [penalties[int(errors.argmin())]]
    n_units = fact.value.shape[1]
    probe = Probe(
        np.zeros((n_units, x.shape[1]), np.float32),
        np.zeros(n_units),
        np.zeros(n_units, bool),
        usual(fact),
    )
    for unit in solved:
        known = fact.counts[:, unit]
        [(probe.weight[unit], probe.bias[unit])] = _ridge(x[known], fact.value[known, unit], best)
        probe.is_fitted[unit] = True
    return probe


def _ridge(
    x: Readable, y: np.ndarray, penalties: Sequence[float]
) -> list[tuple[np.ndarray, float]]:
    """Weight and bias for each penalty."""
    weights, biases = np.zeros((len(penalties), x.shape[1]), np.float32), list[float]()
    mean, gram, right = _moments(x, y - y.mean())
    varies = np.diagonal(gram) > 0
    if not varies.any():  # nothing to read
        return [(weight, float(y.mean())) for weight in weights]
    if not varies.all():  # among the mazes of one unit, only about half of the ``input_pairs`` do
        mean, gram, right = mean[varies], gram[np.ix_(varies, varies)], right[varies]
    size = float(np.trace(gram)) / x.shape[1]
    for weight, penalty in zip(weights, penalties, strict=True):
        of_penalty = gram + penalty * size * np.eye(len(gram))  # in double precision
        solved = linalg.solve(of_penalty, right, assume_a="pos", overwrite_a=True)
        weight[varies] = solved
        biases.append(float(y.mean() - mean @ solved))
    return list(zip(weights, biases, strict=True))


def _moments(
    x: Readable, wanted: Float[np.ndarray, " maze"]
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"], Float[np.ndarray, " d"]]:
    """The mean of each column; X'X and X'y of the centred columns, exactly 0 for a column that does
    not vary. ``wanted`` is centred."""
    if isinstance(x, np.ndarray):
        mean = x.mean(axis=0, dtype=np.float64)
        centred = x - mean.astype(x.dtype)
        return mean, centred.T @ centred, centred.T @ wanted.astype(x.dtype)
    n = x.shape[0]
    mean = np.asarray(x.sum(axis=0, dtype=np.float64)).ravel() / n
    gram = (x.T @ x).toarray() - n * np.outer(mean, mean)
    constant = (mean == 0) | (mean == 1)  # of zeros and ones
    gram[constant] = gram[:, constant] = 0
    return mean, gram, np.asarray(x.T @ wanted)


def errors(x: Any, fact: Fact, reader: Reader) -> Errors:
    """The errors of a reader on other mazes, from what it reads there."""
    counts = fact.counts & reader.is_fitted
    sse, sst = (
        (((fact.value - each) ** 2) * counts).sum(axis=1)
        for each in (reader.predict(x), reader.usual)
    )
    return Errors(counts.sum(axis=1), sse, sst)


def mean_differences(x: Float[np.ndarray, "maze d"], fact: Fact) -> Float[np.ndarray, "unit d"]:
    """For each unit, the mean of ``x`` over mazes where the fact holds less that over mazes where
    it does not; zero if either kind is missing."""
    yes = (fact.holds() & fact.counts).astype(np.float32)
    no = fact.counts - yes
    n_yes, n_no = yes.sum(axis=0)[:, None], no.sum(axis=0)[:, None]
    difference = yes.T @ x / np.maximum(n_yes, 1) - no.T @ x / np.maximum(n_no, 1)
    return np.where((n_yes > 0) & (n_no > 0), difference, 0.0)


def given_target(
    x: Float[np.ndarray, "maze d"], fact: Fact, target: Int[np.ndarray, " maze"]
) -> Float[np.ndarray, "unit d"]:
    """The covariance of ``x`` and the fact among mazes with the same target, summed over targets,
    so that where the target is does not contribute (docs/science.md#given-target)."""
    yes, known = (fact.holds() & fact.counts).astype(np.float32), fact.counts.astype(np.float32)
    same = (target[:, None] == np.unique(target)).astype(np.float32)
    share = (same.T @ yes) / np.maximum(same.T @ known, 1)
    return ((yes - same @ share) * known).T @ x
