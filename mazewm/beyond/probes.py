"""Linear probes for facts beyond the input, at the tokens between input and output and at every depth, with their controls.

Tokens: the last three of the prompt, ``target <TARGET_END> <PATH_START>``, and ``origin``, the first of the path. Every path starts at the
origin, which the prompt has named, so none of them gives any of the answer away, as later tokens of the path would. Depth 0 is
the embedding, depth l the residual stream after l blocks.

A probe is a ridge regression for each cell or connection, fitted on training mazes that count for it. Its penalty is chosen for all
units together on every fifth maze of the fit. It is measured on validation mazes, where token and depth are chosen, and on test mazes.
Score of a unit: R^2 of a distance (predicting the unit's mean scores 0), area under the ROC curve of a yes or no (chance: 0.5).

Readouts: ``model``; ``untrained_model``, the same architecture; ``shuffled_labels``, the model's residual stream and the labels of
other mazes. Without a model, so without a token and a depth: ``input``, connections, origin and target as bits, which is what can be
read off the input linearly; ``input_pairs``, these bits and all products of connections, origins and targets, which is what one look
at the input from the origin or from the target can give.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from scipy import linalg

from mazewm import tables
from mazewm.beyond.facts import Fact, facts
from mazewm.errors import BadInput
from mazewm.maze.mazes import Mazes
from mazewm.model.edits import run
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer
from mazewm.params import Params
from mazewm.tokens import prompt_length, spell

Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]

TOKENS = ("target", "<TARGET_END>", "<PATH_START>", "origin")
NO_DEPTH = -1
NO_TOKEN = "none"
N_LEAST = 5  # mazes of either kind that a unit needs, to be fitted and to be measured
HELD_EVERY = 5  # of the mazes that probes are fitted on, every fifth chooses the penalty


class BeyondParams(Params):
    """Which mazes probes and steering use."""

    n_fit_mazes: Count  # training mazes
    n_held_out_mazes: Count  # of validation and of test
    penalties: Annotated[list[Positive], Field(min_length=1)]  # of the ridge, in multiples of the mean eigenvalue of X'X
    n_steered: Count  # test mazes in each situation
    n_steered_validation: Count  # and validation mazes, where depth and dose are chosen
    doses: Annotated[list[Positive], Field(min_length=1)]  # of the distance between mazes with and without the fact
    batch_size: Count
    n_threads: Count


@dataclass(frozen=True)
class BeyondRow:
    """One unit under one readout."""

    split: tables.Text
    fact: tables.Text
    token: tables.Text  # one of TOKENS; none for the input's bits
    depth: tables.Int  # blocks passed; 0 is the embedding, -1 the input's bits
    readout: tables.Text
    unit: tables.Int  # the number of a cell or of a connection
    score: tables.Real  # R^2 of a distance, area under the ROC curve otherwise
    n: tables.Int  # mazes


class Probe(NamedTuple):
    """A linear readout for each unit; zeros where there were too few mazes to fit one."""

    weight: Float[np.ndarray, "unit d"]
    bias: Float[np.ndarray, " unit"]
    is_fitted: Bool[np.ndarray, " unit"]


class Directions(NamedTuple):
    """What says that a fact holds, in the trained model's residual stream at one token and depth; of a distance: that it is short."""

    probe: Float[np.ndarray, "unit d_model"]
    shuffled_labels: Float[np.ndarray, "unit d_model"]
    mean_difference: Float[np.ndarray, "unit d_model"]  # from mazes in which the fact does not hold to those in which it does
    given_target: Float[np.ndarray, "unit d_model"]  # the same among mazes with equal targets, up to its length
    is_known: Bool[np.ndarray, " unit"]


def check_apart(fit: Mazes, test: Mazes) -> None:
    """BadInput if a connection set is in both batches."""
    shared = {row.tobytes() for row in fit.connections} & {row.tobytes() for row in test.connections}
    if shared:
        raise BadInput(f"mazes: expected no connection set both where probes are fitted and where they are measured, found {len(shared)}.")


def depths(model: Transformer) -> list[Place]:
    """The residual stream at every depth."""
    return [Place(0, Site.RESID_PRE), *(Place(layer, Site.RESID_POST) for layer in range(model.params.n_layers))]


