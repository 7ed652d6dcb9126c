"""Latents + labelled tokens -> the feature map, which says what latents stand for
which connection.

At a spelling site, the label of a token is the connection that it helps to spell. For each
connection:

1. The ``n_candidates`` units (latents, or raw residual dimensions) with the largest |t| statistic
   between tokens that spell the connection and tokens that do not are the candidates.
2. Decision trees of depth 1, 2 and 3 on the candidates, fitted on validation mazes, are measured on
   test mazes: balanced accuracy and Matthews correlation (docs/science.md#feature-map).
3. ``latents_per_connection``: the fewest units whose tree comes within 0.01 of the best tree's
   balanced accuracy.

Readouts compared: the SAE's ``latents``; controls that should fail, ``shuffled_labels``,
``frozen_decoder`` (an SAE with random directions) and ``untrained_model``; baselines that might
win, ``neurons`` (residual dimensions), ``mean_difference`` and ``linear_probe`` (one supervised
direction for each connection).

A latent detects a connection if "it is active" says so; its F1 is that of the best of a few
thresholds, SHARES of its maximum.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field

from mazewm.features.ranking import Labelled, LatentRow, rank_latents
from mazewm.io import tables
from mazewm.io.params import Params
from mazewm.io.streams import stream
from mazewm.localize.activations import Activations
from mazewm.localize.directions import mean_differences, probe_directions
from mazewm.maze.tokens import TokenClass
from mazewm.sae.sweep import Detector

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeClassifier

DEPTHS = (1, 2, 3)
# the supervised directions, by readout
DIRECT = {"mean_difference": mean_differences, "linear_probe": probe_directions}


class FeatureParams(Params):
    """How the feature map is made."""

    n_candidates: Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class FeatureRow:
    """One tree: how well a readout tells one connection from the others."""

    site: tables.Text
    readout: tables.Text
    connection: tables.Int
    depth: tables.Int
    units: tables.Cells  # the latents or dimensions that the tree asks about; empty for directions
    balanced_accuracy: tables.Real
    mcc: tables.Real
    n_positive: tables.Int  # test tokens that spell the connection
    n_tokens: tables.Int


def candidates(
    x: Float[np.ndarray, "token unit"], label: np.ndarray, n: int
) -> Int[np.ndarray, " candidate"]:
    """The units with the largest |t| between labelled and other tokens."""
    on, off = x[label], x[~label]
    spread = np.sqrt(on.var(axis=0) / len(on) + off.var(axis=0) / len(off))
    t = np.abs(on.mean(axis=0) - off.mean(axis=0)) / np.maximum(spread, 1e-9)
    return np.argsort(-t, kind="stable")[:n]


class SiteTokens(NamedTuple):
    """What is known of one site's tokens: fitted on ``fit`` (validation mazes), measured on
    ``test``; the labels are numbers below ``n_connections``."""

    fit: Labelled
    test: Labelled
    n_connections: int

    def shuffled(self, rng: np.random.Generator) -> "SiteTokens":
        """The same tokens with the labels of each part in another order."""
        fit, test = (
            Labelled(part.x, rng.permutation(part.connection)) for part in (self.fit, self.test)
        )
        return SiteTokens(fit, test, self.n_connections)


class Tree(NamedTuple):
    """A detector of one connection, and how well it does on test tokens: a FeatureRow but for where
    and of what."""

    connection: int
    depth: int
    units: list[int]
    balanced_accuracy: float
    mcc: float
    n_positive: int
    n_tokens: int


def map_connections(
    tokens: SiteTokens, n_candidates: int, depths: Sequence[int] = DEPTHS
) -> list[Tree]:
    """Trees of each depth for every connection that both parts have."""
    found = []
    for e, label, truth in _labels(tokens):
        units = candidates(tokens.fit.x, label, n_candidates)
        x_fit, x_test = tokens.fit.x[:, units], tokens.test.x[:, units]
        for depth in depths:
            tree = _fit_tree(depth, x_fit, label)
            asked = units[np.unique(tree.tree_.feature[tree.tree_.feature >= 0])]
            found.append(_judged(e, depth, asked, truth, tree.predict(x_test)))
    return found


def map_directions(
    tokens: SiteTokens, directions: Float[np.ndarray, "connection d_model"]
) -> list[Tree]:
    """One threshold along one supervised direction for every connection that both parts have."""
    found = []
    for e, label, truth in _labels(tokens):
        along_fit, along_test = (part.x @ directions[e] for part in (tokens.fit, tokens.test))
        tree = _fit_tree(1, along_fit[:, None], label)
        found.append(_judged(e, 1, np.empty(0, int), truth, tree.predict(along_test[:, None])))
    return found


def _labels(tokens: SiteTokens) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each connection that both parts have, with the tokens of each part that spell it."""
    for e in range(tokens.n_connections):
        label, truth = tokens.fit.connection == e, tokens.test.connection == e
        if label.any() and truth.any():
            yield e, label, truth


