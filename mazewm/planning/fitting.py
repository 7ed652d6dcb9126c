"""Ridge regressions for facts, one for each cell or connection; scores, and other directions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy import linalg

from mazewm.planning.facts import Fact

N_LEAST = 5  # mazes of either kind that a unit needs, to be fitted and to be measured


HELD_EVERY = 5  # of the mazes that probes are fitted on, every fifth chooses the penalty


class Probe(NamedTuple):
    """A linear readout for each unit; zeros where there were too few mazes to fit one."""

    weight: Float[np.ndarray, "unit d"]
    bias: Float[np.ndarray, " unit"]
    is_fitted: Bool[np.ndarray, " unit"]


def shuffled(fact: Fact, rng: np.random.Generator) -> Fact:
    """The same values, dealt out anew among the mazes that count for each unit."""
    value = fact.value.copy()
    for unit, known in enumerate(fact.counts.T):
        value[known, unit] = rng.permutation(value[known, unit])
    return fact._replace(value=value)


def units(fact: Fact) -> np.ndarray:
    """The units with enough mazes of either kind."""
    yes = fact.holds() & fact.counts
    return np.flatnonzero(
        (yes.sum(axis=0) >= N_LEAST) & ((fact.counts & ~yes).sum(axis=0) >= N_LEAST)
    )


def fit(x: Float[np.ndarray, "maze d"], fact: Fact, penalties: Sequence[float]) -> Probe:
    """Ridge regressions of a fact, one for each unit, with the penalty that predicts every fifth
    maze best when the others are fitted."""
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
    """Weight and bias for each penalty. With fewer mazes than dimensions the smaller, dual problem
    is solved (Saunders et al. 1998), which has the same solution."""
    mean = x.mean(axis=0, dtype=np.float64)
    # of the products of the input, about half do among the mazes of one unit
    varies = (x != x[0]).any(axis=0)
    centred, wanted = x[:, varies] - mean[varies], y - y.mean()
    is_dual = centred.shape[0] < centred.shape[1]
    gram = centred @ centred.T if is_dual else centred.T @ centred
    # at a constant token there is nothing to read
    size = max(float(np.trace(gram)) / x.shape[1], 1e-9)
    right = wanted if is_dual else centred.T @ wanted
    weights = np.zeros((len(penalties), x.shape[1]))
    for weight, penalty in zip(weights, penalties, strict=True):
        ridge = linalg.solve(gram + penalty * size * np.eye(len(gram)), right, assume_a="sym")
        weight[varies] = ridge @ centred if is_dual else ridge
    return [(weight, float(y.mean() - mean @ weight)) for weight in weights]


def score(x: Float[np.ndarray, "maze d"], fact: Fact, probe: Probe) -> dict[int, tuple[float, int]]:
    """Score and number of mazes of each unit that is fitted and that enough of these mazes count
    for."""
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
    """1 - sum of squared errors / sum of squared distances from the mean."""
    return float(1 - ((predicted - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def auroc(is_yes: np.ndarray, predicted: np.ndarray) -> float:
    """The share of pairs of a yes and a no in which the yes is predicted to be higher; ties count
    half."""
    ranks, n_yes = pd.Series(predicted).rank().to_numpy(), int(is_yes.sum())
    return float((ranks[is_yes].sum() - n_yes * (n_yes + 1) / 2) / (n_yes * (len(is_yes) - n_yes)))


def mean_differences(x: Float[np.ndarray, "maze d"], fact: Fact) -> Float[np.ndarray, "unit d"]:
    """Of the mazes that count for a unit: the mean where the fact holds less the mean where it does
    not; zero where either is missing."""
    yes = (fact.holds() & fact.counts).astype(np.float32)
    no = fact.counts - yes
    n_yes, n_no = yes.sum(axis=0)[:, None], no.sum(axis=0)[:, None]
    difference = yes.T @ x / np.maximum(n_yes, 1) - no.T @ x / np.maximum(n_no, 1)
    return np.where((n_yes > 0) & (n_no > 0), difference, 0.0)


def given_target(
    x: Float[np.ndarray, "maze d"], fact: Fact, target: Int[np.ndarray, " maze"]
) -> Float[np.ndarray, "unit d"]:
    """Covariance of x and the fact within mazes that have the same target, summed over targets:
    where the target is has no part in it."""
    yes, known = (fact.holds() & fact.counts).astype(np.float32), fact.counts.astype(np.float32)
    same = (target[:, None] == np.unique(target)).astype(np.float32)
    share = (same.T @ yes) / np.maximum(same.T @ known, 1)
    return ((yes - same @ share) * known).T @ x
