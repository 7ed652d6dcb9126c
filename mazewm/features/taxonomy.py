"""What every latent of an SAE stands for: exactly one kind for each latent
(docs/science.md#taxonomy).

A label is a property of tokens, such as "is cell (0,0)". A latent's F1 as a detector of each label
is taken over all cached tokens of test mazes, at the best of a few thresholds (``ranking.SHARES``
of the latent's maximum). A latent's kind is the first of these that applies:

* ``dead``: never active. ``dense``: active on more than DENSE of the tokens.
* ``connection``, ``cell``, ``special``, ``position``, ``path``, in this order, the most specific
  first: the best F1 among the labels of that kind is at least THRESHOLD. (``special`` is before
  ``position`` because position 0 is always ``<ADJLIST_START>``.)
* ``other``.

Labels:

* ``connection``: the token is of one of the four token classes and helps to encode connection e. At
  c1 and c2 there are also labels for each of the two directions of e.
* ``cell``: the token is cell c (anywhere, or in one class), or it is of one class and helps to
  encode a connection that touches c.
* ``special``: the token is one of the vocabulary's special tokens; or it is of one token class
  outside the path.
* ``position``: one position; or a bin of BIN positions (anywhere, or in one class).
* ``path``: the tokens after ``<PATH_START>``.

Labels and thresholds are chosen on the same tokens on which F1 is measured. This selection cannot
lift F1 from chance to THRESHOLD: a label holds for at least MIN_TOKENS tokens, among thousands for
which it does not.
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
MIN_TOKENS = 30  # that a label must hold for


@dataclass(frozen=True)
class LatentKindRow:
    """The kind of one latent."""

    place: tables.Text
    sae: tables.Text
    latent: tables.Int
    kind: tables.Text
    # the label with the best F1: among those of the kind; for dense and other, among all; empty for
    # dead
    of: tables.Text
    f1: tables.Real  # of that label; 0 for dead
    density: tables.Real  # share of tokens on which it is active


class Labels(NamedTuple):
    """Properties of tokens that a latent may stand for."""

    names: pd.DataFrame  # columns ``kind`` and ``of``, a row for each label
    holds: sparse.csr_matrix  # [token, label], 1 where the label holds


def labels(seen: Activations, vocabulary: Vocabulary) -> Labels:
    """All labels that hold for at least MIN_TOKENS of these tokens; BadInput if there is none."""
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
    """For each label: its kind, its name, and the tokens for which it holds."""
    grid, cells = vocabulary.grid, vocabulary.names[vocabulary.first_cell :]
    in_class = {c: seen.token_class == str(c) for c in TokenClass}
    cell = seen.token - vocabulary.first_cell
    ends = grid.ends[seen.connection]  # meaningless where connection is -1
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
    """The kind of every latent; ``z`` and ``facts`` are of the same tokens.

    >>> names = pd.DataFrame({"kind": ["cell"], "of": ["(0,0)"]})
    >>> facts = Labels(names, sparse.csr_matrix([[1.0], [0.0], [0.0]]))
    >>> z = np.array([[2.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    >>> [row.kind for row in classify("0.resid_post", "trained", z, facts)]
    ['cell', 'dead', 'dense']
    """
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
