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
    """Trees for every connection; with ``shuffle_seed`` the labels are shuffled among the tokens of
    each set."""
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
    # slow, and most who import this module fit nothing
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


def map_directions(
    site: str,
    readout: str,
    directions: Float[np.ndarray, "connection d_model"],
    fit: Labelled,
    test: Labelled,
) -> list[FeatureRow]:
    """One threshold along one supervised direction for every connection."""
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
    """Of the latents of the ``held_out`` tokens: by connection, the Matthews correlation of the
    deepest tree at the tokens of one class, fitted on the mazes of even number and measured on the
    others."""
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
    """What is known of one site's tokens: fitted on ``fit`` (validation mazes), measured on
    ``test``."""

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
    """The feature map of one site. ``latents`` holds the SAE's and its controls' latents by
    readout; ``resid`` the activations."""
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
