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
from mazewm.results import TRAINED, UNTRAINED

# The walkers without a map, and the columns of what they solve of the questions that tell.
WALKERS = {"the blind walker": "blind_telling", "the near-sighted walker": "near_telling"}
N_BINS = 10  # of beliefs, for the curve that shows how well they are calibrated
COUNTS = ("asked", "valid", "steps", "crossings", "jumps", "unique", "solved")


def _of(rows: pd.DataFrame, model: str, split: str = "test") -> pd.DataFrame:
    return rows[(rows.model == model) & (rows.split == split)]


def _share(rows: pd.DataFrame, of: str, among: str) -> Interval:
    """The share ``of`` all that are ``among``, both counts of each row; n is the number counted."""
    hits, n = rows[of].to_numpy(int), rows[among].to_numpy(int)
    flags = np.repeat(np.tile([True, False], len(rows)), np.stack([hits, n - hits], axis=1).ravel())
    return share(flags, np.repeat(rows.connection_set.to_numpy(), n))


def _mean(rows: pd.DataFrame, of: str, among: str) -> float:
    return float(rows[of].sum() / max(1, rows[among].sum()))


def map_gap(rows: pd.DataFrame) -> Interval:
    """How much more often the model steps straight across connections (in both directions) than
    across walls (in either): 1 for a perfect map, 0 for one that does not depend on the maze. The
    interval is that of Newcombe (1998, method 10) from those of the two shares."""
    parts = rows[rows.is_open], rows[~rows.is_open]
    there, absent = (
        share(part.n_straight >= least, part.connection_set)
        for part, least in zip(parts, (2, 1), strict=True)
    )
    if not there.n or not absent.n:
        return NOTHING
    gap = there.value - absent.value
    below = np.hypot(there.value - there.low, absent.high - absent.value)
    above = np.hypot(there.high - there.value, absent.value - absent.low)
    return Interval(gap, float(gap - below), float(gap + above), there.n + absent.n)


def answers_need_a_map(answers: pd.DataFrame) -> Claim:
    """W1a: of the questions that tell, more are solved than the best of the two walkers without a
    map and an untrained model would solve. The interval is that of the difference from the better
    walker, question by question; if the untrained model is better, that of the share."""
    rows = _of(answers, TRAINED)
    rows = rows[rows.n_telling > 0]
    statement = "the model answers questions that walkers without a map do not"
    measure = "share solved of all questions about a maze that tell"
    if rows.empty:
        return claim("W1a", statement, measure, NOTHING, 0.0, "no question tells")
    bars = {
        "the blind walker": _mean(rows, "blind_telling", "n_telling"),
        "the near-sighted walker": _mean(rows, "near_telling", "n_telling"),
        "an untrained model": _mean(_of(answers, UNTRAINED), "n_telling_solved", "n_telling"),
    }
    name = max(bars, key=lambda one: bars[one])
    solved = _share(rows, "n_telling_solved", "n_telling")
    if name in WALKERS:
        n = rows.n_telling.to_numpy(int)
        each = ((rows.n_telling_solved - rows[WALKERS[name]]) / n).to_numpy()
        sets = rows.connection_set.to_numpy()
        gap = cluster_bootstrap(Clustered(np.repeat(each, n), np.repeat(sets, n)))
        solved = Interval(solved.value, bars[name] + gap.low, bars[name] + gap.high, solved.n)
    return claim("W1a", statement, measure, solved, bars[name], name)


def answers_agree_with_the_list(beliefs: pd.DataFrame) -> Claim:
    """W1b: between adjacent cells the model steps straight across connections more often than
    across walls. A walker who ignores walls crosses all of them: 0."""
    value, control = (map_gap(_of(beliefs, model)) for model in (TRAINED, UNTRAINED))
    names = {"the blind walker": 0.0, "an untrained model": control.value}
    name = max(names, key=lambda one: names[one])
    return claim(
        "W1b",
        "between adjacent cells, answers agree with the list",
        "steps straight across, share of connections less share of walls",
        value,
        names[name],
        name,
    )


def summary(answers: pd.DataFrame, beliefs: pd.DataFrame) -> dict[str, Any]:
    """The figures of each split and model."""
    found: dict[str, Any] = {}
    for (split, model), rows in answers.groupby(["split", "model"], sort=False):
        pairs = _of(beliefs, str(model), str(split))
        there, walls = pairs[pairs.is_open], pairs[~pairs.is_open]
        found.setdefault(str(split), {})[str(model)] = {
            "solved": _share(rows, "n_solved", "n_unique").as_metrics(),
            "solved_by_blind_walker": rounded(_mean(rows, "blind", "n_unique")),
            "solved_by_near_sighted_walker": rounded(_mean(rows, "near", "n_unique")),
            "telling": rounded(_mean(rows, "n_telling", "n_unique")),
            "telling_solved": _share(rows, "n_telling_solved", "n_telling").as_metrics(),
            "telling_solved_by_near_sighted_walker": rounded(
                _mean(rows, "near_telling", "n_telling")
            ),
            "valid": _share(rows, "n_valid", "n_asked").as_metrics(),
            "crossings": _share(rows, "n_crossings", "n_steps").as_metrics(),
            "straight_across_connections": share(
                there.n_straight == 2, there.connection_set
            ).as_metrics(),
            "straight_across_walls": share(walls.n_straight > 0, walls.connection_set).as_metrics(),
            "brier": rounded(np.square(pairs.belief - pairs.is_open).mean()),
        }
    return found


def answer_curve(answers: pd.DataFrame) -> pd.DataFrame:
    """Counts by model, split and length of path, with the family's."""
    keys = ["model", "split", "family", "path_length"]
    names = [*(f"n_{name}" for name in COUNTS), "blind", "near"]
    names += ["n_telling", "n_telling_solved", "near_telling"]
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