def read(model: Transformer, mazes: Mazes, rng: np.random.Generator, batch: int) -> Float[np.ndarray, "token depth maze d_model"]:
    """The residual stream at the tokens and every depth."""
    wanted = depths(model)
    values = np.empty((len(TOKENS), len(wanted), len(mazes), model.params.d_model), np.float32)
    for n, group in mazes.by_n_connections().items():
        for start in range(0, len(group), batch):
            index = group[start : start + batch]
            tokens = torch.from_numpy(spell(mazes[index], rng).tokens[:, : prompt_length(n) + 1]).to(model.device)
            with torch.inference_mode():
                seen = run(model, tokens, record=wanted).values
            for depth, place in enumerate(wanted):
                values[:, depth, index] = seen[place][:, -len(TOKENS) :].transpose(0, 1).cpu().numpy()
    return values


def bits(mazes: Mazes) -> Float[np.ndarray, "maze bit"]:
    """The input itself: connections, origin and target, each as ones and zeros."""
    one_hot = np.eye(mazes.grid.n_cells, dtype=np.float32)
    return np.concatenate([mazes.connections, one_hot[mazes.origin], one_hot[mazes.target]], axis=1, dtype=np.float32)


def pairs(mazes: Mazes) -> Float[np.ndarray, "maze pair"]:
    """The bits, and for every two of connection, origin and target whether both are there."""
    cells = np.arange(mazes.grid.n_cells)
    origin, target = mazes.origin[:, None] == cells, mazes.target[:, None] == cells
    both = [a[:, :, None] & b[:, None] for a, b in ((mazes.connections, target), (mazes.connections, origin), (origin, target))]
    return np.concatenate([bits(mazes), *(products.reshape(len(mazes), -1) for products in both)], axis=1, dtype=np.float32)


def shuffled(fact: Fact, rng: np.random.Generator) -> Fact:
    """The same values, dealt out anew among the mazes that count for each unit."""
    value = fact.value.copy()
    for unit, known in enumerate(fact.counts.T):
        value[known, unit] = rng.permutation(value[known, unit])
    return fact._replace(value=value)


def units(fact: Fact) -> np.ndarray:
    """The units with enough mazes of either kind."""
    yes = fact.holds() & fact.counts
    return np.flatnonzero((yes.sum(axis=0) >= N_LEAST) & ((fact.counts & ~yes).sum(axis=0) >= N_LEAST))


def fit(x: Float[np.ndarray, "maze d"], fact: Fact, penalties: Sequence[float]) -> Probe:
    """Ridge regressions of a fact, one for each unit, with the penalty that predicts every fifth maze best when the others are fitted."""
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
    probe = Probe(np.zeros((fact.value.shape[1], x.shape[1])), np.zeros(fact.value.shape[1]), np.zeros(fact.value.shape[1], bool))
    for unit in solved:
        known = fact.counts[:, unit]
        [(probe.weight[unit], probe.bias[unit])] = _ridge(x[known], fact.value[known, unit], best)
        probe.is_fitted[unit] = True
    return probe


def _ridge(x: np.ndarray, y: np.ndarray, penalties: Sequence[float]) -> list[tuple[np.ndarray, float]]:
    """Weight and bias for each penalty. With fewer mazes than dimensions the smaller, dual problem is solved (Saunders et al. 1998), which
    has the same solution."""
    mean = x.mean(axis=0, dtype=np.float64)
    varies = (x != x[0]).any(axis=0)  # of the products of the input, about half do among the mazes of one unit
    centred, wanted = x[:, varies] - mean[varies], y - y.mean()
    is_dual = centred.shape[0] < centred.shape[1]
    gram = centred @ centred.T if is_dual else centred.T @ centred
    size = max(float(np.trace(gram)) / x.shape[1], 1e-9)  # at a constant token there is nothing to read
    right = wanted if is_dual else centred.T @ wanted
    weights = np.zeros((len(penalties), x.shape[1]))
    for weight, penalty in zip(weights, penalties, strict=True):
        ridge = linalg.solve(gram + penalty * size * np.eye(len(gram)), right, assume_a="sym")
        weight[varies] = ridge @ centred if is_dual else ridge
    return [(weight, float(y.mean() - mean @ weight)) for weight in weights]


def score(x: Float[np.ndarray, "maze d"], fact: Fact, probe: Probe) -> dict[int, tuple[float, int]]:
    """Score and number of mazes of each unit that is fitted and that enough of these mazes count for."""
    scores = {}
    for unit in np.intersect1d(units(fact), np.flatnonzero(probe.is_fitted)):
        known = fact.counts[:, unit]
        y, predicted = fact.value[known, unit], x[known] @ probe.weight[unit] + probe.bias[unit]
        scores[int(unit)] = (r_squared(y, predicted) if fact.is_number else auroc(y > 0.5, predicted), int(known.sum()))
    return scores


