"""The modules of the project that a stage imports, directly or not, with a digest of each module's
code.

Imports are read from the syntax tree, without importing anything; those inside functions count,
too. Names that a package offers lazily (``mazewm.io.lazy.offer``) count for a file that imports
them from the package, and not for one that imports another module of the package. Imports that
cannot be read from the syntax tree (``import *``, calls of ``import_module``) are refused.
"""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mazewm.io.errors import BadInput

ROOT = Path(__file__).parent.parent
PACKAGES = ("mazewm", "stages")
OFFER = "offer"  # the function by which a package offers names: offer(__name__, trace="tracing")
OFFERING = Path("mazewm/io/lazy.py")  # defines it; no other file may import by a computed name


class Wanted(NamedTuple):
    """A module and the names imported from it (None: the module, with all that it offers)."""

    module: str
    names: tuple[str, ...] | None


@cache
def file_of(module: str, root: Path = ROOT) -> Path | None:
    """The file of a module of the project, relative to ``root``; None if there is no such
    module."""
    place = Path(*module.split("."))
    if place.parts[0] not in PACKAGES:
        return None
    found = [p for p in (place / "__init__.py", place.with_suffix(".py")) if (root / p).exists()]
    return found[0] if found else None


def module_of(path: Path) -> str:
    """The dotted name of the module in a file, whose path is relative to the root."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


# What is read from a file is cached by its text, and not only by its path, so that a changed file
# is parsed again.
@cache
def _nodes(text: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(text)))


@cache
def _statements(path: Path, text: str) -> tuple[Wanted, ...]:
    """The import statements of a file, also inside functions. BadInput for an import that cannot be
    read from the syntax tree."""
    found = []
    for node in _nodes(text):
        if isinstance(node, ast.Call) and path != OFFERING:
            name = getattr(node.func, "id", getattr(node.func, "attr", None))
            if name in ("import_module", "__import__"):
                raise BadInput(f"{path}:{node.lineno}: expected an import statement, found {name}.")
        if isinstance(node, ast.Import):
            found += [Wanted(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = path.parts[: len(path.parts) - node.level] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = tuple(alias.name for alias in node.names)
            if "*" in names and module.split(".")[0] in PACKAGES:
                raise BadInput(f"{path}:{node.lineno}: expected names to import, found *.")
            found.append(Wanted(module, names))
    return tuple(found)


@cache
def _offers(path: Path, text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in _nodes(text):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == OFFER:
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
                if keyword.arg is None or not isinstance(value, str):
                    raise BadInput(
                        f"{path}:{node.lineno}: expected {OFFER}(__name__, NAME=MODULE) with "
                        "modules in quotation marks."
                    )
                found[keyword.arg] = f"{module_of(path)}.{value}"
    return found


def wanted_by(path: Path, root: Path = ROOT) -> Iterator[Wanted]:
    """Every module that a file imports, with the names, also inside functions."""
    for module, names in _statements(path, (root / path).read_text()):
        if names is None or module.split(".")[0] not in PACKAGES:
            yield Wanted(module, names)
            continue
        modules = [name for name in names if file_of(f"{module}.{name}", root)]
        yield from (Wanted(f"{module}.{name}", None) for name in modules)
        yield Wanted(module, tuple(name for name in names if name not in modules))


def offers(path: Path, root: Path = ROOT) -> dict[str, str]:
    """The module behind each name that a package offers lazily, by name."""
    return _offers(path, (root / path).read_text())


def direct_imports(path: Path, root: Path = ROOT) -> frozenset[Path]:
    """The project's files that ``path`` imports, with the ``__init__.py`` of all packages that
    contain them."""
    found: set[Path] = set()
    for module, names in wanted_by(path, root):
        file = file_of(module, root)
        if file is not None and file.name == "__init__.py":
            handed_on = offers(file, root)
            asked = (
                handed_on if names is None else {n: handed_on[n] for n in names if n in handed_on}
            )
            found |= {there for name in asked.values() if (there := file_of(name, root))}
        parts = module.split(".")
        parents = (".".join(parts[:end]) for end in range(1, len(parts) + 1))
        found |= {there for name in parents if (there := file_of(name, root))}
    return frozenset(found)


def closure(path: Path, root: Path = ROOT) -> list[Path]:
    """``path``, the ``__init__.py`` of its packages, and all files of the project that it imports,
    directly or not, sorted."""
    waiting = [
        path,
        *(
            p / "__init__.py"
            for p in path.parents
            if (root / p / "__init__.py").exists() and p.parts
        ),
    ]
    seen: set[Path] = set()
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += direct_imports(file, root)
    return sorted(seen)


def code_of(text: str) -> str:
    """The text of a module without comments, docstrings, blank lines and trailing spaces (those
    inside strings of several lines go, too).

    These are cut out of the text itself, because dumps of the syntax tree and the tokens of
    f-strings differ between versions of Python."""
    lines = text.splitlines(keepends=True)
    cuts = [
        (t.start, t.end)
        for t in tokenize.generate_tokens(io.StringIO(text).readline)
        if t.type == tokenize.COMMENT
    ]
    for node in _nodes(text):
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and node.body
        ):
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                start, end = (_in_characters(lines, *at) for at in _span(first))
                cuts.append((start, end))
    for (row, column), (last_row, last_column) in sorted(cuts, reverse=True):
        rest = lines[last_row - 1][last_column:]
        lines[row - 1 : last_row] = [lines[row - 1][:column] + rest]
    return "".join(f"{line.rstrip()}\n" for line in "".join(lines).splitlines() if line.strip())


def _span(node: ast.stmt) -> tuple[tuple[int, int], tuple[int, int]]:
    assert node.end_lineno is not None and node.end_col_offset is not None
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _in_characters(lines: list[str], row: int, n_bytes: int) -> tuple[int, int]:
    """Row and column in characters, from the syntax tree's row and column in bytes of UTF-8."""
    return row, len(lines[row - 1].encode()[:n_bytes].decode())


@cache
def digest(text: str) -> str:
    """A digest of a module's code, as 16 hexadecimal digits."""
    return hashlib.sha256(code_of(text).encode()).hexdigest()[:16]


def digests(path: Path, root: Path = ROOT) -> str:
    """A line ``module digest`` for a file's own module and for each module that it imports,
    directly or not."""
    return "".join(
        f"{module_of(file)} {digest((root / file).read_text())}\n" for file in closure(path, root)
    )
