"""The directions of all connections where they are read, so that the geometry of the code can be
compared between models (docs/science.md#geometry-of-the-code).

The residual bases of two models have nothing to do with each other, but the angles between the
directions of connections can be compared. Beside the mean differences over all tokens stand those
over parts of them (two halves of the mazes, which say how exact they are, and early and late
tokens), and what the embeddings of the two cells give by themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.localize.directions import mean_differences
from mazewm.localize.halves import EARLY, LATE, Middle
from mazewm.localize.labelled import labelled_at
from mazewm.localize.locations import Location
from mazewm.maze.tokens import SPECIALS

Vector = Annotated[Sequence[float], pa.list_(pa.float32())]
WHOLE, EMBEDDING = "whole", "embedding"
HALVES, PARTS = ("first half", "second half"), (EARLY, LATE)


@dataclass(frozen=True)
class DirectionRow:
    """The direction of one connection at one site; none of a connection that no token encodes."""

    site: tables.Text
    split: tables.Text  # of the mazes that it is from
    # whole, first half or second half (of the mazes), early or late (tokens), embedding
    source: tables.Text
    connection: tables.Int
    direction: Vector  # d_model numbers


def directions_at(subject: Subject, site: Location, split: str) -> list[DirectionRow]:
    """The mean difference of every connection at a site, over all of the subject's mazes and over
    each of HALVES and PARTS; and the sum of the embeddings of its two cells. Tokens are early up to
    the median position, as in docs/science.md#transfer."""
    x, connection, place, maze = labelled_at(subject, [site])[site]
    parts = {WHOLE: np.arange(len(x))}
    for names, is_in_first in ((HALVES, maze % 2 == 0), (PARTS, Middle.of(place).is_early(place))):
        parts |= {names[0]: np.flatnonzero(is_in_first), names[1]: np.flatnonzero(~is_in_first)}
    n = subject.mazes.grid.n_connections
    found_in = {
        source: mean_differences(x[some], connection[some], n) for source, some in parts.items()
    }
    is_known = np.square(found_in[WHOLE]).sum(axis=1, keepdims=True) > 0
    found_in[EMBEDDING] = np.where(is_known, _of_cells(subject), 0.0)
    return [
        DirectionRow(str(site), split, source, e, arrow.tolist())
        for source, arrows in found_in.items()
        for e, arrow in enumerate(arrows)
        if arrow.any()
    ]


def _of_cells(subject: Subject) -> Float[np.ndarray, "connection d_model"]:
    """The sum of the embeddings of each connection's two cells."""
    cells = subject.transformer.W_E.detach().float().cpu().numpy()[len(SPECIALS) :]
    summed: Float[np.ndarray, "connection d_model"] = cells[subject.mazes.grid.ends].sum(axis=1)
    return summed
