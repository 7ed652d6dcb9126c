"""Latents and labelled tokens -> the feature map, which says which latents stand for which
connection.

The label of a token is the connection that it helps to encode. For each connection:

1. Candidates: the ``n_candidates`` units (latents, or dimensions of the residual stream) with the
   largest |t| statistic between tokens that encode the connection and tokens that do not.
2. Decision trees of depth 1, 2 and 3 on the candidates are fitted on validation mazes and measured
   on test mazes, by balanced accuracy and Matthews correlation (docs/science.md#feature-map).
3. Latents per connection: the fewest units whose tree comes within 0.01 of the best tree's balanced
   accuracy (``claims.trees``).

Readouts compared: the SAE's ``latents``; controls that should fail, ``shuffled_labels``,
``frozen_decoder`` (an SAE with random decoder directions) and ``untrained_model``; baselines that
might win, ``neurons`` (dimensions of the residual stream), ``mean_difference`` and ``linear_probe``
(one supervised direction for each connection).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from pydantic import Field

from mazewm.features.ranking import Labelled, LatentRow, rank_latents
from mazewm.io import tables
from mazewm.io.params import Params
from mazewm.localize.activations import Activations
from mazewm.localize.directions import mean_differences, probe_directions
from mazewm.maze.tokens import TokenClass
from mazewm.sae.sweep import Detector

if TYPE_CHECKING:
    from sklearn.tree import DecisionTreeClassifier

DEPTHS = (1, 2, 3)


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


def map_connections(
    site: str,
    readout: str,
    fit: Labelled,
    test: Labelled,
    n_connections: int,
    n_candidates: int,
    shuffle_seed: int | None = None,
    depths: Sequence[int] = DEPTHS,
) -> list[FeatureRow]:
    """Trees of each of the ``depths`` for every connection that both ``fit`` and ``test`` contain.

    With ``shuffle_seed`` the labels are shuffled among the tokens of each set, as a control."""
    if shuffle_seed is not None:
        rng = np.random.default_rng(shuffle_seed)
        fit, test = (Labelled(part.x, rng.permutation(part.connection)) for part in (fit, test))
    rows = []
    for e in range(n_connections):
        label, truth = fit.connection == e, test.connection == e
        if not label.any() or not truth.any():
            continue
        units = candidates(fit.x, label, n_candidates)
        x_fit, x_test = fit.x[:, units], test.x[:, units]
        for depth in depths:
            tree = _fit_tree(depth, x_fit, label)
            asked = units[np.unique(tree.tree_.feature[tree.tree_.feature >= 0])]
            rows.append(_row(site, readout, e, depth, asked, truth, tree.predict(x_test)))
    return rows


def _fit_tree(depth: int, x: np.ndarray, label: np.ndarray) -> "DecisionTreeClassifier":
    # imported late: it is slow to import, and most users of this module fit no tree
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(max_depth=depth, class_weight="balanced", random_state=0).fit(
        x, label
    )


def _row(
    site: str,
    readout: str,
    connection: int,
    depth: int,
    units: np.ndarray,
    truth: np.ndarray,
    said: np.ndarray,
) -> FeatureRow:
    accuracy, mcc = agreement(truth, said)
    return FeatureRow(
        site,
        readout,
        connection,
        depth,
        [int(u) for u in units],
        accuracy,
        mcc,
        int(truth.sum()),
        len(truth),
    )


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


def map_directions(
    site: str,
    readout: str,
    directions: Float[np.ndarray, "connection d_model"],
    fit: Labelled,
    test: Labelled,
) -> list[FeatureRow]:
    """A tree of depth 1 for every connection: a threshold along its supervised direction."""
    rows = []
    for e, direction in enumerate(directions):
        label, truth = fit.connection == e, test.connection == e
        if not label.any() or not truth.any():
            continue
        tree = _fit_tree(1, (fit.x @ direction)[:, None], label)
        rows.append(
            _row(
                site,
                readout,
                e,
                1,
                np.empty(0, int),
                truth,
                tree.predict((test.x @ direction)[:, None]),
            )
        )
    return rows


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
        return [
            row.mcc
            for row in map_connections(
                "", "", fit, test, n_connections, n_candidates, depths=DEPTHS[-1:]
            )
        ]

    return Detector(str(token_class), mcc)


class SiteTokens(NamedTuple):
    """The labelled tokens of one site: detectors are fitted on ``fit`` (validation mazes) and
    measured on ``test``."""

    fit: Labelled
    test: Labelled


def map_site(
    site: str,
    latents: dict[str, SiteTokens],
    resid: SiteTokens,
    n_connections: int,
    params: FeatureParams,
    seed: int,
) -> tuple[list[FeatureRow], list[LatentRow]]:
    """The feature map of one site: trees of every readout, and the ranked latents.

    ``latents`` holds the latents of the SAE and of its controls, by readout; ``resid`` the residual
    stream; ``seed`` shuffles the labels of the control."""
    rows: list[FeatureRow] = []
    for readout, tokens in latents.items():
        rows += map_connections(site, readout, *tokens, n_connections, params.n_candidates)
    own = latents["latents"]
    rows += map_connections(
        site, "shuffled_labels", *own, n_connections, params.n_candidates, shuffle_seed=seed
    )
    rows += map_connections(site, "neurons", *resid, n_connections, params.n_candidates)
    rows += map_directions(
        site, "mean_difference", mean_differences(*resid.fit, n_connections), *resid
    )
    rows += map_directions(
        site, "linear_probe", probe_directions(*resid.fit, n_connections), *resid
    )
    return rows, rank_latents(site, *own, n_connections, params.n_candidates)
