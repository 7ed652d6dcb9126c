"""Strict reading of params.yaml: unknown, missing and mistyped keys are errors that name the key.

A section's values are ``params[section]`` together with ``params["scales"][scale][section]``.
Neither part may be absent, since DVC cannot watch what is not in the file (``{}`` is an empty
part), and no key may be set in both. The classes that describe the sections are next to the code
that they configure.
"""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mazewm.io.errors import BadInput


class Params(BaseModel):
    """A section of params.yaml, frozen. Subclasses define no default for a number: all numbers are
    set in params.yaml. Infinity and NaN are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


P = TypeVar("P", bound=Params)


def parse_yaml(text: str) -> Any:
    """The content of a YAML text, as DVC reads it (YAML 1.2 by the same library): 1e-05 is a
    number, ``on`` and ``yes`` are texts, and no key may come twice. ValueError if the text is not
    YAML."""
    try:
        return YAML(typ="safe").load(text)
    except YAMLError as error:
        problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}" if mark else ""
        raise ValueError(f"{problem or ' '.join(str(error).split())}{place}") from None


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
    odd = [key for key in content if not isinstance(key, str)]
    if odd:
        raise BadInput(f"{path}: expected a mapping with names for keys, found {odd[0]!r}.")
    return content


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
