"""Whether the direction of a connection from early tokens writes it at late tokens, and the reverse
(docs/science.md#transfer).

The tokens of a list are divided at the median position. At the tokens of the writing site that are
in one half, ``dose`` times the mean difference over the tokens of either half is added. For each
half the dose is chosen on twins of validation mazes, with directions of the same half; on twins of
test mazes both directions are written with it. ``<ADJLIST_END>`` is in neither half.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from mazewm.counterfactuals.pairs import Pairs
from mazewm.inference.subject import Subject
from mazewm.inference.trials import Trial
from mazewm.io import tables
from mazewm.localize.directions import mean_differences
from mazewm.localize.halves import EARLY, LATE, Middle
from mazewm.localize.labelled import labelled_at
from mazewm.localize.locations import LIST_END, WritingSite
from mazewm.localize.selectivity import totals
from mazewm.localize.writing import write_at
from mazewm.maze.tokens import TOKENS_PER_CONNECTION, connection_positions

HALVES = (EARLY, LATE)


@dataclass(frozen=True)
class CarriedRow:
    """One twin, written at the tokens of one half with a direction from the same or the other."""

    split: tables.Text  # validation, where the dose is chosen, or test
    written_at: tables.Text  # early or late
    found_at: tables.Text  # early or late
    dose: tables.Real  # in multiples of the mean difference
    maze_id: tables.Int
    connection: tables.Int
    n_affected: tables.Int
    n_hit: tables.Int
    n_unaffected: tables.Int
    n_spill: tables.Int


class Halved(NamedTuple):
    """The mean difference of every connection over the tokens of each half, and where they part."""

    arrows: Mapping[str, Float[np.ndarray, "connection d_model"]]
    middle: Middle

    @classmethod
    def of(cls, subject: Subject, site: WritingSite) -> "Halved":
        """From the tokens at which the site's directions are read."""
        tokens = labelled_at(subject, [site.source])[site.source]
        middle, n = Middle.of(tokens.position), subject.mazes.grid.n_connections
        is_early = middle.is_early(tokens.position)
        arrows = {
            half: mean_differences(tokens.values[is_in], tokens.connection[is_in], n)
            for half, is_in in ((EARLY, is_early), (LATE, ~is_early))
        }
        return cls(arrows, middle)


class _Write(NamedTuple):
    """What is written where (columns of CarriedRow)."""

    written_at: str
    found_at: str
    dose: float


class Carrying:
    """A writing site, and the directions of both halves."""

    def __init__(self, subject: Subject, site: WritingSite) -> None:
        self.subject, self.site, self.known = subject, site, Halved.of(subject, site)

    def measure(self, validation: Pairs, test: Pairs, doses: list[float]) -> list[CarriedRow]:
        """Choose the dose of each half on twins of validation mazes, and write with both directions
        on twins of test mazes. No rows if the site has tokens of no connection."""
        if set(self.site.tokens) == {LIST_END}:
            return []
        own = [_Write(half, half, dose) for half, dose in product(HALVES, doses)]
        tried = list(self._rows("validation", validation, own))
        best = _best_doses(tried)
        both = [_Write(at, found, best[at]) for at, found in product(HALVES, HALVES) if at in best]
        return tried + list(self._rows("test", test, both))

    def _positions(self, n_connections: int, half: str) -> Int[np.ndarray, " pos"]:
        """The positions of the site's tokens in one half. A connection's tokens are in that of its
        token at which directions are read."""
        every = self.site.positions(n_connections)
        nth = (every - 1) // TOKENS_PER_CONNECTION
        of = connection_positions(n_connections, self.site.read_at)
        is_here: Bool[np.ndarray, " nth"] = self.known.middle.is_early(of) == (half == EARLY)
        is_in_list = nth < n_connections
        return every[is_in_list][is_here[nth[is_in_list]]]

    def _rows(self, split: str, twins: Pairs, writes: list[_Write]) -> Iterator[CarriedRow]:
        layer, rng = self.site.layer, self.subject.rng(f"carried: lists, {split}")
        for index in twins.batches(self.subject.batch):
            trial = Trial(self.subject.model, twins[index], rng, {layer})
            for write in writes:
                at = self._positions(trial.lists.n_connections, write.written_at)
                if len(at) == 0:
                    continue
                counts = write_at(trial, layer, at, write.dose * self.known.arrows[write.found_at])
                for nth in range(len(index)):
                    yield CarriedRow(
                        split,
                        *write,
                        maze_id=int(trial.pairs.maze_id[nth]),
                        connection=int(trial.pairs.added[nth, 0]),
                        n_affected=int(counts.n_affected[nth]),
                        n_hit=int(counts.n_hit[nth]),
                        n_unaffected=int(counts.n_unaffected[nth]),
                        n_spill=int(counts.n_spill[nth]),
                    )


def _best_doses(tried: list[CarriedRow]) -> dict[str, float]:
    """For each half, the dose with the highest selectivity; the first of equal ones."""
    sums = totals(tables.frame(tried, CarriedRow), ["written_at", "dose"])
    best = sums.loc[sums.groupby("written_at").selectivity.idxmax()]
    return {str(row.written_at): float(row.dose) for row in best.itertuples()}
