"""From the ledger of interventions to rates: how often rollouts follow an edit, and which setting
is reported (docs/science.md#follows-edit).

Settings (where, how many latents, which dose) are chosen on validation mazes and reported on test
mazes. Rates are over the examples that the model solves before the edit; the others are counted
separately. Examples with the same connections share a number in the ledger's column
``connection_set``, and count together in intervals.
"""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from mazewm.claims.statistics import Interval, share

SETTING = ["where", "n_latents", "dose"]
NEAR_BEST = 0.02  # of follows_edit, a share
VARIANTS = ("probe_direction", "fixed_value", "latents_and_cells")
CONTROLS = ("no_op", "random_latents", "random_direction", "other_connection", "other_latents")


class Effect(NamedTuple):
    """The effect of one method at one setting, on test mazes."""

    method: str
    where: str
    n_latents: int
    dose: float
    follows: Interval  # follows_edit, a share
    keeps: Interval  # keeps_original, a share
    outcomes: pd.DataFrame  # follows_edit and connection_set, indexed by example


def curve(ledger: pd.DataFrame) -> pd.DataFrame:
    """follows_edit with its interval for every condition and number of changed connections, on test
    examples that are solved before the edit."""
    rows = []
    keys = ["kind", "site", "method", *SETTING, "n_changed"]
    for key, group in ledger[ledger.split == "test"].groupby(keys):
        solved = group[group.solved_before]
        follows, keeps = (
            share(solved[name], solved.connection_set)
            for name in ("follows_edit", "keeps_original")
        )
        rows.append(
            dict(zip(keys, key, strict=True))
            | {
                "follows_edit": follows.value,
                "low": follows.low,
                "high": follows.high,
                "keeps_original": keeps.value,
                "n": follows.n,
            }
        )
    return pd.DataFrame(rows)


def best_settings(validation: pd.DataFrame) -> pd.DataFrame:
    """The settings of one method, the one to report first.

    First come those within NEAR_BEST of the best follows_edit on validation mazes: by the smallest
    dose, then the fewest latents, then ``own`` or ``borrowed`` tokens before ``all``. The others
    come after them, best first."""
    # Where no example is solved before the edit all rates are 0, and the weakest setting is first.
    counts = (
        validation.assign(follows=validation.follows_edit & validation.solved_before)
        .groupby(SETTING)[["follows", "solved_before"]]
        .sum()
    )
    rates = (counts.follows / counts.solved_before.clip(lower=1)).rename("rate").reset_index()
    rates["rank"] = (rates.rate.max() - rates.rate).where(
        rates.rate < rates.rate.max() - NEAR_BEST, 0.0
    )
    return rates.sort_values(
        ["rank", "dose", "n_latents", "where"], ascending=[True, True, True, False]
    )[SETTING]


def chosen(
    ledger: pd.DataFrame, kind: str, site: str, method: str, at: str | None = None
) -> Effect:
    """The effect of a method on test mazes, at the setting chosen on validation mazes; ``at``
    restricts the choice to settings with this ``where``."""
    mine = ledger[(ledger.kind == kind) & (ledger.site == site) & (ledger.method == method)]
    mine = mine if at is None else mine[mine["where"] == at]
    where, n_latents, dose = best_settings(mine[mine.split == "validation"]).iloc[0]
    return effect(mine[mine.solved_before], method, where, int(n_latents), float(dose))


def chosen_as(ledger: pd.DataFrame, kind: str, like: str, site: str, method: str) -> Effect:
    """The effect of a method on examples of a ``kind`` without validation rows.

    Its setting is the best one for the kind ``like`` that was also run for ``kind``, or, if there
    is none, the first of its own in sorted order."""
    mine = ledger[(ledger.kind == kind) & (ledger.site == site) & (ledger.method == method)]
    there = set(mine[SETTING].itertuples(index=False, name=None))
    of_like = ledger[
        (ledger.kind == like)
        & (ledger.site == site)
        & (ledger.method == method)
        & (ledger.split == "validation")
    ]
    ordered = [
        setting
        for setting in best_settings(of_like).itertuples(index=False, name=None)
        if setting in there
    ]
    where, n_latents, dose = ordered[0] if ordered else sorted(there)[0]
    return effect(mine[mine.solved_before], method, where, int(n_latents), float(dose))


