"""The packages that pyproject.toml names, with what docs/dependencies.md says of them: which rooms
import them (from the syntax trees), and which version is locked. What a person says of them is in
``docs/templates/dependencies.yaml``.
"""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import metadata
from pathlib import Path

from mazewm.io.errors import BadInput
from mazewm.io.params import read_yaml

SAID = Path("docs/templates/dependencies.yaml")
FOLDERS = ("mazewm", "stages", "tests", "trust", "benchmarks", "examples")
KEYS = {"licence", "newest", "use", "without"}
# Of packages that are imported by another name.
IMPORTED = {"pillow": "PIL", "scikit-learn": "sklearn", "pyyaml": "yaml"}
MOST_ROOMS = 4  # that are listed, and not counted


@dataclass(frozen=True)
class Dependency:
    """One package that pyproject.toml names."""

    name: str
    extra: str  # empty: always installed
    rooms: tuple[str, ...]  # that import it; folders at the top for what is outside mazewm/
    version: str  # in a lock file
    newest: str  # its last release, and the date
    licence: str  # as its metadata has it
    use: str
    without: str  # what would be done without it

    @property
    def where(self) -> str:
        """The rooms, in words."""
        if len(self.rooms) > MOST_ROOMS:
            return f"{len(self.rooms)} rooms and folders"
        return ", ".join(f"`{room}`" for room in self.rooms) or "no import"


def dependencies(root: Path) -> list[Dependency]:
    """Every package of pyproject.toml, in its order; BadInput if ``SAID`` has others, or if one is
    not locked."""
    named, said, locked = dict(packages(root)), read_yaml(root / SAID), versions(root)
    if strangers := sorted(set(named) ^ set(said)):
        raise BadInput(
            f"{SAID}: expected the packages of pyproject.toml, found {strangers} in one."
        )
    for name, words in said.items():
        if set(words) != KEYS:
            raise BadInput(f"{SAID}: {name}: expected {sorted(KEYS)}, found {sorted(words)}.")
        if normal(name) not in locked:
            raise BadInput(f"requirements*.lock: expected {name} in one of them, found it in none.")
    importers = rooms_by_module(root)
    return [
        Dependency(name, extra, rooms(name, importers), locked[normal(name)], **said[name])
        for name, extra in named.items()
    ]


def packages(root: Path) -> Iterator[tuple[str, str]]:
    """The names in pyproject.toml, each with its extra."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    for extra, lines in {"": project["dependencies"], **project["optional-dependencies"]}.items():
        for line in lines:
            yield re.split(r"[^\w.-]", line)[0], extra


def normal(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def versions(root: Path, lock: str = "requirements*.lock") -> dict[str, str]:
    """The versions of the lock files, or of one, by normal name; requirements.lock has the last
    word."""
    found: dict[str, str] = {}
    for path in sorted(root.glob(lock), key=lambda path: -len(path.name)):
        lines = re.findall(r"^([\w.-]+)==([^\s;]+)", path.read_text(), re.MULTILINE)
        found |= {normal(name): version for name, version in lines}
    return found


def rooms(name: str, importers: Mapping[str, set[str]]) -> tuple[str, ...]:
    """Where a package is imported, of what ``rooms_by_module`` found."""
    module = IMPORTED.get(name, name.replace("-", "_"))
    found = (of for one, of in importers.items() if f"{one}.".startswith(f"{module}."))
    return tuple(sorted(set[str]().union(*found)))


def rooms_by_module(root: Path) -> dict[str, set[str]]:
    """Where each module is imported: rooms of mazewm/, and other folders at the top."""
    found: dict[str, set[str]] = {}
    for folder in FOLDERS:
        for path in (root / folder).rglob("*.py"):
            parts = path.relative_to(root).parts
            room = parts[1].removesuffix(".py") if folder == "mazewm" else folder
            for module in imported(path.read_text()):
                found.setdefault(module, set()).add(room)
    return found


def imported(text: str) -> Iterator[str]:
    """The modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def installed_licence(name: str) -> str:
    """The licence in the metadata of an installed package: its expression, or what its classifiers
    say; empty if it has neither. PackageNotFoundError if it is not installed."""
    about = metadata(name)
    classes = (line.split(" :: ") for line in about.get_all("Classifier") or [])
    named = [words[-1] for words in classes if words[0] == "License"]
    return ", ".join(about.get_all("License-Expression") or named)
