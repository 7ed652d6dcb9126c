"""What metrics/ says of a run, and the comparison with what was counted."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from mazewm.io.errors import BadInput
from trust.recount.tables import PERCENT, Check, Counted, Found, Same

UNMEASURED = "unmeasured"
HAIR = 1e-9
MOST_APART = 0.01  # of the ends of two bootstraps of the same rows
CONVENTION = re.compile(r"([a-z][\w ]*?) (-?[\d.]+) \[(-?[\d.]+), (-?[\d.]+)\]")


class Published(NamedTuple):
    """A figure of metrics/, and the ends of its interval if it has one."""

    value: float
    ends: tuple[float, float] | None


@dataclass(frozen=True)
class Row:
    """One figure of one run: what is published and what was counted."""

    figure: str
    run: str
    at: str  # where metrics/ has it, names with / between them
    shown: str
    published: float
    recomputed: float
    agrees: bool  # to the last digit that is shown, with ends that are near
    low: float | None
    high: float | None
    low_recomputed: float | None
    high_recomputed: float | None

    @property
    def apart(self) -> float:
        """By how much the ends of both intervals differ at most; 0 if there are not two."""
        ends = (self.low, self.low_recomputed), (self.high, self.high_recomputed)
        return max((abs(a - b) for a, b in ends if a is not None and b is not None), default=0.0)


@dataclass(frozen=True)
class Figures:
    """The metrics and claims of one run."""

    run: str
    metrics: Mapping[str, Any]
    claims: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path, run: str) -> "Figures":
        """Those in a folder, such as ``metrics/``."""
        metrics = read_json(folder / "runs" / f"{run}.json")
        claims = read_json(folder / "claims.json")
        if run not in claims.get("runs", {}):
            raise BadInput(f"{folder / 'claims.json'}: expected claims of {run}, found none.")
        return cls(run, metrics, claims["runs"][run])

    def at(self, names: tuple[str, ...]) -> Any:
        """What is at a place. BadInput if nothing is."""
        found: Any = {"metrics": self.metrics, "claims": self.claims}
        for name in names:
            if not isinstance(found, Mapping) or name not in found:
                raise BadInput(f"metrics of {self.run}: expected {'/'.join(names)}, found none.")
            found = found[name]
        return found

    def has(self, one: Found) -> bool:
        """Whether there is something to compare: not with an unmeasured claim, nor with a control
        that is not the claim's."""
        if isinstance(one, Check) or one.at[0] != "claims":
            return True
        claim = self.at(one.at[:2])
        if claim["verdict"] == UNMEASURED:
            return False
        return isinstance(one, Same) or one.control in ("", claim["control_name"])

    def figure(self, names: tuple[str, ...]) -> Published:
        """The figure at a place: with an interval, without one, a claim's value or its control; or
        one of the conventions that C5 names in its text."""
        if "measure" in names:
            text = self.at(names[:-1]).partition(": ")[2]
            said = {name: tuple(map(float, ends)) for name, *ends in CONVENTION.findall(text)}
            if names[-1] not in said:
                raise BadInput(f"claims of {self.run}: expected C5 {names[-1]}, found {text!r}.")
            value, *ends = said[names[-1]]
            return Published(value, (ends[0], ends[1]))
        if names[-1] == "control":
            value, low, high = (
                self.at((*names[:-1], f"control{x}")) for x in ("", "_low", "_high")
            )
            return Published(value, (low, high))
        found = self.at(names)
        if isinstance(found, Mapping):
            value, low, high = (self.at((*names, end)) for end in ("value", "low", "high"))
            return Published(value, (low, high))
        return Published(found, None)


def read_json(path: Path) -> dict[str, Any]:
    """An object of JSON. BadInput if the file is missing or is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing; expected results of the study.") from None
    except ValueError:
        raise BadInput(f"{path}: not JSON; expected results of the study.") from None
    if not isinstance(found, dict):
        raise BadInput(f"{path}: expected an object, found {type(found).__name__}.")
    return found


def shown(value: float, form: str) -> str:
    """A number as documents print it.

    >>> shown(0.98425, PERCENT), shown(0.98425, ".2f")
    ('98.4 %', '0.98')
    """
    if form == PERCENT:
        return f"{round(100 * value, 1) + 0.0:.1f} %"
    return format(value, form)


def roundings(value: float, form: str) -> set[str]:
    """A number as documents may print it: one that lies half way between two of them as either.

    >>> sorted(roundings(-0.1625, ".3f")), sorted(roundings(-0.1626, ".3f"))
    (['-0.162', '-0.163'], ['-0.163'])
    """
    return {shown(value + less, form) for less in (-HAIR, HAIR)}


def compared(one: Counted, figures: Figures) -> Row:
    """A figure beside the published one. What was counted is rounded as metrics/ are, and then as
    documents are."""
    there = figures.figure(one.at)
    recomputed = round(one.value, 6)
    text = shown(there.value, one.form)
    row = Row(
        one.figure,
        figures.run,
        "/".join(one.at),
        text,
        there.value,
        recomputed,
        text in roundings(recomputed, one.form),
        *_rounded(there.ends),
        *_rounded(one.ends),
    )
    return replace(row, agrees=row.agrees and row.apart <= MOST_APART)


def is_published(row: Row, figures: Figures) -> bool:
    """Whether what a row was compared with, value and ends, is what is published now."""
    there = figures.figure(tuple(row.at.split("/")))
    return (there.value, *_rounded(there.ends)) == (row.published, row.low, row.high)


def _rounded(ends: tuple[float, float] | None) -> tuple[float | None, float | None]:
    """As metrics/ are; without an interval, no ends."""
    return (None, None) if ends is None else (round(ends[0], 6), round(ends[1], 6))


def checked(one: Same | Check, figures: Figures) -> str | None:
    """What is wrong with something that is not a figure, in a few words; None if it is right."""
    if isinstance(one, Check):
        return None if one.right == one.of > 0 else f"{one.what}: {one.right} of {one.of}"
    there = figures.at(one.at)
    return None if one.found == there else f"{one.what}: {one.found}, published {there}"
