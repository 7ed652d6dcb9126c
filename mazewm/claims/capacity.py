"""Claim C6: whether a model can hold more connections than any maze of its training had
(docs/science.md#corridors, docs/science.md#held).
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from mazewm.claims.claim import Claim, Control, claim, unmeasured
from mazewm.claims.edits import Edits, Setting, hits, together
from mazewm.claims.statistics import Contrast, Interval, Ratio, contrast, fixed, mean
from mazewm.interventions.labels import tokens_in_words

CHAIN = 2  # connections of a corridor from which on it takes more than a guess
NOT_FOUND = "there is no such corridor"


class Corridors(NamedTuple):
    """The ways to the ends of corridors under one method, by pair and k, on the longest prompts,
    where the corridor makes more connections than training has, and on short ones."""

    beyond: pd.DataFrame
    within: pd.DataFrame


def corridors(edits: Edits, method: str, n_units: int, most: int) -> Corridors:
    """Corridors of at least CHAIN connections under one method, at the best dose for each k."""
    mine = edits.test[(edits.test.kind == "corridor") & (edits.test.k >= CHAIN)]
    rows = _of_method(mine, method, n_units)
    is_beyond = rows.n_connections + rows.index.get_level_values("k") > most
    is_long = rows.n_connections >= most - 1
    return Corridors(rows[is_beyond & is_long], rows[~is_beyond])


def _of_method(mine: pd.DataFrame, method: str, n_units: int) -> pd.DataFrame:
    rows = mine[(mine.method == method) & (mine.n_units == n_units)]
    return rows.set_index(["k", "pair"]).sort_index()


def holds_more(edits: Edits, most: int) -> Claim:
    """C6a: on the longest prompts, corridors that make more connections than any training maze has
    are walked to their ends more often than with random pushes, without an edit, and by the blind
    walker."""
    n = edits.sizes[-1]
    own = corridors(edits, "latents", n, most).beyond
    statement = (
        "ways through connections beyond the most in training are walked more than by chance"
    )
    measure = f"ways through whole corridors of {CHAIN} and more, {n} latents for each connection"
    if own.empty:
        return unmeasured("C6a", statement, measure, NOT_FOUND)
    controls = [
        Control(name, _share(rows), _gap(own, rows))
        for name, rows in {
            "random direction": corridors(edits, "random_direction", 0, most).beyond,
            "no edit": corridors(edits, "none", 0, most).beyond,
            "the blind walker": _walked(edits, "blind", own),
        }.items()
    ]
    return claim("C6a", statement, measure, _share(own), controls)


def _walked(edits: Edits, name: str, like: pd.DataFrame) -> pd.DataFrame:
    """How many of the ways in some rows a walker without a map takes."""
    pairs = edits.walker("corridor", name).reset_index().set_index(["k", "pair"])
    return pairs[pairs.index.isin(like.index)].sort_index()


def by_walkers(edits: Edits, most: int) -> dict[str, dict[str, float]]:
    """The share of the ways of C6a that walkers without a map take; the near-sighted one sees the
    walls of the edited maze around him, so what he takes needs only single connections."""
    own = corridors(edits, "latents", edits.sizes[-1], most).beyond
    if own.empty:
        return {}
    return {name: _share(_walked(edits, name, own)).as_metrics() for name in ("blind", "near")}


def _share(rows: pd.DataFrame) -> Interval:
    return contrast([hits(rows)], [], rows.connection_set).interval


def _gap(one: pd.DataFrame, other: pd.DataFrame) -> Contrast:
    one, other = together([one, other])
    return contrast([hits(one)], [hits(other)], one.connection_set)


def fails_as_tokens(edits: Edits, most: int) -> Claim:
    """C6b: the same corridors are walked more often as latents than as tokens; and this advantage
    is larger than on short prompts with corridors as long, where tokens stay within training."""
    n = edits.sizes[-1]
    own, told = (corridors(edits, *name, most) for name in (("latents", n), ("tokens", 0)))
    statement = "beyond the most in training, tokens fail where latents do not"
    measure = f"ways through whole corridors of {CHAIN} and more, {n} latents for each connection"
    if own.beyond.empty or own.within.empty:
        return unmeasured("C6b", statement, measure, NOT_FOUND)
    controls = [
        Control("as tokens", _share(told.beyond), _gap(own.beyond, told.beyond)),
        Control(
            "the advantage over tokens within training",
            _gap(own.within, told.within).interval,
            _difference_in_differences(own, told),
        ),
    ]
    return claim("C6b", statement, measure, _share(own.beyond), controls)


def _difference_in_differences(own: Corridors, told: Corridors) -> Contrast:
    """(latents - tokens) beyond training, less (latents - tokens) within, mean over the numbers k
    that occur in both."""
    ks = own.beyond.index.unique(0).intersection(own.within.index.unique(0))
    parts = [
        together([a[a.index.isin(ks, level=0)], b[b.index.isin(ks, level=0)]])
        for a, b in zip(own, told, strict=True)
    ]
    rows = pd.concat([part[0] for part in parts])
    k, is_beyond = rows.index.get_level_values(0), np.arange(len(rows)) < len(parts[0][0])

    def ratios(which: int, keep: np.ndarray) -> list[Ratio]:
        some = pd.concat([part[which] for part in parts])
        kept = [keep & (k == one) for one in ks]
        return [Ratio(some.n_hit * one / len(ks), some.n_affected * one) for one in kept]

    return contrast(
        ratios(0, is_beyond) + ratios(1, ~is_beyond),
        ratios(1, is_beyond) + ratios(0, ~is_beyond),
        rows.connection_set,
    )


def n_held(rows: pd.DataFrame) -> pd.Series:
    """Connections that the model believes, of the prompt's and of those added, less the walls that
    it takes for connections, so that who believes everything is charged for every wall."""
    return rows.n_others_kept + rows.n_edited_believed - rows.n_others_false


def n_held_blind(rows: pd.DataFrame) -> pd.Series:
    """The same of the blind walker, who goes straight to every adjacent cell."""
    n_walls = rows.n_others - rows.n_others_open
    return rows.n_others_open + rows.n_edited - n_walls


def believes_more(edits: Edits, most: int) -> Claim:
    """C6c: with connections added to the longest prompts the model believes more connections (less
    the walls that it believes) than any training maze has, than with random pushes, and than the
    blind walker. How many are added is chosen on validation mazes."""
    n = edits.sizes[-1]
    statement = "more connections are believed at once than any training maze has"
    measure = "believed connections less believed walls, over the most in training, "
    measure += f"{n} latents for each added one"
    validation = edits.validation[edits.validation.kind == "single"]
    tokens = tokens_in_words(edits.site, "dealt")
    best = {}
    for k in sorted(validation.k.unique()):
        setting = Setting("single", int(k), "latents", n, str(edits.site.place), tokens)
        rows = validation[(validation.k == k) & (validation.method == "latents")]
        rows = rows[(rows.n_units == n) & (rows.dose == edits.best.get(setting, -1.0))]
        if len(rows):
            best[setting] = float(n_held(rows).mean())
    if not best:
        return unmeasured("C6c", statement, measure, "no connection could be added")
    chosen = max(best, key=lambda one: best[one])
    random = chosen._replace(method="random_direction", n_units=0)
    rows, drawn = together([edits.rows(chosen), edits.rows(random)])
    held, ones, sets = n_held(rows) / most, np.ones(len(rows)), rows.connection_set
    over = contrast([Ratio(held, ones)], [Ratio(ones, ones)], sets)
    controls = [Control("the most in training", fixed(1.0), over)]
    others = {"with random directions": n_held(drawn), "the blind walker": n_held_blind(rows)}
    for name, n_others in others.items():
        beside = contrast([Ratio(held, ones)], [Ratio(n_others / most, ones)], sets)
        controls.append(Control(name, mean(n_others / most, sets), beside))
    value = mean(held, sets)
    return claim("C6c", statement, f"{measure}, {chosen.k} added", value, controls)
