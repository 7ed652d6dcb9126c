"""Claims about how a model solves mazes are made about models that solve them."""

from collections.abc import Mapping, Sequence

import pandas as pd

from mazewm.claims.claim import Claim, unmeasured

SOLVES = 0.5  # of held-out mazes: a model that solves fewer is not studied further
OF_ANSWERS = ("W1a", "W1b", "W1c")  # about what the model answers, whatever it solves


def why_not(model: str, solved: float) -> str:
    """Why how a model solves mazes is not studied: the share of held-out mazes that it solves is
    less than SOLVES. Empty if it solves as many.

    >>> why_not("the model", 0.5), why_not("the model", 0.25)
    ('', 'the model solves only 25.0% of held-out mazes, less than 50%')
    """
    if solved >= SOLVES:
        return ""
    return f"{model} solves only {solved:.1%} of held-out mazes, less than {SOLVES:.0%}"


def of_solvers_only(claims: Sequence[Claim], behaviour: pd.DataFrame) -> list[Claim]:
    """The claims; if the model solves less than SOLVES of held-out mazes, all but those about its
    answers (W1a to W1c) are unmeasured: how it solves mazes is not what they would be about."""
    reason = why_not("the model", float(behaviour[behaviour.split == "test"].solved.mean()))
    if not reason:
        return list(claims)
    return [
        one
        if one.id in OF_ANSWERS or one.verdict == "unmeasured"
        else unmeasured(one.id, one.statement, one.measure, reason)
        for one in claims
    ]


def left_out(solved: Mapping[str, float]) -> dict[str, str]:
    """The runs that do not count where runs are compared, each with the reason; ``solved`` has the
    share of held-out mazes that each run solves."""
    found = {run: why_not(run, share) for run, share in solved.items()}
    return {run: reason for run, reason in found.items() if reason}
