"""Claims that compare runs: each with the smallest p that its permutation test can have, by which
those are told apart that so few runs cannot decide (docs/science.md#over-seeds)."""

from collections.abc import Sequence
from typing import NamedTuple

from mazewm.claims.claim import LEVEL, Claim, decided, unmeasured
from mazewm.claims.statistics import Contrast, fixed, holm

NO_DIFFERENCE = fixed(0.0)


class Tested(NamedTuple):
    """A claim, and the smallest p, of both directions together, that its test can have; 1 if
    nothing was measured."""

    claim: Claim
    smallest_p: float


def of_largest(value: float, half: float, n: int, p: float) -> Contrast:
    """A difference that is positive by the way it is taken, with the half width of its interval and
    p of a test without direction. Claims are tested in both directions, and p is doubled there; but
    this one can come out in one direction only, so half of p is given."""
    return Contrast(value, value - half, value + half, n, n, min(1.0, p) / 2, 1.0)


def nothing(id: str, statement: str, measure: str, reason: str) -> Tested:
    """A claim about which the runs say nothing."""
    return Tested(unmeasured(id, statement, measure, reason), 1.0)


def decided_together(tested: Sequence[Tested]) -> list[Claim]:
    """All claims of the table with their verdicts. Claims that Holm's rule would not let pass if
    every test had its smallest p are unmeasured, and the others are corrected without them: which
    ones these are depends on the number of runs and not on what was measured."""
    measured = [one for one in tested if one.claim.verdict != "unmeasured"]
    can_pass = holm({one.claim.id: one.smallest_p for one in measured}, LEVEL)
    return decided(
        [
            too_few(one, len(measured)) if not can_pass.get(one.claim.id, True) else one.claim
            for one in tested
        ]
    )


def too_few(one: Tested, n_verdicts: int) -> Claim:
    """A claim that so few runs cannot decide."""
    reason = (
        f"too few seeds: the smallest p that these runs can give is {one.smallest_p:.2g}, above "
        f"{LEVEL} when {n_verdicts} verdicts are corrected together"
    )
    return unmeasured(one.claim.id, one.claim.statement, one.claim.measure, reason)
