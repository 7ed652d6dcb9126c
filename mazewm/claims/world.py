"""Behaviour as evidence of a world model: all questions of a maze, and the map that the answers
imply (docs/science.md#all-questions, docs/science.md#map). Claims W1a to W1c.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mazewm.claims.claim import Claim, Control, claim, unmeasured
from mazewm.claims.counts import ratio, share_of
from mazewm.claims.statistics import Contrast, Ratio, contrast, fixed, rounded, share
from mazewm.inference.kinds import TRAINED, UNTRAINED

# The walkers without a map, and the columns of what they solve.
WALKERS = {
    "the blind walker": "blind",
    "the near-sighted walker": "near",
    "the random walker": "random",
    "a walker who looks two steps ahead": "ahead_2",
    "a random walker who looks two steps ahead": "random_2",
    "a walker who looks three steps ahead": "ahead_3",
}
ONE_STEP = ("the blind walker", "the near-sighted walker", "the random walker")
TWO_STEPS = tuple(WALKERS)[:-1]
N_BINS = 10  # of beliefs, for the curve that shows how well they are calibrated
COUNTS = ("asked", "valid", "steps", "crossings", "jumps", "unique", "solved")


def _of(rows: pd.DataFrame, model: str, split: str) -> pd.DataFrame:
    return rows[(rows.model == model) & (rows.split == split)]


def answers_take_more_than_walls(answers: pd.DataFrame) -> Claim:
    """W1a: of the questions that tell, more are solved than the blind walker, those who see the
    walls around them, and an untrained model would solve, all asked the same questions. The random
    walker is the one walker by whom the questions are not chosen."""
    return _more_than_walkers(
        answers,
        "W1a",
        "answers take more than the walls around each cell",
        "share solved of the questions that a walker who sees them mostly does not solve",
        ("telling", ONE_STEP),
    )


def answers_take_more_than_looking_ahead(answers: pd.DataFrame) -> Claim:
    """W1c: of those that are beyond two steps, more are solved than the same and walkers who look
    two steps ahead would solve."""
    return _more_than_walkers(
        answers,
        "W1c",
        "answers take more than looking two steps ahead",
        "share solved of the questions that a walker who does so mostly does not solve",
        ("beyond", TWO_STEPS),
    )


def _more_than_walkers(
    answers: pd.DataFrame, id: str, statement: str, measure: str, asked: tuple[str, Sequence[str]]
) -> Claim:
    """``asked``: which questions, and the walkers with whom the model is compared."""
    which, walkers = asked
    rows = answers[(answers.split == "test") & (answers[f"n_{which}"] > 0)]
    is_trained = rows.model == TRAINED
    if not is_trained.any():
        return unmeasured(id, statement, measure, "there is no such question")
    n, sets, solved = rows[f"n_{which}"], rows.connection_set, rows[f"n_{which}_solved"]
    own = Ratio(solved * is_trained, n * is_trained)
    others = {
        name: Ratio(rows[f"{WALKERS[name]}_{which}"] * is_trained, n * is_trained)
        for name in walkers
    }
    others["an untrained model"] = Ratio(solved * ~is_trained, n * ~is_trained)
    controls = [
        Control(name, contrast([other], [], sets).interval, contrast([own], [other], sets))
        for name, other in others.items()
    ]
    value = contrast([own], [], sets).interval._replace(n=int((n * is_trained).sum()))
    return claim(id, statement, measure, value, controls)


def map_gap(beliefs: pd.DataFrame, model: str, less: str | None = None) -> Contrast:
    """How much more often a model steps straight across connections (in both directions) than
    across walls (in either), on test mazes: 1 for a perfect map, 0 for one that does not depend on
    the maze. ``less`` another model's, if it is given."""
    rows = beliefs[(beliefs.split == "test") & beliefs.model.isin([model, less])]

    def across(model: str, is_open: bool) -> Ratio:
        asked = (rows.model == model) & (rows.is_open == is_open)
        return Ratio(asked & (rows.n_straight >= (2 if is_open else 1)), asked)

    plus, minus = [across(model, True)], [across(model, False)]
    if less is not None:
        plus, minus = [*plus, across(less, False)], [*minus, across(less, True)]
    return contrast(plus, minus, rows.connection_set)


