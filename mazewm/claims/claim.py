"""A claim, its controls, and the verdicts of a table of claims (docs/science.md#claims).

Claims are made by ``claim``, ``depends`` and ``unmeasured``, and have no verdict until ``decided``
gives those of a whole table, since the correction for several verdicts needs all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from mazewm.claims.statistics import (
    NO_CONTRAST,
    NOTHING,
    Contrast,
    Interval,
    fixed,
    holm,
    rounded,
)

Verdict = Literal[
    "supported", "refuted", "not beyond the control", "depends", "undecided", "unmeasured"
]
VERDICTS: tuple[Verdict, ...] = (
    "supported", "refuted", "not beyond the control", "depends", "undecided", "unmeasured",
)  # fmt: skip
NEAR = 0.05  # a control that the value exceeds by less does as well
LEVEL = 0.05  # of all verdicts of a table together, two-sided


class Control(NamedTuple):
    """What a value is compared with: a measured control with its own interval, and the difference
    value - control, paired where both share units."""

    name: str
    value: Interval
    gap: Contrast


@dataclass(frozen=True)
class Claim:
    """One claim about one run or about several, with its verdict."""

    id: str
    statement: str
    measure: str  # what value, interval and control measure
    value: Interval
    controls: tuple[Control, ...] = ()
    by_convention: bool = False  # the controls are conventions of one comparison, and must agree
    # a control may be a better reader of the same, so to be below it refutes nothing
    is_of_reading: bool = False
    verdict: Verdict = "undecided"
    reason: str = ""  # why it is unmeasured

    @property
    def control(self) -> Control | None:
        """The strongest control: the one with the smallest lower end of the difference."""
        return min(self.controls, key=lambda one: one.gap.low) if self.controls else None

    @property
    def p_above(self) -> float:
        """p of "at most as good as some control": the largest of all controls', without a
        correction, as the value must exceed every one of them; 1 without controls."""
        return max((one.gap.p_above for one in self.controls), default=1.0)

    @property
    def p_below(self) -> float:
        """p of "worse than no control": the smallest, times their number, as one is enough. With
        conventions the largest, as all must agree; 1 for claims of reading."""
        if self.is_of_reading:
            return 1.0
        below = [one.gap.p_below for one in self.controls] or [1.0]
        return max(below) if self.by_convention else min(1.0, len(below) * min(below))

    @property
    def p_disagree(self) -> float:
        """p of "no two conventions differ in sign", times the number of conventions; 1 without
        conventions."""
        if not self.by_convention:
            return 1.0
        above = min(one.gap.p_above for one in self.controls)
        below = min(one.gap.p_below for one in self.controls)
        return min(1.0, len(self.controls) * max(above, below))

    def as_text(self) -> str:
        """One line: what was measured, its interval, and what it is compared with; or why it was
        not measured."""
        if self.control is None:
            return self.reason
        _, low, high, _ = self.control.value
        return (
            f"{self.measure}: {_in_words(self.value)}, {self.control.name} "
            + (f"{low:.3f}" if low == high else _in_words(self.control.value))
            + f", difference {_in_words(self.control.gap.interval)}"
        )

    def as_json(self) -> dict[str, object]:
        """All fields but the id, for metrics/claims.json; numbers are 0 and p is 1 where nothing
        was measured."""
        control = self.control or Control("", NOTHING, NO_CONTRAST)
        fields: dict[str, object] = {
            "statement": self.statement,
            "measure": self.measure,
            "value": self.value.value,
            "low": self.value.low,
            "high": self.value.high,
            "control": control.value.value,
            "control_low": control.value.low,
            "control_high": control.value.high,
            "control_name": control.name,
            "gap": control.gap.value,
            "gap_low": control.gap.low,
            "gap_high": control.gap.high,
            "p": self.p_above,
            "n": self.value.n,
            "n_clusters": control.gap.n_clusters,
            "verdict": self.verdict,
            "reason": self.reason,
        }
        return {k: rounded(v) if isinstance(v, float) else v for k, v in fields.items()}


def claim(
    id: str, statement: str, measure: str, value: Interval, controls: Sequence[Control]
) -> Claim:
    """A claim that the value exceeds every control; unmeasured if the value has no interval, if
    there is no control, or one whose difference has no interval. (``of_reading`` makes it one that
    cannot be refuted by a better reader.)"""
    if not controls:
        return unmeasured(id, statement, measure, "there is no control to compare with")
    if value.n == 0:
        return unmeasured(id, statement, measure, "too little data")
    for one in controls:
        if one.gap.n == 0:
            reason = f"too little data to compare with {one.name}"
            return unmeasured(id, statement, measure, reason)
    return Claim(id, statement, measure, value, tuple(controls))


def of_reading(one: Claim) -> Claim:
    """The claim that something can be read from a model, beside other readers, some without one. If
    one of them does better it is not beyond this control, which does not show that it is absent."""
    return replace(one, is_of_reading=True)


def unmeasured(id: str, statement: str, measure: str, reason: str) -> Claim:
    """A claim that the data say nothing about, with the reason in a few words."""
    return Claim(id, statement, measure, NOTHING, verdict="unmeasured", reason=reason)


def depends(id: str, statement: str, measure: str, conventions: Mapping[str, Contrast]) -> Claim:
    """A claim about the sign of a difference that may be taken by several conventions. Its value is
    that of the convention by which it is least above 0."""
    for name, one in conventions.items():
        if one.n == 0:
            return unmeasured(id, statement, measure, f"too little data by the convention {name}")
    if not conventions:
        return unmeasured(id, statement, measure, "there is no convention to measure by")
    least = min(conventions.values(), key=lambda one: one.low)
    each = "; ".join(f"{name} {_in_words(one.interval)}" for name, one in conventions.items())
    controls = [
        Control(f"no difference, by the convention {name}", fixed(0.0), one)
        for name, one in conventions.items()
    ]
    return Claim(
        id,
        statement,
        f"{measure}: {each}",
        least.interval,
        tuple(controls),
        by_convention=True,
    )


def decided(claims: Sequence[Claim]) -> list[Claim]:
    """All claims of one table with their verdicts, in the same order. Holm's correction is over the
    claims that were measured; each is tested in both directions."""
    measured = [one for one in claims if one.verdict != "unmeasured"]
    shown = holm({one.id: 2 * min(_p_of(one).values()) for one in measured}, LEVEL)
    return [
        replace(one, verdict=_verdict(one, shown[one.id])) if one.id in shown else one
        for one in claims
    ]


def _p_of(one: Claim) -> dict[Verdict, float]:
    """The one-sided p value of each verdict that can be shown."""
    return {"supported": one.p_above, "refuted": one.p_below, "depends": one.p_disagree}


def _verdict(one: Claim, is_shown: bool) -> Verdict:
    p = _p_of(one)
    if is_shown:
        return min(p, key=lambda verdict: p[verdict])
    if not one.by_convention and any(control.gap.high < NEAR for control in one.controls):
        return "not beyond the control"
    return "undecided"


def _in_words(one: Interval) -> str:
    return f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
