"""Single latents as detectors of connections: the best latents of each connection, and whether they
mean the same early and late in the prompt.

A latent detects a connection at the tokens where it exceeds a threshold: one of ``SHARES`` of its
maximum, the one with the best F1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from mazewm.io import tables
from mazewm.localize.halves import EARLY, LATE, Middle

SHARES = (0.0, 0.1, 0.2, 0.3, 0.5)  # thresholds to try, as shares of a latent's maximum


@dataclass(frozen=True)
class LatentRow:
    """How strongly a latent stands for a connection, for the best few latents of each connection.

    All columns but ``f1`` are measured on validation mazes."""

    site: tables.Text
    connection: tables.Int
    rank: tables.Int  # by F1 on validation mazes; 0 is the best
    latent: tables.Int
    mean_on: tables.Real  # its mean activation at the tokens that encode the connection
    mean_off: tables.Real  # its mean activation at the site's other tokens
    f1: tables.Real  # on test mazes, at the threshold chosen on validation mazes


@dataclass(frozen=True)
class PositionRow:
    """F1 of a connection's best latent in one half of the sequence
    (docs/science.md#transfer)."""

    site: tables.Text
    connection: tables.Int
    # early or late: the half where the latent has the best F1 on validation mazes
    found_on: tables.Text
    measured_on: tables.Text  # early or late: the half where ``f1`` is measured, on test mazes
    latent: tables.Int
    f1: tables.Real
    n_positive: tables.Int  # tokens of that half that encode the connection
    n_tokens: tables.Int  # all tokens of that half


class Labelled(NamedTuple):
    """Tokens of one site: the values that a readout sees, and the connection that each token helps
    to encode."""

    x: Float[np.ndarray, "token unit"]
    connection: Int[np.ndarray, " token"]


def rank_latents(
    site: str, fit: Labelled, test: Labelled, n_connections: int, n_best: int
) -> list[LatentRow]:
    """For every connection, the ``n_best`` latents by F1 at the best threshold, and the ``n_best``
    by ``mean_on - mean_off``, each latent once.

    Latents and thresholds are chosen on ``fit``; the F1 of a row is measured on ``test``. There are
    no rows of a connection that no token of ``fit`` encodes, or that all do."""
    best, threshold = best_f1(fit, n_connections)
    rows = []
    for e in range(n_connections):
        on = fit.connection == e
        if not on.any() or on.all():
            continue
        mean_on, mean_off = fit.x[on].mean(axis=0), fit.x[~on].mean(axis=0)
        by_f1, by_difference = (
            np.argsort(-best[:, e], kind="stable"),
            np.argsort(mean_off - mean_on, kind="stable"),
        )
        strongest = set(by_difference[:n_best])
        for rank, latent in enumerate(by_f1):
            if rank >= n_best and latent not in strongest:
                continue
            held_out = f1(test.x[:, latent] > threshold[latent, e], test.connection == e)
            rows.append(
                LatentRow(
                    site=site,
                    connection=e,
                    rank=rank,
                    latent=int(latent),
                    mean_on=float(mean_on[latent]),
                    mean_off=float(mean_off[latent]),
                    f1=held_out,
                )
            )
    return rows


def best_f1(
    tokens: Labelled, n_connections: int
) -> tuple[Float[np.ndarray, "latent connection"], Float[np.ndarray, "latent connection"]]:
    """F1 of every latent as a detector of every connection at its best threshold, and that
    threshold.

    >>> tokens = Labelled(np.array([[4.0], [2.0], [0.0]]), np.array([0, 1, 1]))
    >>> best, threshold = best_f1(tokens, n_connections=1)
    >>> best.item(), threshold.item()  # only the token of connection 0 exceeds half the maximum
    (1.0, 2.0)
    """
    top = tokens.x.max(axis=0)
    one_hot = (tokens.connection[:, None] == np.arange(n_connections)).astype(np.float32)
    scores = []
    for share in SHARES:
        active = (tokens.x > share * top).astype(np.float32)
        scores.append(
            2
            * active.T
            @ one_hot
            / np.maximum(1, active.sum(axis=0)[:, None] + one_hot.sum(axis=0)[None, :])
        )
    return np.max(scores, axis=0), np.array(SHARES)[np.argmax(scores, axis=0)] * top[:, None]


def f1(active: Bool[np.ndarray, " token"], truth: Bool[np.ndarray, " token"]) -> float:
    """F1 of one detector; 0 if there is nothing to find and it finds nothing."""
    return float(2 * (active & truth).sum() / max(1, active.sum() + truth.sum()))


def early_and_late(
    site: str,
    tokens: tuple[Labelled, Labelled],
    positions: Sequence[np.ndarray],
    n_connections: int,
) -> list[PositionRow]:
    """Choose each connection's best latent by F1 among the early tokens of the first part, then
    among the late ones, and measure each choice on the early and on the late tokens of the second
    part. There are no rows of a half without tokens.

    ``tokens`` are the two parts, ``positions`` the positions of each part's tokens. Early tokens
    stand up to the median position of the first part."""
    (fit, test), middle = tokens, Middle.of(positions[0])
    is_early = [middle.is_early(each) for each in positions]
    parts = {EARLY: is_early, LATE: [~each for each in is_early]}
    rows = []
    for found_on, (keep, _) in parts.items():
        if not keep.any():  # all tokens stand at one position
            continue
        half = Labelled(fit.x[keep], fit.connection[keep])
        best, threshold = best_f1(half, n_connections)
        for e in np.unique(half.connection):
            latent = int(best[:, e].argmax())
            for measured_on, (_, there) in parts.items():
                if not there.any():
                    continue
                truth = test.connection[there] == e
                found = f1(test.x[there, latent] > threshold[latent, e], truth)
                rows.append(
                    PositionRow(
                        site=site,
                        connection=int(e),
                        found_on=found_on,
                        measured_on=measured_on,
                        latent=latent,
                        f1=found,
                        n_positive=int(truth.sum()),
                        n_tokens=int(there.sum()),
                    )
                )
    return rows


def best_latents(rows: pd.DataFrame, site: str) -> dict[int, int]:
    """The best latent of each connection at a site, from rows of LatentRow."""
    first = rows[(rows.site == site) & (rows["rank"] == 0)]
    return dict(zip(first.connection.astype(int), first.latent.astype(int), strict=True))