def r_squared(y: np.ndarray, predicted: np.ndarray) -> float:
    """1 - sum of squared errors / sum of squared distances from the mean."""
    return float(1 - ((predicted - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def auroc(is_yes: np.ndarray, predicted: np.ndarray) -> float:
    """The share of pairs of a yes and a no in which the yes is predicted to be higher; ties count half."""
    ranks, n_yes = pd.Series(predicted).rank().to_numpy(), int(is_yes.sum())
    return float((ranks[is_yes].sum() - n_yes * (n_yes + 1) / 2) / (n_yes * (len(is_yes) - n_yes)))


def mean_differences(x: Float[np.ndarray, "maze d"], fact: Fact) -> Float[np.ndarray, "unit d"]:
    """Of the mazes that count for a unit: the mean where the fact holds less the mean where it does not; zero where either is missing."""
    yes = (fact.holds() & fact.counts).astype(np.float32)
    no = fact.counts - yes
    n_yes, n_no = yes.sum(axis=0)[:, None], no.sum(axis=0)[:, None]
    difference = yes.T @ x / np.maximum(n_yes, 1) - no.T @ x / np.maximum(n_no, 1)
    return np.where((n_yes > 0) & (n_no > 0), difference, 0.0)


def given_target(x: Float[np.ndarray, "maze d"], fact: Fact, target: Int[np.ndarray, " maze"]) -> Float[np.ndarray, "unit d"]:
    """Covariance of x and the fact within mazes that have the same target, summed over targets: where the target is has no part in it."""
    yes, known = (fact.holds() & fact.counts).astype(np.float32), fact.counts.astype(np.float32)
    same = (target[:, None] == np.unique(target)).astype(np.float32)
    share = (same.T @ yes) / np.maximum(same.T @ known, 1)
    return ((yes - same @ share) * known).T @ x


class Measured(NamedTuple):
    """The scores of every readout, and the directions by fact, token and depth."""

    rows: list[BeyondRow]
    directions: dict[tuple[str, str, int], Directions]


def measure(
    model: Transformer, untrained: Transformer, fit_mazes: Mazes, held_out: Mapping[str, Mazes], params: BeyondParams, seed: int
) -> Measured:
    """Fit every probe on some mazes and score it on each of the ``held_out`` splits."""
    for mazes in held_out.values():
        check_apart(fit_mazes, mazes)
    known, asked = facts(fit_mazes), {split: facts(mazes) for split, mazes in held_out.items()}
    dealt = {name: shuffled(fact, np.random.default_rng([seed, 1])) for name, fact in known.items()}
    rows: list[BeyondRow] = []
    directions = {}

    def add(fact: str, token: str, depth: int, readout: str, x: Mapping[str, np.ndarray], probe: Probe) -> None:
        for split, values in x.items():
            scores = score(values, asked[split][fact], probe).items()
            rows.extend(BeyondRow(split, fact, token, depth, readout, unit, value, n) for unit, (value, n) in scores)

    for readout, spelled_out in (("input", bits), ("input_pairs", pairs)):
        x = {split: spelled_out(mazes) for split, mazes in held_out.items()}
        for name, fact in known.items():
            add(name, NO_TOKEN, NO_DEPTH, readout, x, fit(spelled_out(fit_mazes), fact, params.penalties))
    for readout, network in (("model", model), ("untrained_model", untrained)):
        rng = np.random.default_rng([seed, 0])
        seen = read(network, fit_mazes, rng, params.batch_size)
        new = {split: read(network, mazes, rng, params.batch_size) for split, mazes in held_out.items()}
        for (nth, token), depth in product(enumerate(TOKENS), range(len(depths(network)))):
            here, x = seen[nth, depth], {split: values[nth, depth] for split, values in new.items()}
            for name, fact in known.items():
                probe = fit(here, fact, params.penalties)
                add(name, token, depth, readout, x, probe)
                if network is model:
                    control = fit(here, dealt[name], params.penalties)
                    add(name, token, depth, "shuffled_labels", x, control)
                    sign = -1.0 if fact.is_number else 1.0
                    learned = (sign * probe.weight, sign * control.weight)
                    averaged = (mean_differences(here, fact), given_target(here, fact, fit_mazes.target))
                    directions[name, token, depth] = Directions(*learned, *averaged, probe.is_fitted)
    return Measured(rows, directions)
