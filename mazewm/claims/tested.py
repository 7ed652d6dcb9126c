"""Claims that compare runs: each with what exchanging its runs gives, by which those are told
apart that so few runs cannot decide (docs/science.md#over-seeds)."""

from collections.abc import Sequence
from typing import NamedTuple

from mazewm.claims.claim import LEVEL, Claim, decided, unmeasured
from mazewm.claims.statistics import Contrast, fixed, holm, rounded

NO_DIFFERENCE = fixed(0.0)


class Exchange(NamedTuple):
    """What exchanging runs gives: p of both directions together, and the smallest that so many runs
    can give. Of the number that is reported, if it has a share of variance: the share that lies
    between encodings, and the median of this share over all ways to exchange."""

    p: float
    smallest_p: float
    share: float | None = None
    median_share: float | None = None

    def as_json(self) -> dict[str, float]:
        """The parts that are known."""
        return {name: rounded(one) for name, one in self._asdict().items() if one is not None}


class Tested(NamedTuple):
    """A claim, and what exchange gives; None if nothing was measured."""

    claim: Claim
    exchange: Exchange | None


def of_largest(value: float, half: float, n: int, p: float) -> Contrast:
    """A difference that is positive by the way it is taken, with the half width of its interval and
    p of a test without direction. Claims are tested in both directions, and p is doubled there; but
    this one can come out in one direction only, so half of p is given."""
    return Contrast(value, value - half, value + half, n, n, min(1.0, p) / 2, 1.0)


def nothing(id: str, statement: str, measure: str, reason: str) -> Tested:
    """A claim about which the runs say nothing."""
    return Tested(unmeasured(id, statement, measure, reason), None)


def decided_together(tested: Sequence[Tested]) -> list[Claim]:
    """All claims of the table with their verdicts. Claims that Holm's rule would not let pass if
    every test had its smallest p are unmeasured, and the others are corrected without them: which
    ones these are depends on the number of runs and not on what was measured."""
    smallest = {one.claim.id: one.exchange.smallest_p for one in tested if one.exchange}
    can_pass = holm(smallest, LEVEL)
    return decided(
        [
            one.claim
            if can_pass.get(one.claim.id, True)
            else too_few(one.claim, smallest[one.claim.id], len(smallest))
            for one in tested
        ]
    )


def too_few(one: Claim, smallest_p: float, n_verdicts: int) -> Claim:
    """A claim that so few runs cannot decide."""
    reason = (
        f"too few seeds: the smallest p that these runs can give is {smallest_p:.2g}, above "
        f"{LEVEL} when {n_verdicts} verdicts are corrected together"
    )
    return unmeasured(one.id, one.statement, one.measure, reason)
