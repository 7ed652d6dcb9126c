"""Corridors of connections added to the longest prompts: tables -> figures of C6."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from trust.recount.choosing import best_dose
from trust.recount.edits import read_ledger, read_pairs
from trust.recount.mazes import Lattice, unique_paths, with_added
from trust.recount.tables import Check, Found, Same, Tables, counted, filled, sums

SHORTEST = 2  # corridors that figures are of
WALKERS = {"blind": "blind", "near": "near-sighted"}


def corridors(tables: Tables) -> Iterator[Found]:
    """Ways through corridors that are walked, when they are written inside, when they are in the
    prompt, and by the walkers (docs/science.md#corridors)."""
    ledger = read_ledger(tables)
    rows = ledger[(ledger.kind == "corridor") & (ledger.k >= SHORTEST)]
    pairs = read_pairs(tables, "corridor")
    longest = max(map(sum, tables.mazes("test").connections))  # as many as in training
    is_long = (pairs.k >= SHORTEST) & (pairs.connections.map(sum) >= longest - 1)
    pairs = pairs[is_long].set_index(["k", "pair"])
    inside = rows[rows.method == "latents"]
    inside = inside[inside.n_units == inside.n_units.max()]
    doses = {k: best_dose(some) for k, some in inside.groupby("k")}
    shown = {
        "inside": (inside[inside.dose == inside.k.map(doses)], ("claims", "C6b")),
        "in the prompt": (rows[rows.method == "tokens"], ("claims", "C6b", "control")),
    }
    for name, (some, at) in shown.items():
        some = some[some.split == "test"].join(pairs.cluster, on=["k", "pair"], how="inner")
        total = sums(some, ("n_hit", "n_affected"))
        yield counted(f"corridors: {name}", total, at)
    yield Same("corridors", len(some), ("claims", "C6b", "n"))
    yield Same("clusters of them", len(filled(total)), ("claims", "C6b", "n_clusters"))
    walked = _walked(pairs)
    for walker, word in WALKERS.items():
        at = ("metrics", "corridors_by_walkers", walker)
        yield counted(f"corridors: {word} walker", sums(walked, (walker, "n")), at)
    yield _worked_out(pairs, walked)


def _worked_out(pairs: pd.DataFrame, walked: pd.DataFrame) -> Check:
    """In how many mazes the ways, and what walkers take of them, are as counted here."""
    there = pairs[["n_affected", *WALKERS]].to_numpy(float)
    here = walked.groupby(["k", "pair"])[["n", *WALKERS]].sum().reindex(pairs.index, fill_value=0)
    right = np.isclose(here.to_numpy(float), there, rtol=0, atol=1e-6).all(axis=1)
    return Check(
        "corridors whose ways and walkers are as worked out here", int(right.sum()), len(right)
    )


def _walked(pairs: pd.DataFrame) -> pd.DataFrame:
    """The way from every cell that the prompt mentions to the end of the corridor, where only one
    is shortest: a row for each, with the chances that the walkers take it."""
    found = []
    for pair in pairs.itertuples():
        lattice = Lattice.of(pair.connections)
        near = lattice.near(with_added(pair.connections, pair.added))
        paths = unique_paths(near)
        for origin in lattice.near(pair.connections):
            if path := paths.get((origin, pair.end)):
                chances = lattice.blind(path), lattice.near_sighted(path, near)
                found.append((*pair.Index, pair.cluster, *chances, 1))
    return pd.DataFrame(found, columns=["k", "pair", "cluster", *WALKERS, "n"])
