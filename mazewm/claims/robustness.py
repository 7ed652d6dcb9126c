"""What is left of the world model when the path is led astray, when a state is reached in two ways,
and when the list is spelled otherwise (docs/science.md#detours, docs/science.md#states,
docs/science.md#spellings).
"""

from typing import Any

import pandas as pd

from mazewm.claims.counts import ratio, share_of
from mazewm.claims.statistics import rounded, share
from mazewm.inference.kinds import BACK, FREE, SAME_STATE, UNDISTURBED


def detours(rows: pd.DataFrame) -> dict[str, Any]:
    """The figures of each probability of a detour: of all walks, of those with a detour, and of the
    two kinds of these, beside the near-sighted walker on the same detours."""
    found: dict[str, Any] = {}
    for p, some in rows.groupby("p"):
        parts = {"all": some, "with_detours": some[some.kind != UNDISTURBED]}
        parts |= {"free": some[some.kind == FREE], "must_turn_back": some[some.kind == BACK]}
        found[f"p_{p:g}".replace(".", "_")] = {
            name: {
                "valid": share_of(part, "n_valid", "n").as_metrics(),
                "shortest": share_of(part, "n_shortest", "n").as_metrics(),
                "valid_by_near_sighted_walker": rounded(ratio(part, "n_near", "n")),
                "shortest_by_near_sighted_walker": rounded(ratio(part, "n_near_shortest", "n")),
                "detours": int(part.n_detours.sum()),
            }
            for name, part in parts.items()
            if len(part)
        }
    return found


def states(rows: pd.DataFrame) -> dict[str, Any]:
    """The figures of each model and kind of pair. ``right`` is compression for pairs of the same
    state and the recall of distinction for others, which have a precision, too."""
    found: dict[str, Any] = {}
    for (model, kind), some in rows.groupby(["model", "kind"], sort=False):
        hard = some[~some.is_near_right]
        one: dict[str, Any] = {
            "right": share(some.is_right, some.connection_set).as_metrics(),
            "likeliest_right": share(some.is_likeliest_right, some.connection_set).as_metrics(),
            "right_by_near_sighted_walker": rounded(some.is_near_right.mean()),
            "right_where_near_sighted_walker_is_not": share(
                hard.is_right, hard.connection_set
            ).as_metrics(),
        }
        if kind not in SAME_STATE:
            counts = some.assign(n_right=some.is_right.astype(int))
            one["precision"] = share_of(counts, "n_right", "n_claimed").as_metrics()
            one["precision_of_near_sighted_walker"] = rounded(
                some.is_near_right.sum() / max(1, some.n_near_claimed.sum())
            )
        found.setdefault(str(model), {})[str(kind)] = one
    return found


def spellings(rows: pd.DataFrame) -> dict[str, Any]:
    """The figures of each kind of new spelling. ``if_independent`` is the share of mazes that would
    be solved every time if each spelling failed by chance, in all mazes alike."""
    found: dict[str, Any] = {}
    for kind, some in rows.groupby("kind", sort=False):
        solved, n = some.n_solved / some.n, int(some.n.iloc[0])
        found[str(kind).replace(" ", "_")] = {
            "solved": share_of(some, "n_solved", "n").as_metrics(),
            "solved_every_time": share(some.n_solved == some.n, some.connection_set).as_metrics(),
            "if_independent": rounded(solved.mean() ** n),
            "worst_maze": rounded(solved.min()),
            "n_spellings": n,
        }
    return found


def detour_curve(rows: pd.DataFrame) -> pd.DataFrame:
    """Counts by probability and kind."""
    names = ["n", "n_detours", "n_valid", "n_shortest", "n_near", "n_near_shortest"]
    return rows.groupby(["p", "kind"], as_index=False)[names].sum()


def state_curve(rows: pd.DataFrame) -> pd.DataFrame:
    """Counts by model and kind; ``n_hard`` are the pairs at which the near-sighted walker fails."""
    counts = rows[["model", "kind", "n_claimed", "n_near_claimed"]].assign(
        n=1,
        n_right=rows.is_right.astype(int),
        n_likeliest=rows.is_likeliest_right.astype(int),
        n_near=rows.is_near_right.astype(int),
        n_hard=(~rows.is_near_right).astype(int),
        n_hard_right=(rows.is_right & ~rows.is_near_right).astype(int),
    )
    return counts.groupby(["model", "kind"], as_index=False).sum()


def spelling_curve(rows: pd.DataFrame) -> pd.DataFrame:
    """How many mazes were solved how often, by kind of new spelling."""
    keys = ["kind", "n", "n_solved"]
    return rows.groupby(keys, as_index=False).agg(n_mazes=("maze_id", "size"))
