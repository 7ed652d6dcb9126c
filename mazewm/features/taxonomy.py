"""What every latent of an SAE stands for, one kind each.

A latent's candidates are labels of tokens; over all cached tokens of test mazes, its F1 as a
detector of each label is taken at the best of a few thresholds (``features.SHARES`` of its
maximum). By one rule, the first that holds:

* ``dead``: never active. ``dense``: active on more than DENSE of the tokens.
* ``connection``, ``cell``, ``special``, ``position``, ``path``, in this order, the most specific
  first: the best F1 among the labels of that kind is at least THRESHOLD. (``special`` is before
  ``position`` because position 0 is always ``<ADJLIST_START>``.)
* ``other``.

Labels:

* ``connection``: at one of the four token classes, the token spells connection e; at c1 and c2
  also, in one direction.
* ``cell``: the token is cell c (anywhere, or in one class), or at one class it spells a connection
  that touches c.
* ``special``: the token is one of the vocabulary's special tokens; or it is of one token class
  outside the path.
* ``position``: one position; or a bin of BIN positions (anywhere, or in one class).
* ``path``: the tokens after ``<PATH_START>``.

A label holds for at least MIN_TOKENS tokens, and there are thousands of others, so that the choice
among labels and thresholds, made on the tokens that it is measured on, cannot lift F1 from chance
to THRESHOLD.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import sparse

from mazewm.features.ranking import SHARES
from mazewm.io import tables
from mazewm.io.errors import BadInput
from mazewm.localize.activations import Activations
from mazewm.maze.tokens import CONNECTION_CLASSES, SPECIALS, TokenClass, Vocabulary

KINDS = ("connection", "cell", "special", "position", "path")  # the most specific first
THRESHOLD = 0.7  # of F1
DENSE = 0.5  # of the tokens
BIN = 8  # positions
MIN_TOKENS = 30  # behind a label


@dataclass(frozen=True)
class LatentKindRow:
    """One latent."""

    place: tables.Text
    sae: tables.Text
    latent: tables.Int
    kind: tables.Text
    # which: the label with the best F1 of that kind; for dense and other of any kind; empty for
    # dead
    of: tables.Text
    f1: tables.Real  # of that label; 0 for dead
    density: tables.Real  # share of tokens on which it is active


class Labels(NamedTuple):
    """Facts of tokens that a latent may stand for."""

    names: pd.DataFrame  # kind and of, by label
    holds: sparse.csr_matrix  # token x label, 1 where the fact holds


def labels(seen: Activations, vocabulary: Vocabulary) -> Labels:
    """Every fact of these tokens; what holds for fewer than MIN_TOKENS is left out."""
    kinds, names, columns = [], [], []
    for kind, name, rows in _facts(seen, vocabulary):
        if len(rows) >= MIN_TOKENS:
            kinds.append(kind)
            names.append(name)
            columns.append(rows)
    if not columns:
        raise BadInput(
            "params.yaml: activations.n_held_out_mazes: expected more mazes, for no label holds "
            f"for {MIN_TOKENS} of their tokens."
        )
    which = np.repeat(np.arange(len(columns)), [len(rows) for rows in columns])
    at = (np.concatenate(columns), which)
    holds = sparse.csr_matrix(
        (np.ones(len(which), np.float32), at), shape=(len(seen.token), len(columns))
    )
    return Labels(pd.DataFrame({"kind": kinds, "of": names}), holds)


def _facts(seen: Activations, vocabulary: Vocabulary) -> Iterator[tuple[str, str, np.ndarray]]:
    """(kind, of, tokens for which it holds)."""
    grid, cells = vocabulary.grid, vocabulary.names[vocabulary.first_cell :]
    in_class = {c: seen.token_class == str(c) for c in TokenClass}
    cell = seen.token - vocabulary.first_cell
    ends = grid.ends[seen.connection]  # of no use where connection is -1
    for c in CONNECTION_CLASSES:
        for e in range(grid.n_connections):
            spells = in_class[c] & (seen.connection == e)
            yield "connection", f"{grid.name(e)} at {c}", np.flatnonzero(spells)
            for end in grid.ends[e] if c in (TokenClass.C1, TokenClass.C2) else ():
                yield (
                    "connection",
                    f"{grid.name(e)} at {c} = {cells[end]}",
                    np.flatnonzero(spells & (cell == end)),
                )
    for number, name in enumerate(cells):
        yield "cell", name, np.flatnonzero(cell == number)
        for c in (TokenClass.C1, TokenClass.C2, TokenClass.FRAME, TokenClass.PATH):
            yield "cell", f"{name} at {c}", np.flatnonzero(in_class[c] & (cell == number))
        for c in CONNECTION_CLASSES:
            yield (
                "cell",
                f"touches {name} at {c}",
                np.flatnonzero(in_class[c] & (ends == number).any(axis=1)),
            )
    bins = seen.position // BIN
    for position in np.unique(seen.position):
        yield "position", str(position), np.flatnonzero(seen.position == position)
    for nth in np.unique(bins):
        name = f"{nth * BIN} to {nth * BIN + BIN - 1}"
        yield "position", name, np.flatnonzero(bins == nth)
        for c in TokenClass:
            yield "position", f"{name} at {c}", np.flatnonzero(in_class[c] & (bins == nth))
    for token in range(len(SPECIALS)):
        yield "special", SPECIALS[token], np.flatnonzero(seen.token == token)
    for c in TokenClass:
        kind = "path" if c is TokenClass.PATH else "special"
        yield kind, f"every {c}", np.flatnonzero(in_class[c])


def classify(
    place: str, sae: str, z: Float[np.ndarray, "token latent"], facts: Labels
) -> list[LatentKindRow]:
    """The kind of every latent; ``z`` are the latents of the tokens that ``facts`` are of."""
    density = (z > 0).mean(axis=0)
    rows = []
    for latent, f1 in enumerate(_best_f1(z, facts.holds)):
        of_kind = {kind: np.where(facts.names.kind == kind, f1, -1.0) for kind in KINDS}
        kind = next((kind for kind in KINDS if of_kind[kind].max() >= THRESHOLD), "other")
        if density[latent] > DENSE:
            kind = "dense"
        if density[latent] == 0:
            rows.append(
                LatentKindRow(
                    place=place, sae=sae, latent=latent, kind="dead", of="", f1=0.0, density=0.0
                )
            )
            continue
        best = int(of_kind.get(kind, f1).argmax())
        rows.append(
            LatentKindRow(
                place=place,
                sae=sae,
                latent=latent,
                kind=kind,
                of=str(facts.names.of[best]),
                f1=float(f1[best]),
                density=float(density[latent]),
            )
        )
    return rows


def _best_f1(z: np.ndarray, holds: sparse.csr_matrix) -> Float[np.ndarray, "latent label"]:
    """F1 of every latent as a detector of every label, at its best threshold."""
    top, n_holds = z.max(axis=0), np.asarray(holds.sum(axis=0))
    best = np.zeros((z.shape[1], holds.shape[1]))
    for share in SHARES:
        active = sparse.csr_matrix(z > share * top, dtype=np.float32)
        n_active = np.asarray(active.sum(axis=0)).T
        best = np.maximum(
            best, 2 * (active.T @ holds).toarray() / np.maximum(1, n_active + n_holds)
        )
    return best
