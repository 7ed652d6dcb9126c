"""Strict reading of params.yaml: unknown, missing and mistyped keys are errors that name the key.

A section's values are ``params[section]`` together with ``params["scales"][scale][section]``.
Neither part may be absent, since DVC cannot watch what is not in the file (``{}`` is an empty
part), and no key may be set in both. The classes that describe the sections are next to the code
that they configure.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from mazewm.io.errors import BadInput, told

MOST_NESTED = 50  # mappings and lists in one another
LARGEST_INT = 2**31 - 1  # what a column of numbers in a table holds
# the smallest and largest size in single precision, with which models compute
TINY, HUGE = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


class Params(BaseModel):
    """A section of params.yaml, frozen. Subclasses define no default for a number: all numbers are
    set in params.yaml. Infinity and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _differ(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("expected values that differ from one another")
    return values


Distinct = AfterValidator(_differ)  # of a list, none of whose values may be measured twice
P = TypeVar("P", bound=Params)


def parse_yaml(text: str) -> Any:
    """The content of a YAML text, as DVC reads it (YAML 1.2 by the same library): 1e-05 is a
    number, ``on`` and ``yes`` are texts, and no key may come twice. ValueError if the text is not
    YAML, or nests more than MOST_NESTED values."""
    try:
        _check_nesting(text)
        return YAML(typ="safe").load(text)
    # Values that do not fit their tag (``!!bool x``) raise errors of many types.
    except Exception as error:
        problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"{problem or ' '.join(str(error).split())}{place}") from None


def _check_nesting(text: str) -> None:
    """ValueError for values nested deeper than MOST_NESTED, at which the parser, written in C,
    would overflow its stack."""
    depth = 0
    for event in YAML(typ="safe").parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MOST_NESTED:
            raise ValueError(f"expected at most {MOST_NESTED} nested values, found more")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. BadInput if the file is missing, is not YAML in UTF-8, or holds
    something other than a mapping."""
    try:
        content = parse_yaml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing; expected the project's parameters.") from None
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path}: expected text in UTF-8, found another byte at {error.start}."
        ) from None
    except (ValueError, OSError) as error:
        raise BadInput(f"{path}: not valid YAML ({error}).") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path}: expected a mapping of sections, found {type(content).__name__}.")
    for name, value in _inside("", content):
        odd = [key for key in value if not isinstance(key, str)] if isinstance(value, dict) else []
        if odd:
            where = f"{path}: {name}" if name else path
            raise BadInput(f"{where}: expected names for keys, found {told(odd[0])}.")
    return content


def _inside(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value and all that is in it, each with its dotted name, and once if there are aliases."""
    waiting, seen = [(name, value)], set()
    while waiting:
        name, value = waiting.pop()
        yield name, value
        if isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))
            parts = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += reversed([(f"{name}.{key}".lstrip("."), part) for key, part in parts])


def check_sections(content: dict[str, Any], path: Path) -> None:
    """BadInput if a section of ``content``, read from ``path``, stands at the top level or in a
    scale only. Nothing reads such a section, and it may be a slip of the pen. Values are checked by
    ``load``."""
    scales = content.get("scales")
    if not isinstance(scales, dict):
        return
    sections = {key for key, value in content.items() if isinstance(value, dict)} - {"scales"}
    for scale, sized in scales.items():
        if not isinstance(sized, dict):
            continue
        for name in sized:
            if name not in content:
                raise BadInput(
                    f"{path}: scales.{scale}.{name}: unknown section; expected one of "
                    f"{sorted(sections)}."
                )
        for name in sorted(sections - set(sized)):
            raise BadInput(
                f"{path}: {name}: expected a section that every scale has, {{}} if it has no key "
                f"of its own, found {sorted(map(str, sized))} in scales.{scale}."
            )


def load(
    cls: type[P], section: str, path: Path = Path("params.yaml"), scale: str | None = None
) -> P:
    """A section of ``path`` as a ``cls``, at ``scale``, or at the one that the file's key ``scale``
    names.
    BadInput if the file is broken, if one of the section's two parts is missing, if a key is set
    twice, or if the values do not fit ``cls``."""
    content = read_yaml(path)
    scales = content.get("scales") or {}
    scale = content.get("scale") if scale is None else scale
    if not isinstance(scales, dict):
        raise BadInput(f"{path}: scales: expected a mapping, found {told(scales)}.")
    if not isinstance(scale, str) or scale not in scales:
        raise BadInput(f"{path}: scale: expected one of {sorted(scales)}, found {told(scale)}.")
    sized = scales[scale] or {}
    if not isinstance(sized, dict):
        raise BadInput(
            f"{path}: scales.{scale}: expected a mapping of sections, found {told(sized)}."
        )
    values: dict[str, Any] = {}
    for name, part in (
        (section, content.get(section)),
        (f"scales.{scale}.{section}", sized.get(section)),
    ):
        if part is None:
            raise BadInput(
                f"{path}: {name}: the section is missing; expected a mapping, {{}} if it has no "
                "key of its own."
            )
        if not isinstance(part, dict):
            raise BadInput(f"{path}: {name}: expected a mapping, found {told(part)}.")
        twice = sorted(set(values) & set(part))
        if twice:
            raise BadInput(
                f"{path}: {section}.{twice[0]}: set both for every scale and for scale {scale!r}; "
                "keep one."
            )
        values |= part
    return check(cls, values, f"{path}: {section}")


def check(cls: type[P], values: dict[str, Any], where: str) -> P:
    """``values`` as a ``cls``; BadInput that names the first offending key if they do not fit.
    ``where`` begins the message: the file and section that the values come from, or the file alone.

    >>> class Size(Params):
    ...     width: int
    >>> check(Size, {"width": 3}, "params.yaml: size")
    Size(width=3)
    >>> check(Size, {"width": "3"}, "params.yaml: size")
    Traceback (most recent call last):
    mazewm.io.errors.BadInput: params.yaml: size.width: input should be a valid integer, found '3'.
    """
    joint = "." if ": " in where else ": "
    try:
        found = cls.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        name = f"{where}{joint}{key}" if key else where
        if first["type"] == "missing":
            raise BadInput(f"{name}: the key is missing.") from None
        if first["type"] == "extra_forbidden":
            raise BadInput(
                f"{name}: unknown key; expected one of {sorted(cls.model_fields)}."
            ) from None
        reason = first["msg"].removeprefix("Value error, ")
        raise BadInput(
            f"{name}: {reason[0].lower()}{reason[1:]}, found {told(first['input'])}."
        ) from None
    for name, value in _inside("", values):
        _check_size(f"{where}{joint}{name}", value)
    return found


def _check_size(name: str, value: Any) -> None:
    """BadInput for a number that tables and models cannot hold."""
    if isinstance(value, int) and abs(value) > LARGEST_INT:
        raise BadInput(
            f"{name}: expected a whole number of at most {LARGEST_INT}, found {told(value)}."
        )
    is_held = not isinstance(value, float) or not value or TINY <= abs(value) <= HUGE
    if not is_held:
        raise BadInput(
            f"{name}: expected 0 or a number from {TINY:.0e} to {HUGE:.0e} in size, "
            f"as single precision holds, found {told(value)}."
        )
