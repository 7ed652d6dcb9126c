"""Latents and labelled tokens -> the feature map, which says which latents stand for which
connection.

The label of a token is the connection that it helps to encode. For each connection:

1. Candidates: the ``n_candidates`` units (latents, or dimensions of the residual stream) with the
   largest |t| statistic between tokens that encode the connection and tokens that do not.
2. Decision trees of depth 1, 2 and 3 on the candidates are fitted on validation mazes and measured
   on test mazes, by balanced accuracy and Matthews correlation (docs/science.md#feature-map).
3. Latents per connection: the fewest units whose tree comes within 0.01 of the best tree's MCC on
   validation mazes (``claims.trees``).

Readouts compared: the SAE's ``latents``; controls that should fail, ``shuffled_labels``,
``frozen_decoder`` (an SAE with random decoder directions) and ``untrained_model``; baselines that
might win, ``neurons`` (dimensions of the residual stream), ``mean_difference`` and ``linear_probe``
(one supervised direction for each connection).
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

    # units that a connection's trees may use, and latents that are ranked for it
    n_candidates: Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class FeatureRow:
    """One tree: how well a readout tells one connection from the others."""

    site: tables.Text
    readout: tables.Text
    connection: tables.Int
    depth: tables.Int
    units: tables.Cells  # the latents or dimensions that the tree splits on; empty for directions
    balanced_accuracy: tables.Real
    mcc: tables.Real
    mcc_chosen: tables.Real  # on validation mazes, by which sizes are chosen
    n_positive: tables.Int  # test tokens that encode the connection
    n_tokens: tables.Int  # all test tokens of the site


def candidates(
    x: Float[np.ndarray, "token unit"], label: np.ndarray, n: int
) -> Int[np.ndarray, " candidate"]:
    """The ``n`` units with the largest |t| between labelled and other tokens, largest first.

    >>> x = np.array([[0.0, 1.0], [1.0, 1.1], [0.0, 0.1], [1.0, 0.0]])
    >>> candidates(x, np.array([True, True, False, False]), n=1)  # only unit 1 tells them apart
    array([1])
    """
    on, off = x[label], x[~label]
    spread = np.sqrt(on.var(axis=0) / len(on) + off.var(axis=0) / len(off))
    t = np.abs(on.mean(axis=0) - off.mean(axis=0)) / np.maximum(spread, 1e-9)
    return np.argsort(-t, kind="stable")[:n]


class SiteTokens(NamedTuple):
    """The labelled tokens of one site: detectors are fitted on ``fit`` (validation mazes) and
    measured on ``test``. The labels are connection numbers below ``n_connections``."""

    fit: Labelled
    test: Labelled
    n_connections: int

    def shuffled(self, rng: np.random.Generator) -> "SiteTokens":
        """The same tokens, with the labels shuffled among the tokens of each part, as a control."""
        fit, test = (
            Labelled(part.x, rng.permutation(part.connection)) for part in (self.fit, self.test)
        )
        return SiteTokens(fit, test, self.n_connections)


class Tree(NamedTuple):
    """A detector of one connection, and its scores on test tokens: a FeatureRow without site and
    readout."""

    connection: int
    depth: int
    units: list[int]
    balanced_accuracy: float
    mcc: float
    mcc_chosen: float
    n_positive: int
    n_tokens: int


def map_connections(
    tokens: SiteTokens, n_candidates: int, depths: Sequence[int] = DEPTHS
) -> list[Tree]:
    """Trees of each of the ``depths`` for every connection that both parts contain."""
    found = []
    for e, label, truth in _labels(tokens):
        units = candidates(tokens.fit.x, label, n_candidates)
        x_fit, x_test = tokens.fit.x[:, units], tokens.test.x[:, units]
        for depth in depths:
            tree = _fit_tree(depth, x_fit, label)
            asked = units[np.unique(tree.tree_.feature[tree.tree_.feature >= 0])]
            chosen = agreement(label, tree.predict(x_fit))[1]
            found.append(_judged(e, depth, asked, chosen, truth, tree.predict(x_test)))
    return found


def map_directions(
    tokens: SiteTokens, directions: Float[np.ndarray, "connection d_model"]
) -> list[Tree]:
    """A tree of depth 1 for every connection that both parts contain: a threshold along its
    supervised direction."""
    found = []
    for e, label, truth in _labels(tokens):
        along_fit, along_test = (part.x @ directions[e] for part in (tokens.fit, tokens.test))
        tree = _fit_tree(1, along_fit[:, None], label)
        chosen = agreement(label, tree.predict(along_fit[:, None]))[1]
        said = tree.predict(along_test[:, None])
        found.append(_judged(e, 1, np.empty(0, int), chosen, truth, said))
    return found


def _labels(tokens: SiteTokens) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Each connection that both parts contain, with the tokens of each part that encode it. None
    that all tokens of a part encode: there is nothing to tell it from."""
    for e in range(tokens.n_connections):
        label, truth = tokens.fit.connection == e, tokens.test.connection == e
        if label.any() and truth.any() and not label.all() and not truth.all():
            yield e, label, truth


def _fit_tree(depth: int, x: np.ndarray, label: np.ndarray) -> "DecisionTreeClassifier":
    # imported late: it is slow to import, and most users of this module fit no tree
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=depth, class_weight="balanced", random_state=0).fit(
        x, label
    )


def _judged(
    e: int, depth: int, units: np.ndarray, chosen: float, truth: np.ndarray, said: np.ndarray
) -> Tree:
    accuracy, mcc = agreement(truth, said)
    n_positive, n_tokens = int(truth.sum()), len(truth)
    return Tree(e, depth, [int(u) for u in units], accuracy, mcc, chosen, n_positive, n_tokens)


def agreement(
    truth: Bool[np.ndarray, " token"], said: Bool[np.ndarray, " token"]
) -> tuple[float, float]:
    """Balanced accuracy and Matthews correlation of a detector; ``truth`` must hold somewhere.

    The results equal scikit-learn's to the last bit, without the checks of the input, which take
    twenty times as long as the counting.

    >>> truth = np.array([True, True, False, False])
    >>> agreement(truth, truth), agreement(truth, np.full(4, True))
    ((1.0, 1.0), (0.5, 0.0))
    """
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
    """A score of SAEs by how well their latents on the ``held_out`` tokens detect connections.

    For each connection it gives the Matthews correlation of the deepest tree at the tokens of one
    class, fitted on mazes with an even number and measured on those with an odd one."""
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
    """The feature map of one site: trees of every readout, and the ranked latents.

    ``latents`` holds the latents of the SAE and of its controls, by readout; ``resid`` the residual
    stream; ``seed`` shuffles the labels of the control."""
    n, own = params.n_candidates, latents["latents"]
    known = [direct(*resid.fit, resid.n_connections) for direct in DIRECT.values()]
    trees = {readout: map_connections(tokens, n) for readout, tokens in latents.items()}
    shuffled = own.shuffled(stream("features: shuffled labels", seed))
    trees |= {"shuffled_labels": map_connections(shuffled, n), "neurons": map_connections(resid, n)}
    trees |= {name: map_directions(resid, each) for name, each in zip(DIRECT, known, strict=True)}
    rows = [FeatureRow(site, readout, *tree) for readout, each in trees.items() for tree in each]
    return rows, rank_latents(site, *own, n)
