"""Whether a model that solves a maze still does when its list comes in another order and other
directions (docs/science.md#spellings)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from mazewm.inference.behaviour import judge, walk
from mazewm.inference.kinds import BOTH, DIRECTIONS, ORDER
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import Encoded, encode_as


@dataclass(frozen=True)
class SpellingRow:
    """One question about a maze that the model solves."""

    split: tables.Text
    maze_id: tables.Int
    family: tables.Text
    path_length: tables.Int  # cells on the shortest path
    kind: tables.Text  # what is drawn anew: ORDER, DIRECTIONS or BOTH
    n: tables.Int  # times that it was drawn
    n_solved: tables.Int


def measure_spellings(subject: Subject, n: int, n_apart: int, split: str) -> Iterator[pd.DataFrame]:
    """Rows of SpellingRow about those of the subject's mazes, which are of ``split``, that the
    model solves as ``Subject.encoded`` spells them: ``n`` new spellings, and ``n`` each of order
    and of directions alone for those that are among the first ``n_apart`` mazes."""
    rng = subject.rng("spellings")
    for part, encoded in subject.encoded():
        is_solved = _solved(subject, subject.mazes[part], encoded)
        for kind in (BOTH, ORDER, DIRECTIONS):
            rows = np.flatnonzero(is_solved & ((kind == BOTH) | (part < n_apart)))
            solved, n_solved = subject.mazes[part[rows]], np.zeros(len(rows), int)
            for _ in range(n if len(rows) else 0):
                again = respelled(solved, encoded, rows, kind, rng)
                n_solved += _solved(subject, solved, again)
            yield pd.DataFrame(
                {
                    "split": split,
                    "maze_id": solved.maze_id,
                    "family": solved.family,
                    "path_length": solved.path_length,
                    "kind": kind,
                    "n": n,
                    "n_solved": n_solved,
                }
            )


def respelled(
    mazes: Mazes, encoded: Encoded, rows: np.ndarray, kind: str, rng: np.random.Generator
) -> Encoded:
    """Those mazes, which are ``rows`` of ``encoded``, with connections in another random order, in
    other random directions, or both."""
    order, is_flipped = encoded.order[rows], encoded.is_flipped[rows]
    if kind in (ORDER, BOTH):
        again = np.argsort(rng.random(order.shape), axis=1)
        order, is_flipped = (np.take_along_axis(each, again, 1) for each in (order, is_flipped))
    if kind in (DIRECTIONS, BOTH):
        is_flipped = rng.random(order.shape) < 0.5
    return encode_as(mazes, order, is_flipped)


def _solved(subject: Subject, mazes: Mazes, encoded: Encoded) -> np.ndarray:
    return judge(mazes, walk(subject.model, mazes, encoded.lists)).solved
