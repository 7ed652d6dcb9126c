"""Claims about how a model solves mazes are made about models that solve them."""

from collections.abc import Sequence

import pandas as pd

from mazewm.claims.claim import Claim, unmeasured

SOLVES = 0.5  # of held-out mazes: a model that solves fewer is not studied further
OF_ANSWERS = ("W1a", "W1b")  # about what the model answers, whatever it solves


def of_solvers_only(claims: Sequence[Claim], behaviour: pd.DataFrame) -> list[Claim]:
    """The claims; if the model solves less than SOLVES of held-out mazes, all but those about its
    answers (W1a, W1b) are unmeasured, since how it solves mazes is not what they would be about."""
    solved = float(behaviour[behaviour.split == "test"].solved.mean())
    if solved >= SOLVES:
        return list(claims)
    reason = f"the model solves only {solved:.1%} of held-out mazes, less than {SOLVES:.0%}"
    return [
        one
        if one.id in OF_ANSWERS or one.verdict == "unmeasured"
        else unmeasured(one.id, one.statement, one.measure, reason)
        for one in claims
    ]