def at_setting(rows: pd.DataFrame, where: str, n_latents: int, dose: float) -> pd.Series:
    """A mask of the rows of one setting."""
    return (rows["where"] == where) & (rows.n_latents == n_latents) & (rows.dose == dose)


def effect(rows: pd.DataFrame, method: str, where: str, n_latents: int, dose: float) -> Effect:
    """The effect of one condition on test mazes, from rows of one kind, site and method."""
    test = rows[(rows.split == "test") & at_setting(rows, where, n_latents, dose)]
    outcomes = test.set_index("example")[["follows_edit", "connection_set"]].sort_index()
    follows, keeps = (
        share(test.follows_edit, test.connection_set),
        share(test.keeps_original, test.connection_set),
    )
    return Effect(method, where, n_latents, dose, follows, keeps, outcomes)


def among(one: Effect, examples: pd.Index) -> Effect:
    """The same effect over some of its examples only; ``keeps`` stays that of all."""
    outcomes = one.outcomes[one.outcomes.index.isin(examples)]
    return one._replace(
        outcomes=outcomes, follows=share(outcomes.follows_edit, outcomes.connection_set)
    )


def shown(rows: pd.DataFrame, kind: str, latents: Effect, supervised: Effect) -> pd.DataFrame:
    """The rows of one site's ``curve`` that are shown together for one kind of edit.

    These are the latents and the mean difference, each at its setting, the controls at the latents'
    ``where`` and dose, the no-op, and the conditions that change the prompt."""
    mine = rows[rows.kind == kind]
    at_latents = (mine["where"] == latents.where) & (mine.dose == latents.dose)
    keep = ~mine.method.isin(["latents", "mean_difference", *VARIANTS, *CONTROLS]) | (
        mine.method == "no_op"
    )
    keep |= mine.method.isin(CONTROLS) & at_latents
    for one in (latents, supervised):
        keep |= (mine.method == one.method) & at_setting(mine, one.where, one.n_latents, one.dose)
    return mine[keep]


def unedited(ledger: pd.DataFrame, kind: str, site: str, method: str) -> Effect:
    """The effect of a condition that changes only the prompt: ``tokens``, the edited maze encoded
    (the ceiling), or ``repeated``."""
    rows = ledger[
        (ledger.kind == kind)
        & (ledger.site == site)
        & (ledger.method == method)
        & ledger.solved_before
    ]
    settings = rows.loc[rows.split == "test", SETTING]
    where, n_latents, dose = settings.iloc[0] if len(settings) else ("all", 0, 1.0)
    return effect(rows, method, where, int(n_latents), float(dose))


def beside(
    ledger: pd.DataFrame, kind: str, site: str, one: Effect, methods: Sequence[str]
) -> list[Effect]:
    """The effects of ``methods`` at the ``where`` and dose of another effect, for every number of
    latents; those of the no-op at any setting."""
    mine = ledger[(ledger.kind == kind) & (ledger.site == site) & (ledger.split == "test")]
    found = []
    for method in methods:
        rows = mine[mine.method == method]
        if method != "no_op":
            rows = rows[(rows["where"] == one.where) & (rows.dose == one.dose)]
        for (where, n_latents, dose), group in rows.groupby(SETTING):
            found.append(
                effect(group[group.solved_before], method, where, int(n_latents), float(dose))
            )
    return found


def strongest(effects: list[Effect]) -> Effect:
    """The effect with the highest follows_edit, as for the strongest control."""
    return max(effects, key=lambda one: one.follows.value)


def recovered_effect(
    latents: Effect, control: Effect, supervised: Effect, control_there: Effect
) -> float | None:
    """``(follows(latents) - control) / (follows(mean difference) - control_there)``, each with the
    strongest control at its own ``where`` and dose (docs/science.md#recovered-effect); None if the
    supervised direction does no better than its control."""
    room = supervised.follows.value - control_there.follows.value
    return (latents.follows.value - control.follows.value) / room if room > 0 else None
