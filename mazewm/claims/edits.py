"""From the ledger of interventions to figures: what every method does at its own best dose
(docs/science.md#own-best-dose).

Doses are chosen on validation mazes and reported on test mazes. Pairs whose mazes have equal
connections share a number in the column ``connection_set``, and count together in intervals.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from mazewm.choosing import CHOOSING
from mazewm.claims.statistics import (
    FEWEST,
    NO_CONTRAST,
    NOTHING,
    Contrast,
    Interval,
    Ratio,
    contrast,
    difference,
    estimate,
)
from mazewm.interventions.choosing import KEYS, best_doses
from mazewm.interventions.labels import MAIN, Where, tokens_in_words
from mazewm.localize.locations import WritingSite

UNCHOSEN = ("none", "tokens")  # methods without a dose: no edit; the edited maze in the prompt
HALF = 0.5  # the selectivity at which lengths are compared


class Setting(NamedTuple):
    """A method at some tokens, for one kind of pairs."""

    kind: str
    k: int
    method: str
    n_units: int
    place: str
    tokens: str


class Edits:
    """The ledger of one run, with the best dose of every method."""

    def __init__(self, ledger: pd.DataFrame, pairs: pd.DataFrame, site: WritingSite) -> None:
        self.site, self.pairs = site, pairs
        validation = ledger[ledger.split == CHOOSING]
        self.best = {
            Setting(kind, k, label.method, label.n_units, label.place, label.tokens): label.dose
            for kind, k, label, _ in best_doses(validation)
        }
        self.validation, self.test = validation, ledger[ledger.split == "test"]
        self.sizes = sorted(
            int(n) for n in self.test.n_units[self.test.method == "latents"].unique()
        )

    def setting(
        self, kind: str, method: str, n_units: int = 0, where: Where | None = None
    ) -> Setting:
        """A method at the tokens of the main site, or at others of it."""
        if method in UNCHOSEN:
            return Setting(kind, 1, method, 0, "", "")
        tokens = tokens_in_words(self.site, where or MAIN[kind])
        return Setting(kind, 1, method, n_units, str(self.site.place), tokens)

    def settings(self) -> list[Setting]:
        """Every setting of the test mazes, in the order of the ledger."""
        named = self.test[KEYS].drop_duplicates().itertuples(index=False, name=None)
        return [Setting(*one) for one in named]

    def rows(self, setting: Setting, dose: float | None = None) -> pd.DataFrame:
        """The rows of a setting on test mazes, one for each pair, at its best dose or at another.
        Empty if there is none."""
        mine = self.test[(self.test[KEYS] == list(setting)).all(axis=1)]
        wanted = self.best.get(setting) if dose is None else dose
        if wanted is not None:
            mine = mine[mine.dose == wanted]
        return mine.set_index("pair").sort_index()

    def all_doses(self, setting: Setting) -> Iterator[tuple[float, pd.DataFrame]]:
        """The rows of a setting on test mazes at every dose, the smallest first."""
        mine = self.test[(self.test[KEYS] == list(setting)).all(axis=1)]
        for dose in np.sort(mine.dose.unique()):
            yield float(dose), mine[mine.dose == dose].set_index("pair").sort_index()

    def walker(self, kind: str, name: str) -> pd.DataFrame:
        """What a walker without a map does, in the form of rows, on average: how many affected
        questions of each pair it answers as predicted, and of how many others it does not take the
        path. So it is as a model that an edit has made such a walker."""
        mine = self.pairs[(self.pairs.kind == kind) & (self.pairs.split == "test")]
        rows = mine.assign(n_hit=mine[name], n_spill=mine[f"{name}_spill"])
        return rows.set_index("pair").sort_index()


def hits(rows: pd.DataFrame) -> Ratio:
    """The share of affected questions that take the predicted path."""
    return Ratio(rows.n_hit, rows.n_affected)


def spills(rows: pd.DataFrame) -> Ratio:
    """The share of unaffected questions that change."""
    return Ratio(rows.n_spill, rows.n_unaffected)


def selectivity(rows: pd.DataFrame) -> Contrast:
    """hit - spill."""
    return contrast([hits(rows)], [spills(rows)], rows.connection_set)


def believed(rows: pd.DataFrame) -> Ratio:
    """The share of edited connections that are believed as the edit says."""
    return Ratio(rows.n_edited_believed, rows.n_edited)


def together(parts: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """The rows of several conditions over the pairs that all of them have."""
    index = parts[0].index
    for one in parts[1:]:
        index = index.intersection(one.index)
    return [one.loc[index] for one in parts]


def gap(one: pd.DataFrame, other: pd.DataFrame) -> Contrast:
    """The selectivity under one condition less that under another, on the same pairs."""
    one, other = together([one, other])
    return contrast([hits(one), spills(other)], [spills(one), hits(other)], one.connection_set)


def gap_of_gaps(
    one: tuple[pd.DataFrame, pd.DataFrame], other: tuple[pd.DataFrame, pd.DataFrame]
) -> Contrast:
    """A difference of selectivities less another one, on the same pairs."""
    a, b, c, d = together([*one, *other])
    return contrast(
        [hits(a), spills(b), spills(c), hits(d)],
        [spills(a), hits(b), hits(c), spills(d)],
        a.connection_set,
    )


Push = tuple[pd.DataFrame, pd.DataFrame]  # the rows of an edit, and of another beside it


def lacking(push: Push) -> Interval:
    """The share of an edit's selectivity that the other beside it lacks, 1 - s(other) / s(edit);
    below 0 if the other has more, above 1 if it spills more than it hits. If the other never does
    anything, its own interval is taken, with s(edit) as known."""
    edit, other = together(push)
    found = estimate(_sums((edit, other)), lambda some: _lacking(some)[:, 0])
    if found.n or found.n_clusters < FEWEST:
        return found.interval._replace(n=len(edit) if found.n else 0)
    known, least = selectivity(edit).value, selectivity(other).interval
    if known <= 0:
        return NOTHING
    value, low, high = (1 - end / known for end in (least.value, least.high, least.low))
    return Interval(value, low, high, least.n)


def gap_of_lacking(one: Push, other: Push) -> Contrast:
    """The share that is lacking beside one edit less that beside another, on the same pairs. If one
    of those beside never does anything, as if shares were independent."""
    shares = [lacking(push) for push in (one, other)]
    if not all(share.n for share in shares):
        return NO_CONTRAST
    tables = together([*one, *other])
    sums = _sums(tables)
    if not all(rows[["n_hit", "n_spill"]].any(axis=None) for rows in tables[1::2]):
        return difference(shares[0], shares[1], len(sums))
    found = estimate(sums, lambda some: _lacking(some) @ np.array([1.0, -1.0]))
    return found._replace(n=len(tables[0]) if found.n else 0)


def _lacking(sums: Float[np.ndarray, "draw column"]) -> Float[np.ndarray, "draw push"]:
    found = _selectivities(sums)
    return np.asarray(1 - found[:, 1::2] / found[:, ::2])


def _sums(tables: Sequence[pd.DataFrame]) -> Float[np.ndarray, "cluster column"]:
    """The counts of a selectivity, four columns for each table, all of the same pairs; summed over
    the pairs of each connection set."""
    names = ["n_hit", "n_affected", "n_spill", "n_unaffected"]
    _, which = np.unique(tables[0].connection_set, return_inverse=True)
    columns = [
        np.bincount(which, weights=rows[name].astype(float)) for rows in tables for name in names
    ]
    return np.stack(columns, axis=1)


def _selectivities(sums: Float[np.ndarray, "draw column"]) -> Float[np.ndarray, "draw table"]:
    """hit - spill of each table, from the columns of ``_sums``."""
    counts = sums.reshape(len(sums), -1, 4)
    return counts[:, :, 0] / counts[:, :, 1] - counts[:, :, 2] / counts[:, :, 3]


def efficiency(edits: Edits, one: Setting, other: Setting) -> Contrast:
    """The logarithm of how many times longer the edit of ``other`` must be than that of ``one`` to
    reach a selectivity of HALF; the edited maze in the prompt has 1 on questions that count.
    Lengths are found by linear interpolation between doses, over their logarithm. A method that
    does not get so far counts as if it did at its largest dose, and one that gets there at its
    smallest as if no shorter edit did. So the result is a lower bound where the control does not
    get so far, or ``one`` gets there at once. In the opposite cases nothing is known in favour of
    ``one``, and the result is not above 0. Without a curve, or if an edit has no length, there is
    no result."""
    curves = [list(edits.all_doses(setting)) for setting in (one, other)]
    if not all(curves):
        return NO_CONTRAST
    tables = together([rows for curve in curves for _, rows in curve])
    lengths = [np.array([rows.length.mean() for _, rows in curve]) for curve in curves]
    if not all((each > 0).all() for each in lengths):  # units that are silent write nothing
        return NO_CONTRAST
    lengths = [np.log(each) for each in lengths]

    def statistic(some: np.ndarray) -> np.ndarray:
        found, split = _selectivities(some), len(lengths[0])
        own, is_there, _ = _log_length(lengths[0], found[:, :split])
        others, _, is_at_once = _log_length(lengths[1], found[:, split:])
        is_known = is_there & ~is_at_once
        return np.where(is_known, others - own, np.minimum(others - own, 0.0))

    return estimate(_sums(tables), statistic)


def _log_length(
    log_lengths: np.ndarray, reached: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each draw the log length at which its curve first reaches HALF; whether it does at all,
    and whether it does so at the smallest dose."""
    is_there = reached >= HALF
    first = np.where(is_there.any(axis=1), is_there.argmax(axis=1), len(log_lengths) - 1)
    before, draw = np.maximum(first - 1, 0), np.arange(len(reached))
    low, high = reached[draw, before], reached[draw, first]
    part = np.clip((HALF - low) / np.where(high > low, high - low, 1.0), 0, 1)
    at = log_lengths[before] + part * (log_lengths[first] - log_lengths[before])
    is_reached = np.asarray(is_there.any(axis=1))
    return np.where(is_reached, at, log_lengths[-1]), is_reached, np.asarray(is_there[:, 0])
