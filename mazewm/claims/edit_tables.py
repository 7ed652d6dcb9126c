"""The tables of interventions by which runs are compared, from the ledger of one run."""

from typing import Any

import numpy as np
import pandas as pd

from mazewm.claims.capacity import n_held
from mazewm.claims.counts import share_of
from mazewm.claims.edits import Edits, selectivity
from mazewm.claims.statistics import mean, rounded
from mazewm.interventions.choosing import KEYS
from mazewm.interventions.labels import MAIN, tokens_in_words

SHARES = {
    "hit": ("n_hit", "n_affected"),
    "spill": ("n_spill", "n_unaffected"),
    "hit_telling": ("n_hit_telling", "n_affected_telling"),
    "hit_first": ("n_hit_first", "n_affected_first"),
    "belief_hit": ("n_edited_believed", "n_edited"),
    "belief_spill": ("n_others_changed", "n_others"),
}

WALKED = [(name, *SHARES[name]) for name in ("hit", "spill")]  # of a walker


def _shares(total: pd.Series | pd.DataFrame) -> dict[str, Any]:
    asked = total.n_affected + total.n_unaffected
    found = {name: total[of] / np.maximum(1, total[n]) for name, (of, n) in SHARES.items()}
    return found | {"crossings": total.n_crossings / np.maximum(1, asked)}


def reported(edits: Edits) -> pd.DataFrame:
    """Every setting of twins and moves at its best dose, on test mazes."""
    found = []
    for setting in edits.settings():
        if setting.kind not in MAIN:
            continue
        rows = edits.rows(setting)
        total, value = rows.sum(numeric_only=True), selectivity(rows)
        tokens = tokens_in_words(edits.site, MAIN[setting.kind])
        is_main = setting.tokens in ("", tokens) and setting.place in ("", str(edits.site.place))
        found.append(
            setting._asdict()
            | {"is_main": is_main, "dose": rows.dose.iloc[0], "length": rows.length.mean()}
            | _shares(total)
            | {"selectivity": value.value, "low": value.low, "high": value.high}
            | {"n_affected": total.n_affected, "n_unaffected": total.n_unaffected, "n": len(rows)}
        )
    return pd.DataFrame(found)


def by_dose(edits: Edits) -> pd.DataFrame:
    """Hit and spill of adding and removing at every dose: on validation mazes, where the best is
    chosen, and those on test mazes."""
    rows = pd.concat([edits.validation, edits.test])
    rows = rows[rows.kind.isin(["add", "remove"]) & ~rows.method.isin(["none", "tokens"])]
    columns = sorted({name for pair in SHARES.values() for name in pair} | {"n_crossings"})
    grouped = rows.groupby(["split", *KEYS, "dose"])
    total = grouped[columns].sum().reset_index()
    tokens = {kind: tokens_in_words(edits.site, where) for kind, where in MAIN.items()}
    is_main = (total.tokens == total.kind.map(tokens)) & (total.place == str(edits.site.place))
    return total.assign(is_main=is_main, length=grouped.length.mean().to_numpy(), **_shares(total))[
        ["split", *KEYS, "dose", "length", "is_main", "hit", "spill", "belief_hit", "n_affected"]
    ]


def corridors(edits: Edits, most: int) -> pd.DataFrame:
    """The share of ways that go through a whole corridor, by method and its length, on the longest
    prompts and on short ones."""
    mine = edits.test[edits.test.kind == "corridor"]
    mine = mine.assign(is_long=mine.n_connections >= most - 1)
    found = []
    for key, rows in mine.groupby(["method", "n_units", "k", "is_long"], sort=False):
        value = share_of(rows, "n_hit", "n_affected")
        found.append(
            dict(zip(("method", "n_units", "k", "is_long"), key, strict=True))
            | {"share": value.value, "low": value.low, "high": value.high}
            | {"dose": rows.dose.iloc[0], "n": value.n, "n_mazes": len(rows)}
        )
    names = ["method", "n_units", "k", "is_long", "share", "low", "high", "dose", "n", "n_mazes"]
    return pd.DataFrame(found, columns=names)


def held(edits: Edits) -> pd.DataFrame:
    """How many connections are believed at once when k are added to the longest prompts."""
    mine = edits.test[edits.test.kind == "single"]
    found = []
    for key, rows in mine.groupby(["method", "n_units", "k"], sort=False):
        value = mean(n_held(rows), rows.connection_set)
        kept, added = rows.n_others_kept.mean(), rows.n_edited_believed.mean()
        found.append(
            dict(zip(("method", "n_units", "k"), key, strict=True))
            | {"held": value.value, "low": value.low, "high": value.high}
            | {"kept": kept, "added": added, "n_connections": rows.n_connections.max()}
            | {"n_mazes": len(rows)}
        )
    names = ["method", "n_units", "k", "held", "low", "high", "kept", "added", "n_connections"]
    names.append("n_mazes")
    return pd.DataFrame(found, columns=names)


def summary(edits: Edits, table: pd.DataFrame) -> dict[str, Any]:
    """What ``dvc metrics diff`` compares: the settings at the main site and the blind walker, by
    kind."""
    found: dict[str, Any] = {}
    for row in table[table.is_main].itertuples():
        name = f"{row.method}_{row.n_units}" if row.n_units else str(row.method)
        one = {"value": row.selectivity, "low": row.low, "high": row.high}
        one |= {"hit": row.hit, "spill": row.spill, "dose": row.dose, "belief_hit": row.belief_hit}
        found.setdefault(str(row.kind), {})[name] = {k: rounded(v) for k, v in one.items()} | {
            "n": int(row.n)
        }
    for kind in ("add", "remove"):
        walks = edits.walker(kind, "blind")
        if kind in found and len(walks):
            total = walks.sum(numeric_only=True)
            shares = {name: total[of] / max(1, total[n]) for name, of, n in WALKED}
            found[kind]["blind_walker"] = selectivity(walks).interval.as_metrics() | {
                name: rounded(share) for name, share in shares.items()
            }
    test = edits.pairs[(edits.pairs.split == "test") & (edits.pairs.kind == "add")]
    counted = {n: int(test[n].sum()) for n in ("n_questions", "n_unique", "n_solved", "n_told")}
    return found | {"questions": counted | {"n_affected": int(test.n_affected.sum())}}
