"""From the ledger to rates: what follows an edit, under which condition, and which condition is the one to report.

Settings (where, how many latents, which dose) are chosen on validation mazes and reported on test mazes. Rates are over the
examples whose unedited maze the model solves; the others are counted apart.
"""

from typing import NamedTuple

import pandas as pd

from mazewm.scores.statistics import Interval, share

SETTING = ["where", "n_latents", "dose"]
NEAR_BEST = 0.02
CONTROLS = ("no_op", "random_latents", "random_direction", "other_connection", "other_latents")


class Effect(NamedTuple):
    """One method at the setting that was chosen for it."""

    method: str
    where: str
    n_latents: int
    dose: float
    follows: Interval
    keeps: Interval
    flags: pd.Series  # follows_edit of every example, by example


def dose_curve(ledger: pd.DataFrame) -> pd.DataFrame:
    """follows_edit with its interval for every condition, on the solved test examples."""
    rows = []
    keys = ["kind", "site", "method", *SETTING]
    for key, group in ledger[ledger.split == "test"].groupby(keys):
        solved = group[group.solved_before]
        follows, keeps = share(solved.follows_edit), share(solved.keeps_original)
        rows.append(
            dict(zip(keys, key, strict=True))
            | {"follows_edit": follows.value, "low": follows.low, "high": follows.high, "keeps_original": keeps.value, "n": follows.n}
        )
    return pd.DataFrame(rows)


def chosen(ledger: pd.DataFrame, kind: str, site: str, method: str) -> Effect:
    """The effect of a method on test mazes, at a setting that was chosen on validation mazes.

    Of the settings that come within NEAR_BEST of the best: the smallest dose, then the fewest latents, then one place before all.
    """
    mine = ledger[(ledger.kind == kind) & (ledger.site == site) & (ledger.method == method)]
    validation = mine[mine.split == "validation"]
    # Where no example is solved before the edit, nothing follows, and the gentlest setting stands for all.
    counts = (
        validation.assign(follows=validation.follows_edit & validation.solved_before).groupby(SETTING)[["follows", "solved_before"]].sum()
    )
    rates = counts.follows / counts.solved_before.clip(lower=1)
    good = rates[rates >= rates.max() - NEAR_BEST].reset_index()
    gentlest = good.sort_values(["dose", "n_latents", "where"], ascending=[True, True, False]).iloc[0]
    return effect(mine[mine.solved_before], method, gentlest["where"], int(gentlest.n_latents), float(gentlest.dose))


def effect(rows: pd.DataFrame, method: str, where: str, n_latents: int, dose: float) -> Effect:
    """The effect of one condition on test mazes, from rows of one kind, site and method."""
    test = rows[(rows.split == "test") & (rows["where"] == where) & (rows.n_latents == n_latents) & (rows.dose == dose)]
    flags = test.set_index("example").follows_edit.sort_index()
    return Effect(method, where, n_latents, dose, share(flags), share(test.keeps_original), flags)


def controls_beside(ledger: pd.DataFrame, kind: str, site: str, beside: Effect) -> list[Effect]:
    """Every control at the place and dose of another effect (the no-op has neither)."""
    mine = ledger[(ledger.kind == kind) & (ledger.site == site) & (ledger.split == "test")]
    found = []
    for method in CONTROLS:
        rows = mine[mine.method == method]
        if method != "no_op":
            rows = rows[(rows["where"] == beside.where) & (rows.dose == beside.dose)]
        for (where, n_latents, dose), group in rows.groupby(SETTING):
            found.append(effect(group[group.solved_before], method, where, int(n_latents), float(dose)))
    return found


def strongest(effects: list[Effect]) -> Effect:
    """The control that followed most often."""
    return max(effects, key=lambda one: one.follows.value)


def recovered_effect(latents: Effect, supervised: Effect, control: Effect) -> float | None:
    """``(follows(latents) - control) / (follows(mean difference) - control)``; None if the supervised direction does nothing."""
    room = supervised.follows.value - control.follows.value
    return (latents.follows.value - control.follows.value) / room if room > 0 else None
