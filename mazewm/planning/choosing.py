"""Where to steer along a fact, and the dose at which each method does best there, on validation
forks (docs/science.md#steering).
"""

from collections.abc import Iterable

import pandas as pd

from mazewm.choosing import for_choosing
from mazewm.doses import next_dose
from mazewm.planning.steering import STEERED, Condition, Where


def best_places(ledger: pd.DataFrame) -> list[Where]:
    """For each fact, the place and depth at which STEERED does best on validation forks, at its
    best dose there; the first of equal ones."""
    rates, found = _rates(ledger[ledger.method == STEERED]), list[Where]()
    for fact, some in rates.groupby("fact", sort=False):
        _, where, depth, *_ = some.idxmax()
        found.append((str(fact), str(where), int(depth)))
    return found


def best_doses(ledger: pd.DataFrame, some: Iterable[Where]) -> list[Condition]:
    """Every method in some places, at its own best dose on validation forks; the smallest of
    equally good ones."""
    rates, found = _rates(ledger), list[Condition]()
    for place in some:
        if place in rates.index.droplevel(["method", "dose"]):
            for method, doses in rates.loc[place].groupby("method", sort=False):
                found.append(Condition(*place, str(method), float(doses.idxmax()[1])))
    return found


def further(ledger: pd.DataFrame, some: Iterable[Where]) -> list[Condition]:
    """Every method that does best at an end of its doses in a place, at the next dose beyond; none
    that steers no fork at any dose."""
    rates, found = _rates(ledger), list[Condition]()
    for best in best_doses(ledger, some):
        tried = rates.loc[best[:-1]].to_dict()
        if max(tried.values()) > 0 and (dose := next_dose(tried)) is not None:
            found.append(best._replace(dose=dose))
    return found


def _rates(ledger: pd.DataFrame) -> pd.Series:
    """How often rollouts went as predicted, by place, method and dose, on validation forks that are
    solved before the edit."""
    rows = for_choosing(ledger)
    keys = ["fact", "where", "depth", "method", "dose"]
    return rows[rows.solved_before].groupby(keys).goes_as_predicted.mean()
