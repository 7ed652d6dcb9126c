"""Ridge probes for facts, one for each cell or connection; their scores; and mean differences, the
directions that probes are compared with.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy import linalg

from mazewm.planning.facts import Fact

N_LEAST = 5  # mazes with and without the fact that a unit needs to be fitted or scored


HELD_EVERY = 5  # every fifth of the mazes for fitting is held out to choose the penalty


class Probe(NamedTuple):
    """A linear probe for each unit; zeros where there were too few mazes to fit one."""

    weight: Float[np.ndarray, "unit d"]
    bias: Float[np.ndarray, " unit"]
    is_fitted: Bool[np.ndarray, " unit"]


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


def fit(x: Float[np.ndarray, "maze d"], fact: Fact, penalties: Sequence[float]) -> Probe:
    """Ridge regressions of a fact on ``x``, one for each unit, all with the same penalty.

    It is the one of ``penalties`` (multiples of the mean eigenvalue of X'X) with the least error on
    every fifth maze when the others are fitted; then all mazes are fitted."""
    is_held = np.arange(len(x)) % HELD_EVERY == HELD_EVERY - 1
    errors, solved = np.zeros(len(penalties)), []
    for unit in units(fact):
        known = fact.counts[:, unit]
        y = fact.value[:, unit]
        part, held = known & ~is_held, known & is_held
        tried = _ridge(x[part], y[part], penalties)
        predicted = np.stack([x[held] @ weight + bias for weight, bias in tried])
        errors += ((predicted - y[held]) ** 2).sum(axis=1) / y[known].var()
        solved.append(unit)
    best = [penalties[int(errors.argmin())]]
    probe = Probe(
        np.zeros((fact.value.shape[1], x.shape[1])),
        np.zeros(fact.value.shape[1]),
        np.zeros(fact.value.shape[1], bool),
    )
    for unit in solved:
        known = fact.counts[:, unit]
        [(probe.weight[unit], probe.bias[unit])] = _ridge(x[known], fact.value[known, unit], best)
        probe.is_fitted[unit] = True
    return probe


def _ridge(
    x: np.ndarray, y: np.ndarray, penalties: Sequence[float]
) -> list[tuple[np.ndarray, float]]:
    """Weight and bias for each penalty. With fewer mazes than dimensions the dual problem is solved
    (Saunders et al. 1998), which is smaller and has the same solution."""
    mean = x.mean(axis=0, dtype=np.float64)
    # among the mazes of one unit, only about half of the ``input_pairs`` vary
    varies = (x != x[0]).any(axis=0)
    centred, wanted = x[:, varies] - mean[varies], y - y.mean()
    is_dual = centred.shape[0] < centred.shape[1]
    gram = centred @ centred.T if is_dual else centred.T @ centred
    # not zero, even where x is constant and so has nothing to read
    size = max(float(np.trace(gram)) / x.shape[1], 1e-9)
    right = wanted if is_dual else centred.T @ wanted
    weights = np.zeros((len(penalties), x.shape[1]))
    for weight, penalty in zip(weights, penalties, strict=True):
        ridge = linalg.solve(gram + penalty * size * np.eye(len(gram)), right, assume_a="sym")
        weight[varies] = ridge @ centred if is_dual else ridge
    return [(weight, float(y.mean() - mean @ weight)) for weight in weights]


def score(x: Float[np.ndarray, "maze d"], fact: Fact, probe: Probe) -> dict[int, tuple[float, int]]:
    """For each unit that is fitted and for which enough of these mazes count: its score (R² of a
    distance, AUROC otherwise) and its number of mazes."""
    scores = {}
    for unit in np.intersect1d(units(fact), np.flatnonzero(probe.is_fitted)):
        known = fact.counts[:, unit]
        y, predicted = fact.value[known, unit], x[known] @ probe.weight[unit] + probe.bias[unit]
        scores[int(unit)] = (
            r_squared(y, predicted) if fact.is_number else auroc(y > 0.5, predicted),
            int(known.sum()),
        )
    return scores


def r_squared(y: np.ndarray, predicted: np.ndarray) -> float:
    """Coefficient of determination: 1 less the sum of squared errors over that of the mean.

    >>> y = np.array([1.0, 2.0, 3.0])
    >>> r_squared(y, y), r_squared(y, np.full(3, 2.0))
    (1.0, 0.0)
    """
    return float(1 - ((predicted - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def auroc(is_yes: np.ndarray, predicted: np.ndarray) -> float:
    """Area under the ROC curve: the share of pairs of a yes and a no in which the yes has the
    higher prediction; ties count half.

    >>> auroc(np.array([True, True, False]), np.array([0.9, 0.4, 0.5]))
    0.5
    """
    ranks, n_yes = pd.Series(predicted).rank().to_numpy(), int(is_yes.sum())
    return float((ranks[is_yes].sum() - n_yes * (n_yes + 1) / 2) / (n_yes * (len(is_yes) - n_yes)))


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
