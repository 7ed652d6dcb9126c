"""Behaviour as evidence of a world model: all questions of a maze, and the map that the answers
imply (docs/science.md#all-questions, docs/science.md#map). Claims W1a and W1b.
"""

from typing import Any

import numpy as np
import pandas as pd

from mazewm.claims.statistics import (
    NOTHING,
    Clustered,
    Interval,
    cluster_bootstrap,
    rounded,
    share,
)
from mazewm.claims.verdicts import Claim, claim

TRAINED, UNTRAINED = "trained", "untrained"
N_BINS = 10  # of beliefs, for the curve that shows how well they are calibrated
COUNTS = ("asked", "valid", "steps", "crossings", "jumps", "unique", "solved")


def _of(rows: pd.DataFrame, model: str, split: str = "test") -> pd.DataFrame:
    return rows[(rows.model == model) & (rows.split == split)]


def _ratio(rows: pd.DataFrame, of: str, among: str) -> Interval:
    """The share ``of`` all in ``among``, counts of each row; whole connection sets are resampled.
    n is the number counted."""
    rows = rows[rows[among] > 0]
    n = rows[among].astype(int)
    each = np.repeat((rows[of] / n).to_numpy(), n)
    return cluster_bootstrap(Clustered(each, np.repeat(rows.connection_set.to_numpy(), n)))


def youden(rows: pd.DataFrame) -> Interval:
    """How much more often the model claims connections that are there than such that are not
    (Youden's J): 1 for a perfect map, 0 for one that does not depend on the maze. Whole connection
    sets are resampled, of pairs with and without a connection separately."""
    there, absent = (
        Clustered(part.is_claimed.astype(float), part.connection_set)
        for part in (rows[rows.is_open], rows[~rows.is_open])
    )
    return cluster_bootstrap(there, absent)


def answers_show_walls(answers: pd.DataFrame) -> Claim:
    """W1a: of the questions that tell, more are solved than the blind walker or an untrained model
    would solve. The interval is that of the difference from the stronger of the two: from the blind
    walker question by question, from the untrained model its share."""
    rows = _of(answers, TRAINED)
    rows = rows[rows.n_telling > 0]
    statement = "the model answers questions that a walker who ignores walls does not"
    measure = "share solved of all questions about a maze that tell"
    if rows.empty:
        return claim("W1a", statement, measure, NOTHING, 0.0, "no question tells")
    blind = float(rows.blind_telling.sum() / rows.n_telling.sum())
    others = _of(answers, UNTRAINED)
    untrained = float(others.n_telling_solved.sum() / max(1, others.n_telling.sum()))
    solved = _ratio(rows, "n_telling_solved", "n_telling")
    if untrained > blind:
        return claim("W1a", statement, measure, solved, untrained, "an untrained model")
    gap = _ratio(rows.assign(gap=rows.n_telling_solved - rows.blind_telling), "gap", "n_telling")
    interval = Interval(solved.value, blind + gap.low, blind + gap.high, solved.n)
    return claim("W1a", statement, measure, interval, blind, "the blind walker")


def map_is_that_of_the_maze(beliefs: pd.DataFrame) -> Claim:
    """W1b: the map goes with the maze, more than an untrained model's does. A walker who ignores
    walls claims every connection, whether it is there or not: 0."""
    value, control = (youden(_of(beliefs, model)) for model in (TRAINED, UNTRAINED))
    names = {"the blind walker": 0.0, "an untrained model": control.value}
    name = max(names, key=lambda one: names[one])
    return claim(
        "W1b",
        "the answers imply the maze's own map",
        "connections claimed, share of those that are there less share of those that are not",
        value,
        names[name],
        name,
    )


def summary(answers: pd.DataFrame, beliefs: pd.DataFrame) -> dict[str, Any]:
    """The figures of each split and model."""
    found: dict[str, Any] = {}
    for (split, model), rows in answers.groupby(["split", "model"], sort=False):
        pairs = _of(beliefs, str(model), str(split))
        is_open, claimed = pairs[pairs.is_open], pairs[pairs.is_claimed]
        closed = pairs[~pairs.is_open]
        n_unique = int(rows.n_unique.sum())
        found.setdefault(str(split), {})[str(model)] = {
            "solved": _ratio(rows, "n_solved", "n_unique").as_metrics(),
            "solved_by_blind_walker": rounded(rows.blind.sum() / max(1, n_unique)),
            "telling_solved": _ratio(rows, "n_telling_solved", "n_telling").as_metrics(),
            "telling_solved_by_blind_walker": rounded(
                rows.blind_telling.sum() / max(1, rows.n_telling.sum())
            ),
            "valid": _ratio(rows, "n_valid", "n_asked").as_metrics(),
            "crossings": _ratio(rows, "n_crossings", "n_steps").as_metrics(),
            "map_recall": share(is_open.is_claimed, is_open.connection_set).as_metrics(),
            "map_precision": share(claimed.is_open, claimed.connection_set).as_metrics(),
            "closed_claimed": share(closed.is_claimed, closed.connection_set).as_metrics(),
            "brier": rounded(np.square(pairs.belief - pairs.is_open).mean()),
        }
    return found


def answer_curve(answers: pd.DataFrame) -> pd.DataFrame:
    """Counts by model, split and length of path, with the family's."""
    keys = ["model", "split", "family", "path_length"]
    names = [*(f"n_{name}" for name in COUNTS), "blind", "n_telling", "n_telling_solved"]
    return answers.groupby(keys, as_index=False)[[*names, "blind_telling"]].sum()


def belief_curve(beliefs: pd.DataFrame) -> pd.DataFrame:
    """How many pairs are believed how strongly, with and without a connection: by model, split and
    tenth of the belief."""
    rows = beliefs.assign(
        bin=np.minimum((beliefs.belief * N_BINS).astype(int), N_BINS - 1),
        n_open=beliefs.is_open.astype(int),
        n=1,
    )
    keys = ["model", "split", "bin"]
    return rows.groupby(keys, as_index=False).agg(
        n=("n", "sum"), n_open=("n_open", "sum"), belief=("belief", "mean")
    )
