"""Single units as detectors of single connections (docs/science.md#single-latents).

A unit (a latent, or a dimension of the residual stream with either sign) detects a connection at
the tokens where it exceeds a threshold. For every connection the best unit and threshold are chosen
by Matthews correlation (MCC) on validation mazes, and measured on test mazes. The same search
serves every readout: SAEs of several seeds, SAEs of other architectures, many SAEs whose decoders
stay random, the SAE of an untrained model, shuffled labels, and the dimensions.

``boards`` measures, with thresholds chosen on validation mazes, what a whole SAE says of a maze
(Karvonen et al. 2024): *coverage* is the best F1 of any latent, mean over connections; a *board* is
the set of connections for which some latent of precision PRECISE fires at some token.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mazewm.features.ranking import SHARES, Labelled
from mazewm.io import tables

QUANTILES = (0.5, 0.8, 0.9, 0.95, 0.975, 0.99)  # thresholds to try, beside SHARES of the maximum
N_FOR_QUANTILES = 4000  # tokens from which these are estimated
PRECISE = 0.95  # precision of a latent that counts for a board, on validation mazes

Counted = Float[np.ndarray, "unit connection"]
# from tokens at which both are on, those of each unit and of each connection, and all
Score = Callable[[Counted, np.ndarray, np.ndarray, int], Counted]


@dataclass(frozen=True)
class SingleRow:
    """The best single unit of one connection, of one readout."""

    site: tables.Text
    readout: tables.Text
    draw: tables.Int  # 0, 1, ...: SAEs of one readout with different seeds
    connection: tables.Int
    unit: tables.Int
    mcc_chosen: tables.Real  # on validation mazes
    mcc: tables.Real  # on test mazes
    n_positive: tables.Int  # test tokens that encode the connection
    n_tokens: tables.Int


@dataclass(frozen=True)
class BoardRow:
    """How well the latents of one SAE tell which connections a test maze has."""

    site: tables.Text
    readout: tables.Text
    draw: tables.Int
    # best F1 of a latent, mean over the connections of both parts; 0 without any
    coverage: tables.Real
    n_precise: tables.Int  # connections with a latent of precision PRECISE
    precision: tables.Real  # of boards, mean over mazes
    recall: tables.Real
    f1: tables.Real
    n: tables.Int  # test mazes


class Best(NamedTuple):
    """For every unit and connection, the best threshold and its score."""

    score: Float[np.ndarray, "unit connection"]
    threshold: Float[np.ndarray, "unit connection"]


def best_single(
    fit: Labelled, test: Labelled, n_connections: int
) -> list[tuple[int, int, float, float, int]]:
    """For every connection that both parts have: its number, the unit, its MCC on ``fit`` and on
    ``test``, and the number of test tokens that encode it.

    >>> x = np.array([[0.0, 2.0], [0.0, 2.1], [1.0, 0.0], [1.2, 0.1]])
    >>> tokens = Labelled(x, np.array([0, 0, 1, 1]))
    >>> [found[:4] for found in best_single(tokens, tokens, n_connections=2)]
    [(0, 1, 1.0, 1.0), (1, 0, 1.0, 1.0)]
    """
    best, rows = _best(fit, n_connections, _mcc), []
    for e in range(n_connections):
        truth = test.connection == e
        if truth.any() and not truth.all() and (fit.connection == e).any():
            unit = int(best.score[:, e].argmax())
            said = test.x[:, unit] > best.threshold[unit, e]
            mcc = float(_mcc(*_counts(said[:, None], truth[:, None])).item())
            rows.append((e, unit, float(best.score[unit, e]), mcc, int(truth.sum())))
    return rows


class Boards(NamedTuple):
    """The measurements of a BoardRow."""

    coverage: float
    n_precise: int
    precision: float
    recall: float
    f1: float
    n: int


def boards(
    fit: Labelled, test: Labelled, test_maze: Int[np.ndarray, " token"], n_connections: int
) -> Boards:
    """What latents say of each test maze; ``test_maze`` has the maze of each token of ``test``."""
    by_f1 = _best(fit, n_connections, _f1)
    precise = _best(fit, n_connections, _recall_if_precise)
    mazes, maze = np.unique(test_maze, return_inverse=True)
    has, says = (np.zeros((len(mazes), n_connections), bool) for _ in range(2))
    has[maze, test.connection] = True
    coverage = []
    for e in range(n_connections):
        unit = int(by_f1.score[:, e].argmax())
        said, truth = test.x[:, unit] > by_f1.threshold[unit, e], test.connection == e
        if truth.any() and (fit.connection == e).any():
            coverage.append(float(_f1(*_counts(said[:, None], truth[:, None])).item()))
        units = np.flatnonzero(precise.score[:, e] > 0)
        fires = (test.x[:, units] > precise.threshold[units, e]).any(axis=1)
        says[maze[fires], e] = True
    right = (has & says).sum(axis=1)
    precision, recall = right / np.maximum(1, says.sum(axis=1)), right / has.sum(axis=1)
    f1 = 2 * right / (has.sum(axis=1) + says.sum(axis=1))
    n_precise = int((precise.score > 0).any(axis=0).sum())
    mean_of = [float(each.mean()) for each in (precision, recall, f1)]
    return Boards(
        float(np.mean(coverage)) if coverage else 0.0,
        n_precise,
        mean_of[0],
        mean_of[1],
        mean_of[2],
        len(mazes),
    )


def both_signs(tokens: Labelled) -> Labelled:
    """Every unit and its negative, for dimensions of the residual stream."""
    return Labelled(np.concatenate([tokens.x, -tokens.x], axis=1), tokens.connection)


def _best(tokens: Labelled, n_connections: int, score_of: Score) -> Best:
    """The best of all thresholds for every unit and connection."""
    truth = tokens.connection[:, None] == np.arange(n_connections)
    tried = _thresholds(tokens.x)
    best = np.full((tokens.x.shape[1], n_connections), -np.inf)
    chosen = np.zeros(best.shape)
    for threshold in tried:
        score = score_of(*_counts(tokens.x > threshold, truth))
        is_better = score > best
        best = np.where(is_better, score, best)
        chosen = np.where(is_better, threshold[:, None], chosen)
    return Best(best, chosen)


def _thresholds(x: Float[np.ndarray, "token unit"]) -> Float[np.ndarray, "threshold unit"]:
    shares = np.array(SHARES)[:, None] * np.maximum(0, x.max(axis=0))
    some = x[:: max(1, len(x) // N_FOR_QUANTILES)]
    return np.concatenate([shares, np.quantile(some, QUANTILES, axis=0)]).astype(x.dtype)


def _counts(
    said: Bool[np.ndarray, "token unit"], truth: Bool[np.ndarray, "token connection"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Tokens at which unit and connection are on, those of each, and all."""
    both = said.T.astype(np.float32) @ truth.astype(np.float32)
    return both, said.sum(axis=0)[:, None], truth.sum(axis=0)[None], len(said)


def _mcc(both: Counted, said: np.ndarray, truth: np.ndarray, n: int) -> Counted:
    spread = np.sqrt(said * (n - said).astype(float)) * np.sqrt(truth * (n - truth).astype(float))
    found: Counted = (n * both.astype(float) - said * truth) / np.maximum(spread, 1e-9)
    return np.where(spread > 0, found, 0.0)


def _f1(both: Counted, said: np.ndarray, truth: np.ndarray, n: int) -> Counted:
    return 2 * both / np.maximum(1, said + truth)


def _recall_if_precise(both: Counted, said: np.ndarray, truth: np.ndarray, n: int) -> Counted:
    """The recall of units whose precision is PRECISE, 0 of others."""
    is_precise = both >= PRECISE * np.maximum(1, said)
    return np.where(is_precise, both / np.maximum(1, truth), 0.0)
