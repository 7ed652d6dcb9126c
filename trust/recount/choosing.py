"""Choices that are made on validation mazes: tables -> places and doses, by the rules of
docs/science.md."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from trust.recount.tables import COUNTS, Tables

AS_GOOD = 0.02  # sites so close to the best are as good
LIST_END = "<ADJLIST_END>"  # of the tokens the only one that a list has once
NOTHING = 0.005  # the best selectivity of a method that does nothing
MOST_FURTHER = 6  # doses that are tried beyond those given
WRITING = "layer tokens dose n_hit n_affected n_spill n_unaffected"
PROBES = "layer token_class probe_accuracy identity_accuracy"


class Place(NamedTuple):
    """Where an edit is made: a layer, and tokens."""

    layer: str
    tokens: str


def selectivities(rows: pd.DataFrame, by: str | list[str]) -> pd.Series:
    """Hit less spill, from the counts of rows together."""
    total = rows.groupby(by, sort=False)[list(COUNTS)].sum()
    hit, spill = (total[a] / total[b].clip(lower=1) for a, b in (COUNTS[:2], COUNTS[2:]))
    return (hit - spill).round(12)  # so that equal ones are equal


def writing_site(rows: pd.DataFrame) -> tuple[int, str]:
    """Layer and tokens (docs/science.md#writing-site), from the counts of the mean difference: of
    the sites that are as good as the best, that with the most tokens of a list, and of these the
    best."""
    doses = selectivities(rows, ["layer", "tokens", "dose"])
    best = doses.groupby(["layer", "tokens"], sort=False).max()
    good = best[best >= best.max() - AS_GOOD]

    def size(tokens: str) -> tuple[int, bool]:
        parts = tokens.split(" and ")
        return sum(part != LIST_END for part in parts), LIST_END in parts

    layer, tokens = max(good.index, key=lambda site: (*size(site[1]), good[site]))
    return int(layer), str(tokens)


def net_of(rows: pd.DataFrame) -> pd.Series:
    """The share of what a token's identity leaves open that the probe tells
    (docs/science.md#probe-accuracy)."""
    return (rows.probe_accuracy - rows.identity_accuracy) / (1 - rows.identity_accuracy)


def places(tables: Tables) -> dict[str, Place]:
    """Where connections are added, where they are removed, and where they are read
    (docs/science.md#where-an-edit-is-made, docs/science.md#consolidation-site)."""
    layer, tokens = writing_site(tables.read("locations", "writing", WRITING))
    probes = tables.read("locations", "consolidation", PROBES)
    net = net_of(probes)
    first = probes[net >= net.max() - AS_GOOD].iloc[0]
    own = probes.token_class[net[probes.layer == layer].idxmax()]
    return {
        "add": Place(f"{layer}.resid_post", tokens),
        "remove": Place(f"{layer}.resid_post", f"own {own}"),
        "read": Place(f"{first.layer}.resid_post", str(first.token_class)),
    }


def best_dose(rows: pd.DataFrame) -> float:
    """The dose with the best selectivity on validation mazes, the smallest of equal ones
    (docs/science.md#own-best-dose). Of corridors, which have no unaffected questions, it is that
    with the largest share of ways."""
    found = selectivities(rows[rows.split == "validation"], "dose").sort_index()
    return float(found.idxmax())


def doses_tried(given: Sequence[float], score: Mapping[float, float]) -> list[float]:
    """The doses that docs/science.md#own-best-dose would have tried, beginning with those given;
    ``score`` is the selectivity of each. One without a score is the last."""
    tried = sorted(given)
    for _ in range(MOST_FURTHER):
        best = max(score[dose] for dose in tried)
        at = next(dose for dose in tried if score[dose] == best)
        further = {tried[0]: tried[0] / 2, tried[-1]: tried[-1] * 2}.get(at)
        if best < NOTHING or further is None:
            break
        tried = sorted([*tried, further])
        if score.get(further, best) <= best:
            break
    return tried


def tried_by_rule(ledger: pd.DataFrame) -> list[bool]:
    """Of every method and place in a ledger, whether the doses on validation mazes are those that
    the rule tries. Those that all have are the given ones."""
    rows = ledger[(ledger.split == "validation") & (ledger.kind != "single") & (ledger.place != "")]
    keys = ["kind", "k", "method", "n_units", "place", "tokens"]
    found = selectivities(rows, [*keys, "dose"])
    scores = [some.droplevel(keys).to_dict() for _, some in found.groupby(keys)]
    given = set.intersection(*map(set, scores)) if scores else set()
    return [doses_tried(sorted(given), one) == sorted(one) for one in scores]
