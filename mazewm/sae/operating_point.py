"""The points of a sweep, and the one that the study goes on with.

The operating point is, among the points whose splice loses at most TOLERANCE of the mazes (or, if
none does, those that lose the fewest), the sparsest, and of equally sparse ones the narrowest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import pyarrow as pa

from mazewm.io import tables
from mazewm.sae.params import Activation, Point

TOLERANCE = 0.01  # of the mazes


Reals = Annotated[Sequence[float], pa.list_(pa.float64())]


@dataclass(frozen=True)
class FrontierRow:
    """One point of the sweep, on validation mazes."""

    place: tables.Text
    token_class: tables.Text  # the tokens that connections are read at
    width: tables.Int
    sparsity: tables.Real  # active latents per token (k); for relu the weight of the L1 penalty
    explained_variance: tables.Real
    l0: tables.Real  # active latents per token
    n_dead: tables.Int
    n_tokens: tables.Int  # behind the three before
    loss_recovered: tables.Real  # against mean ablation
    solved_clean: tables.Real
    solved_spliced: tables.Real
    n_lost: tables.Int  # mazes that are solved without the splice only
    n_gained: tables.Int  # mazes that are solved with it only
    n_mazes: tables.Int
    mcc: Reals  # of the deepest tree, by connection
    is_chosen: tables.Flag


def choose(rows: Sequence[FrontierRow], activation: Activation) -> list[FrontierRow]:
    """The rows of one place, with the operating point marked."""
    lost = [row.n_lost - row.n_gained for row in rows]
    # whole mazes, so nothing lies in the last digit
    most = max(min(lost), TOLERANCE * rows[0].n_mazes + 1e-9)
    # a heavier penalty leaves fewer latents on, a larger k more
    sparser = -1 if activation == "relu" else 1
    good = [row for row, mazes in zip(rows, lost, strict=True) if mazes <= most]
    best = min(good, key=lambda row: (sparser * row.sparsity, row.width))
    return [replace(row, is_chosen=row is best) for row in rows]


def operating_point(rows: Sequence[FrontierRow]) -> Point:
    """The point that ``choose`` marked."""
    [row] = [row for row in rows if row.is_chosen]
    return Point(row.width, row.sparsity)
