"""Connections added and removed inside the model: tables -> figures of C4, C5, C5c and C5d."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mazewm.io.errors import BadInput
from trust.recount.choosing import Place, best_dose, places, tried_by_rule
from trust.recount.intervals import DIFFERENCE, LESS, lacking, signed
from trust.recount.tables import (
    COUNTS,
    THREE,
    TWO,
    Check,
    Found,
    Same,
    Tables,
    cluster,
    counted,
    sums,
)

LEDGER = "split kind k n_connections pair method n_units place tokens dose"
LEDGER += " n_hit n_affected n_spill n_unaffected n_edited n_edited_believed"
UNITS = ("latents", "frozen_decoder", "residual_dimensions")
WORDS = {"frozen_decoder": "random decoder", "tokens": "in the prompt"}
RANDOM, MEAN = ("random_direction", 0), ("mean_difference", 0)


@dataclass(frozen=True)
class Edits:
    """The rows of edits of twins, with what was chosen for them."""

    ledger: pd.DataFrame
    pairs: pd.DataFrame  # of test mazes, as connections are added to them, by number
    places: dict[str, Place]
    most: int  # units that are edited together

    @classmethod
    def read(cls, tables: Tables) -> "Edits":
        """Those of a run."""
        ledger, pairs = read_ledger(tables), read_pairs(tables, "add").set_index("pair")
        most = int(ledger[ledger.method == "latents"].n_units.max())
        return cls(ledger, pairs, places(tables), most)

    def rows(self, kind: str, method: str, n_units: int, at: str = "") -> pd.DataFrame:
        """One method on all mazes, at all doses that were tried, at the place of its kind or at
        that of another."""
        rows = self.ledger[
            (self.ledger.kind == kind)
            & (self.ledger.method == method)
            & (self.ledger.n_units == n_units)
        ]
        if method != "tokens":
            place = self.places[at or kind]
            rows = rows[(rows.place == place.layer) & (rows.tokens == place.tokens)]
        if rows.empty:
            raise BadInput(f"interventions/ledger: expected rows of {kind}, {method}, {n_units}.")
        return rows

    def tested(
        self, kind: str, method: str, n_units: int, dose: float | None = None, at: str = ""
    ) -> pd.DataFrame:
        """One method on test mazes, at its own best dose or at a given one; where, as ``rows``."""
        rows = self.rows(kind, method, n_units, at)
        if method != "tokens":
            rows = rows[rows.dose == (best_dose(rows) if dose is None else dose)]
        rows = rows[rows.split == "test"]
        return rows.assign(cluster=rows.pair.map(self.pairs.cluster))


def read_ledger(tables: Tables) -> pd.DataFrame:
    """The counts of every edit of every pair of mazes."""
    return tables.read("interventions", "ledger", LEDGER)


def read_pairs(tables: Tables, kind: str) -> pd.DataFrame:
    """The pairs of test mazes of one kind, each with its cluster."""
    columns = "split kind k pair connections added end n_unique n_affected blind near"
    rows = tables.read("interventions", "pairs", columns)
    rows = rows[(rows.split == "test") & (rows.kind == kind)]
    return rows.assign(cluster=rows.connections.map(cluster))


def side_by_side(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Sums by cluster of several edits; 0 for a cluster that an edit has no pair of."""
    return pd.concat(parts, axis=1).fillna(0.0)


def twins(tables: Tables) -> Iterator[Found]:
    """Every figure of adding and removing one connection, with its places and doses."""
    edits = Edits.read(tables)
    for name, kind in (("writing", "add"), ("consolidation", "read")):
        place = edits.places[kind]
        yield Same(f"{name} site", f"{place.layer} at {place.tokens}", ("metrics", "sites", name))
    yield Same("pairs", len(edits.pairs), ("claims", "C4a", "n"))
    yield Same("clusters of them", edits.pairs.cluster.nunique(), ("claims", "C4a", "n_clusters"))
    many = [(method, edits.most) for method in UNITS]
    shown = {
        "add": [("latents", 1), *many, ("tokens", 0), RANDOM, MEAN],
        "remove": [("latents", 1), RANDOM],
    }
    for kind, methods in shown.items():
        for method, n in methods:
            at = ("metrics", "interventions", kind, f"{method}_{n}" if n else method)
            figure = f"{kind}s: {WORDS.get(method, method.replace('_', ' '))}"
            figure += f" ({n})" if n else ""
            total = sums(edits.tested(kind, method, n), COUNTS)
            yield counted(figure, total, at, DIFFERENCE)
            if method != "tokens":
                yield Same(f"dose, {figure}", best_dose(edits.rows(kind, method, n)), (*at, "dose"))
    right = tried_by_rule(edits.ledger)
    yield Check("methods whose doses are those of the rule", sum(right), len(right))
    yield from conventions(edits)
    yield from direction_and_place(edits)


def conventions(edits: Edits) -> Iterator[Found]:
    """C5: adding less removing by one latent, by four conventions (docs/science.md#claims)."""

    def both(method: str, n: int, columns: Sequence[str], dose: float | None = None) -> list[Any]:
        """Sums of what adds, and those of what removes."""
        return [sums(edits.tested(kind, method, n, dose), columns) for kind in ("add", "remove")]

    less = (*LESS, *(-sign for sign in LESS))
    own = both("latents", 1, COUNTS)
    made = {
        "raw": (own, less),
        "net of a random direction": (
            [*own, *both(*RANDOM, COUNTS)],
            (*less, *(-sign for sign in less)),
        ),
        "at dose 1": (both("latents", 1, COUNTS, dose=1.0), less),
        "in beliefs": (both("latents", 1, ("n_edited_believed", "n_edited")), LESS),
    }
    for name, (parts, signs) in made.items():
        total = side_by_side(parts)
        at = ("claims", "C5", "measure", name)
        one = counted(f"adding less removing, {name}", total, at, signed(signs), THREE)
        yield one
        control = f"no difference, by the convention {name}"  # the one that C5 reports
        yield one._replace(figure=f"{one.figure} (C5)", at=at[:2], form=TWO, control=control)


def direction_and_place(edits: Edits) -> Iterator[Found]:
    """C5c: what a random push lacks of the mean difference at dose 1, adding, and removing. C5d:
    the mean difference removing at the connection's own token, and where connections are added."""
    for kind, last in (("add", ()), ("remove", ("control",))):
        parts = [sums(edits.tested(kind, *one, dose=1.0), COUNTS) for one in (MEAN, RANDOM)]
        total = side_by_side(parts)
        figure = f"lacking in a random push that {kind}s (C5c)"
        yield counted(figure, total, ("claims", "C5c", *last), lacking, TWO)
    own = ("remove", "own token", ())
    for kind, tokens, last in (own, ("add", "where connections are added", ("control",))):
        total = sums(edits.tested("remove", *MEAN, at=kind), COUNTS)
        figure = f"removed by the mean difference: {tokens} (C5d)"
        yield counted(figure, total, ("claims", "C5d", *last), DIFFERENCE, TWO)
