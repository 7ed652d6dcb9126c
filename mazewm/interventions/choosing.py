"""The dose at which each method does best, on validation mazes (docs/science.md#own-best-dose)."""

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from typing import NamedTuple

import pandas as pd

from mazewm.choosing import for_choosing
from mazewm.counterfactuals.pairs import Kind
from mazewm.doses import MOST_GROWTH, next_dose
from mazewm.interventions.labels import Label

NEVER = 0.005  # the best selectivity of a method that does nothing, whose doses are not widened

KEYS = ["kind", "k", *(field.name for field in fields(Label) if field.name != "dose")]
SCORED = (
    "n_affected",
    "n_hit",
    "n_unaffected",
    "n_spill",
    "n_edited",
    "n_edited_believed",
    "n_others_open",
    "n_others_kept",
    "n_others_false",
)


def score_of(kind: str, total: Mapping[str, float]) -> float:
    """What a dose is chosen by, from the sums over pairs of the counts SCORED: for twins the
    selectivity; for corridors the share of ways that are taken; for single additions the
    connections held, those of the prompt that are kept and those that are added and believed, less
    walls that are taken for connections, over all connections."""
    if kind == "single":
        held = total["n_edited_believed"] + total["n_others_kept"] - total["n_others_false"]
        return held / max(1, total["n_edited"] + total["n_others_open"])
    hit = total["n_hit"] / max(1, total["n_affected"])
    return hit - total["n_spill"] / max(1, total["n_unaffected"])


class Best(NamedTuple):
    """The best dose of a method at a set of tokens, for one kind and number of connections."""

    kind: Kind
    k: int
    label: Label  # with the dose
    score: float


def best_doses(rows: pd.DataFrame) -> list[Best]:
    """For each kind, number of connections, method and set of tokens the dose with the best score,
    the smallest of equal ones. RuntimeError if a row is not from validation mazes."""
    best: dict[tuple[str, int, Label], Best] = {}
    total = for_choosing(rows).groupby([*KEYS, "dose"])[list(SCORED)].sum().astype(float)
    for (kind, k, *columns), counts in zip(total.index, total.to_dict("records"), strict=True):
        label = Label(*columns)
        one = Best(kind, int(k), label, score_of(kind, counts))
        key = (kind, int(k), replace(label, dose=1.0))
        if key not in best or one.score > best[key].score:
            best[key] = one
    return list(best.values())


def widened(doses: list[float], score: Callable[[float], float]) -> None:
    """Score every dose, and go on doubling or halving while the best is at an end of those tried;
    MOST_GROWTH times at most, and not for a method that does nothing at any dose.

    >>> tried = []
    >>> widened([1.0, 2.0], lambda dose: tried.append(dose) or -abs(dose - 4) + 10)
    >>> tried
    [1.0, 2.0, 4.0, 8.0]
    """
    scores = {dose: score(dose) for dose in doses}
    for _ in range(MOST_GROWTH):
        further = next_dose(scores)
        if further is None or max(scores.values()) < NEVER:
            return
        scores[further] = score(further)
