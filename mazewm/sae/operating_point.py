"""The results of a sweep over SAEs, and the choice of the operating point: the width and sparsity
that the study uses (docs/science.md#operating-point).

The candidates are the points whose splice loses at most TOLERANCE of the mazes, net of those that
it gains; or if there are none, the points that lose the fewest. Of the candidates, the operating
point is the sparsest, and of equally sparse ones the narrowest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import pyarrow as pa

from mazewm.io import tables
from mazewm.sae.params import Activation, Point

TOLERANCE = 0.01  # share of the mazes


Reals = Annotated[Sequence[float], pa.list_(pa.float64())]


@dataclass(frozen=True)
class FrontierRow:
    """One point of the sweep, measured on validation mazes."""

    place: tables.Text
    token_class: tables.Text  # the tokens at which the trees behind ``mcc`` read connections
    width: tables.Int
    sparsity: tables.Real  # active latents per token (k); for relu the weight of the L1 penalty
    explained_variance: tables.Real
    l0: tables.Real  # active latents per token
    n_dead: tables.Int
    n_tokens: tables.Int  # on which the three values above are measured
    loss_recovered: tables.Real  # relative to mean ablation
    solved_clean: tables.Real
    solved_spliced: tables.Real
    n_lost: tables.Int  # mazes that are solved only without the splice
    n_gained: tables.Int  # mazes that are solved only with the splice
    n_mazes: tables.Int
    mcc: Reals  # Matthews correlation of the deepest tree, for each connection
    is_chosen: tables.Flag

    @property
    def point(self) -> Point:
        """What the sweep varied."""
        return Point(self.width, self.sparsity)


def choose(rows: Sequence[FrontierRow], activation: Activation) -> list[FrontierRow]:
    """The rows of one place, with ``is_chosen`` set for the operating point."""
    lost = [row.n_lost - row.n_gained for row in rows]
    # counts are whole, so the added 1e-9 only prevents rounding errors
    most = max(min(lost), TOLERANCE * rows[0].n_mazes + 1e-9)
    # a larger penalty means fewer active latents, a larger k means more
    sparser = -1 if activation == "relu" else 1
    good = [row for row, mazes in zip(rows, lost, strict=True) if mazes <= most]
    best = min(good, key=lambda row: (sparser * row.sparsity, row.width))
    return [replace(row, is_chosen=row is best) for row in rows]


def operating_point(rows: Sequence[FrontierRow]) -> FrontierRow:
    """The row for which ``choose`` set ``is_chosen``."""
    [row] = [row for row in rows if row.is_chosen]
    return row