def answers_agree_with_the_list(beliefs: pd.DataFrame) -> Claim:
    """W1b: between adjacent cells the model steps straight across connections more often than
    across walls, and an untrained model does so less."""
    value = map_gap(beliefs, TRAINED)
    return claim(
        "W1b",
        "between adjacent cells, answers agree with the list",
        "steps straight across, share of connections less share of walls",
        value.interval,
        [
            Control("a walker who ignores walls, by definition", fixed(0.0), value),
            Control(
                "an untrained model",
                map_gap(beliefs, UNTRAINED).interval,
                map_gap(beliefs, TRAINED, less=UNTRAINED),
            ),
        ],
    )


def summary(answers: pd.DataFrame, beliefs: pd.DataFrame) -> dict[str, Any]:
    """The figures of each split and model."""
    found: dict[str, Any] = {}
    for (split, model), rows in answers.groupby(["split", "model"], sort=False):
        pairs = _of(beliefs, str(model), str(split))
        there, walls = pairs[pairs.is_open], pairs[~pairs.is_open]
        found.setdefault(str(split), {})[str(model)] = {
            "solved": share_of(rows, "n_solved", "n_unique").as_metrics(),
            "solved_by_blind_walker": rounded(ratio(rows, "blind", "n_unique")),
            "solved_by_near_sighted_walker": rounded(ratio(rows, "near", "n_unique")),
            **{
                f"solved_by_{name}": rounded(ratio(rows, name, "n_unique"))
                for name in ("ahead_2", "ahead_3", "random", "random_2")
            },
            **_of_some(rows),
            "valid": share_of(rows, "n_valid", "n_asked").as_metrics(),
            "crossings": share_of(rows, "n_crossings", "n_steps").as_metrics(),
            "straight_across_connections": share(
                there.n_straight == 2, there.connection_set
            ).as_metrics(),
            "straight_across_walls": share(walls.n_straight > 0, walls.connection_set).as_metrics(),
            "brier": _brier(pairs),
            "brier_connections": _brier(there),
            "brier_walls": _brier(walls),
            # of whoever believes in every pair alike, as often as pairs are connected
            "brier_of_base_rate": _brier(pairs.assign(belief=pairs.is_open.mean())),
            "by_family": _solved_by(rows, "family"),
            "by_path_length": _solved_by(rows, "path_length"),
        }
    return found


def _of_some(rows: pd.DataFrame) -> dict[str, Any]:
    """Of the questions that tell, and of those beyond two steps: their share of all, and what the
    model and the walkers solve of them."""
    found: dict[str, Any] = {}
    for name in ("telling", "beyond"):
        found[name] = rounded(ratio(rows, f"n_{name}", "n_unique"))
        found[f"{name}_solved"] = share_of(rows, f"n_{name}_solved", f"n_{name}").as_metrics()
        for walker in WALKERS.values():
            share = rounded(ratio(rows, f"{walker}_{name}", f"n_{name}"))
            found[f"{name}_solved_by_{walker}"] = share
    return found


def _brier(pairs: pd.DataFrame) -> float:
    """0 if there is no pair."""
    return rounded(np.square(pairs.belief - pairs.is_open).mean()) if len(pairs) else 0.0


def _solved_by(rows: pd.DataFrame, name: str) -> dict[str, Any]:
    """Share solved, and what the walkers solve, for each value of a column."""
    return {
        str(value): {
            "solved": share_of(some, "n_solved", "n_unique").as_metrics(),
            "solved_by_blind_walker": rounded(ratio(some, "blind", "n_unique")),
            "solved_by_near_sighted_walker": rounded(ratio(some, "near", "n_unique")),
        }
        for value, some in rows[rows.n_unique > 0].groupby(name)
    }


def answer_curve(answers: pd.DataFrame) -> pd.DataFrame:
    """Counts by model, split and length of path, with the family's."""
    keys = ["model", "split", "family", "path_length"]
    names = [*(f"n_{name}" for name in COUNTS), *WALKERS.values()]
    for some in ("telling", "beyond"):
        names += [f"n_{some}", f"n_{some}_solved", *(f"{one}_{some}" for one in WALKERS.values())]
    return answers.groupby(keys, as_index=False)[names].sum()


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