def _fit_tree(depth: int, x: np.ndarray, label: np.ndarray) -> "DecisionTreeClassifier":
    # slow, and most who import this module fit nothing
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=depth, class_weight="balanced", random_state=0).fit(
        x, label
    )


def _judged(e: int, depth: int, units: np.ndarray, truth: np.ndarray, said: np.ndarray) -> Tree:
    accuracy, mcc = agreement(truth, said)
    n_positive, n_tokens = int(truth.sum()), len(truth)
    return Tree(e, depth, [int(u) for u in units], accuracy, mcc, n_positive, n_tokens)


def agreement(
    truth: Bool[np.ndarray, " token"], said: Bool[np.ndarray, " token"]
) -> tuple[float, float]:
    """Balanced accuracy and Matthews correlation of a detector, where there is something to find;
    the same bits as scikit-learn's, whose checks of its input take twenty times as long as the
    counting."""
    n, n_on, n_said, n_found = (
        len(truth),
        int(truth.sum()),
        int(said.sum()),
        int((truth & said).sum()),
    )
    recalls = [n_found / n_on]
    if n_on < n:
        recalls.append((n - n_on - n_said + n_found) / (n - n_on))
    variances = n_on * (n - n_on) * n_said * (n - n_said)
    return sum(recalls) / len(recalls), (n * n_found - n_on * n_said) / math.sqrt(
        variances
    ) if variances else 0.0


def detector(
    held_out: Activations, token_class: TokenClass, n_connections: int, n_candidates: int
) -> Detector:
    """Of the latents of the ``held_out`` tokens: by connection, the Matthews correlation of the
    deepest tree at the tokens of one class, fitted on the mazes of even number and measured on the
    others."""
    at, is_fit = held_out.token_class == str(token_class), held_out.maze_id % 2 == 0

    def mcc(latents: Float[np.ndarray, "token latent"]) -> list[float]:
        fit, test = (
            Labelled(latents[at & half], held_out.connection[at & half])
            for half in (is_fit, ~is_fit)
        )
        tokens = SiteTokens(fit, test, n_connections)
        return [tree.mcc for tree in map_connections(tokens, n_candidates, DEPTHS[-1:])]

    return Detector(str(token_class), mcc)


def map_site(
    site: str,
    latents: dict[str, SiteTokens],
    resid: SiteTokens,
    params: FeatureParams,
    seed: int,
) -> tuple[list[FeatureRow], list[LatentRow]]:
    """The feature map of one site. ``latents`` holds the SAE's and its controls' latents by
    readout; ``resid`` the activations."""
    n, own = params.n_candidates, latents["latents"]
    known = [direct(*resid.fit, resid.n_connections) for direct in DIRECT.values()]
    trees = {readout: map_connections(tokens, n) for readout, tokens in latents.items()}
    shuffled = own.shuffled(stream("features: shuffled labels", seed))
    trees |= {"shuffled_labels": map_connections(shuffled, n), "neurons": map_connections(resid, n)}
    trees |= {name: map_directions(resid, each) for name, each in zip(DIRECT, known, strict=True)}
    rows = [FeatureRow(site, readout, *tree) for readout, each in trees.items() for tree in each]
    return rows, rank_latents(site, *own, n)
