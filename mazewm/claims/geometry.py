"""The geometry of the code: how the directions of all connections lie to each other, which can be
compared between models whose residual bases have nothing to do with each other
(docs/science.md#geometry-of-the-code).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from mazewm.circuits.directions import EMBEDDING, HALVES, WHOLE
from mazewm.claims.statistics import Contrast, Ratio, contrast

Gram = Float[np.ndarray, "connection other"]


def arrows_of(directions: pd.DataFrame, source: str) -> pd.DataFrame:
    """The directions of one source, a row for each connection."""
    mine = directions[directions.source == source]
    vectors = np.stack(mine.direction.to_list()).astype(float) if len(mine) else np.zeros((0, 1))
    return pd.DataFrame(vectors, index=mine.connection.to_numpy())


def gram(arrows: pd.DataFrame) -> pd.DataFrame:
    """Inner products of the directions less their mean, in units of their mean squared length."""
    x = arrows.to_numpy()
    x = x - x.sum(axis=0) / max(1, len(x))
    products = x @ x.T
    scaled = products / max(np.trace(products) / max(1, len(x)), 1e-12)
    return pd.DataFrame(scaled, index=arrows.index, columns=arrows.index)


def table(directions: pd.DataFrame) -> pd.DataFrame:
    """The inner products of one run, as rows of source, connection, other and dot; each pair once.
    Of the mean differences over all tokens, and of the embeddings."""
    parts = []
    for source in (WHOLE, EMBEDDING):
        found = gram(arrows_of(directions, source))
        a, b = np.triu_indices(len(found))
        columns = {"connection": found.index[a], "other": found.index[b]}
        dots = found.to_numpy()[a, b]
        parts.append(pd.DataFrame({"source": source, **columns, "dot": dots}))
    return pd.concat(parts, ignore_index=True)


def from_table(rows: pd.DataFrame, source: str) -> pd.DataFrame:
    """The matrix of inner products that ``table`` wrote down."""
    upper = rows[rows.source == source].pivot(index="connection", columns="other", values="dot")
    return upper.combine_first(upper.T)


def _together(one: pd.DataFrame, other: pd.DataFrame) -> tuple[Gram, Gram]:
    """Two matrices over the connections that both have."""
    both = one.index.intersection(other.index)
    return one.loc[both, both].to_numpy(), other.loc[both, both].to_numpy()


def similarity(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """The correlation of the cosines of all pairs of connections, between two matrices of inner
    products (representational similarity: Kriegeskorte et al. 2008); NaN with fewer than three
    connections.

    >>> plain = pd.DataFrame(np.diag([1.0, 2.0, 3.0]) + 0.1)
    >>> round(similarity(plain, 4 * plain), 6)
    1.0
    """
    a, b = (_cosines(each) for each in _together(one, other))
    if len(a) < 3 or a.std() == 0 or b.std() == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _cosines(products: Gram) -> Float[np.ndarray, " pair"]:
    length = np.sqrt(np.maximum(np.diag(products), 1e-12))
    cosines: Float[np.ndarray, " pair"] = (products / np.outer(length, length))[
        np.triu_indices(len(products), 1)
    ]
    return cosines


def linear_cka(one: pd.DataFrame, other: pd.DataFrame) -> float:
    """Linear centred kernel alignment (Kornblith et al. 2019) of two matrices of inner products: 1
    if the directions are equal up to rotation and scale."""
    a, b = _together(one, other)
    if len(a) < 2:
        return float("nan")
    centre = np.eye(len(a)) - 1 / len(a)
    a, b = (centre @ each @ centre for each in (a, b))
    return float((a * b).sum() / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))


def reliability(directions: pd.DataFrame) -> float:
    """The similarity of a run's geometry with itself, from two halves of the mazes: no similarity
    of two runs can be expected above it."""
    return similarity(*(gram(arrows_of(directions, half)) for half in HALVES))


def cosine_between(directions: pd.DataFrame, sources: tuple[str, str]) -> Contrast:
    """The cosine of a connection's directions from two parts of the tokens, mean over
    connections."""
    one, other = (arrows_of(directions, source) for source in sources)
    both = one.index.intersection(other.index)
    a, b = one.loc[both].to_numpy(), other.loc[both].to_numpy()
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosines = (a * b).sum(axis=1) / np.maximum(lengths, 1e-12)
    return contrast([Ratio(cosines, np.ones(len(both)))], [], both)


def similarities(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """For every two runs, by name, the similarity and the linear CKA of their geometries, and the
    same of their embeddings' alone; columns run, other, source, rsa and cka."""
    rows, names = list[dict[str, object]](), list(tables)
    for source in (WHOLE, EMBEDDING):
        found = {name: from_table(rows_of, source) for name, rows_of in tables.items()}
        for nth, name in enumerate(names):
            for other in names[nth + 1 :]:
                one, two = found[name], found[other]
                same = {"run": name, "other": other, "source": source}
                rows.append(same | {"rsa": similarity(one, two), "cka": linear_cka(one, two)})
    return pd.DataFrame(rows, columns=["run", "other", "source", "rsa", "cka"])


def square(rows: pd.DataFrame, source: str, names: Sequence[str]) -> Gram:
    """The similarities of all runs as a symmetric matrix, with NaN on its diagonal."""
    where = {name: nth for nth, name in enumerate(names)}
    found = np.full((len(names), len(names)), np.nan)
    for row in rows[rows.source == source].itertuples():
        if row.run in where and row.other in where:
            a, b = where[str(row.run)], where[str(row.other)]
            found[a, b] = found[b, a] = row.rsa
    return found
