"""Strict reading of params.yaml: unknown, missing and mistyped keys are errors that name the key.

A section's values are ``params[section]`` together with ``params["scales"][scale][section]``.
Neither part may be absent, since DVC cannot watch what is not in the file (``{}`` is an empty
part), and no key may be set in both. The classes that describe the sections are next to the code
that they configure.
"""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from mazewm.io.errors import BadInput


class Params(BaseModel):
    """A section of params.yaml, frozen. Subclasses define no default for a number: all numbers are
    set in params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


P = TypeVar("P", bound=Params)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. BadInput if the file is missing, is not YAML, or holds something
    other than a mapping."""
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing; expected the project's parameters.") from None
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: not valid YAML ({' '.join(str(error).split())}).") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path}: expected a mapping of sections, found {type(content).__name__}.")
    return content


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
        raise BadInput(f"{path}: scales: expected a mapping, found {scales!r}.")
    if not isinstance(scale, str) or scale not in scales:
        raise BadInput(f"{path}: scale: expected one of {sorted(scales)}, found {scale!r}.")
    sized = scales[scale] or {}
    if not isinstance(sized, dict):
        raise BadInput(f"{path}: scales.{scale}: expected a mapping of sections, found {sized!r}.")
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
            raise BadInput(f"{path}: {name}: expected a mapping, found {part!r}.")
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
    ``where`` begins the message: the file and section that the values come from.

    >>> class Size(Params):
    ...     width: int
    >>> check(Size, {"width": 3}, "params.yaml: size")
    Size(width=3)
    >>> check(Size, {"width": "3"}, "params.yaml: size")
    Traceback (most recent call last):
    mazewm.io.errors.BadInput: params.yaml: size.width: input should be a valid integer, found '3'.
    """
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        name = f"{where}.{key}" if key else where
        if first["type"] == "missing":
            raise BadInput(f"{name}: the key is missing.") from None
        if first["type"] == "extra_forbidden":
            raise BadInput(
                f"{name}: unknown key; expected one of {sorted(cls.model_fields)}."
            ) from None
        reason = first["msg"].removeprefix("Value error, ")
        raise BadInput(
            f"{name}: {reason[0].lower()}{reason[1:]}, found {first['input']!r}."
        ) from None
