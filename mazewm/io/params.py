"""params.yaml, read strictly: unknown, missing and mistyped keys are errors that name the key.

A section stands in two places, ``params[section]`` and ``params["scales"][scale][section]``, and
its values are those of both: no key may stand in both, and neither place may be missing, for what
is not there DVC cannot watch. The classes that describe the sections live beside the code that they
configure.
"""

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from mazewm.io.errors import BadInput


class Params(BaseModel):
    """A frozen section of params.yaml. Subclasses have no defaults: numbers are chosen in
    params.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


P = TypeVar("P", bound=Params)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that ``path`` holds; BadInput if there is none."""
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing; expected the project's parameters.") from None
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: not valid YAML ({' '.join(str(error).split())}).") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path}: expected a mapping of sections, found {type(content).__name__}.")
    return content


def load(cls: type[P], section: str, path: Path = Path("params.yaml")) -> P:
    """The section ``section`` of ``path`` at the scale that the file chooses, checked against
    ``cls``."""
    content = read_yaml(path)
    scale, scales = content.get("scale"), content.get("scales") or {}
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
    """``values`` as a ``cls``; BadInput, with the first offending key named, if they do not fit."""
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
