"""Which of the project's files a stage imports, read from the syntax tree, and dvc.yaml's code deps brought up to date.

python -m tests.pipeline_deps            says which stages declare other code deps than they import
python -m tests.pipeline_deps --write    rewrites the code deps of every stage in dvc.yaml, and nothing else there
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
PACKAGES = ("mazewm", "stages")


def file_of(module: str, root: Path = ROOT) -> Path | None:
    """The file of a module of the project, relative to ``root``; None if there is no such module."""
    place = Path(*module.split("."))
    if place.parts[0] not in PACKAGES:
        return None
    found = [path for path in (place / "__init__.py", place.with_suffix(".py")) if (root / path).exists()]
    return found[0] if found else None


def module_of(path: Path) -> str:
    """The module that a file (relative to the root) is."""
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_modules(tree: ast.AST, path: Path) -> Iterator[str]:
    """Every dotted name that a file imports, in functions too; ``from a import b`` gives ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = path.parts[: len(path.parts) - node.level] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


@cache
def direct_imports(path: Path, root: Path = ROOT) -> frozenset[Path]:
    """The project's files that ``path`` imports, with the ``__init__.py`` of every package on the way."""
    found = set()
    for name in imported_modules(ast.parse((root / path).read_text()), path):
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            file = file_of(".".join(parts[:end]), root)
            if file is not None:
                found.add(file)
    return frozenset(found)


def closure(path: Path, root: Path = ROOT) -> list[str]:
    """``path``, its packages, and everything of the project that it imports, directly or not, sorted."""
    packages = [parent / "__init__.py" for parent in path.parents if (root / parent / "__init__.py").exists() and parent.parts]
    seen: set[Path] = set()
    waiting = [path, *packages]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += direct_imports(file, root)
    return sorted(file.as_posix() for file in seen)


def code_deps(stage: str, root: Path = ROOT) -> list[str]:
    """What the stage must depend on: its own file first, then all others, sorted."""
    own = f"stages/{stage}.py"
    return [own, *(file for file in closure(Path(own), root) if file != own)]


def is_code(dep: str) -> bool:
    """Whether a dep of dvc.yaml is one of the project's Python files."""
    return dep.endswith(".py") or dep.split("/")[0] in PACKAGES


def declared(stage: dict) -> list[str]:
    """The code deps of a stage of dvc.yaml."""
    return [dep for dep in stage.get("deps", []) if is_code(dep)]


def rewritten(text: str, deps_of: dict[str, list[str]]) -> str:
    """dvc.yaml with the code deps of each stage replaced; every other line, comments among them, stays as it is."""
    lines, out = text.splitlines(), []
    stage, in_deps = "", False
    for line in lines:
        if line.startswith("  ") and line[2:3] not in (" ", "#", "-"):
            stage = line.strip().split(":")[0]
        if in_deps and line.startswith("      - "):
            if is_code(line.strip().removeprefix("- ").split(" #")[0].strip("\"' ")):
                continue
        elif in_deps and not line.strip().startswith("#"):
            in_deps = False
        out.append(line)
        if line.rstrip() == "    deps:" and stage in deps_of:
            in_deps = True
            out += [f"      - {dep}" for dep in deps_of[stage]]
    return "\n".join(out) + "\n"


def main(arguments: list[str]) -> int:
    """Report or rewrite; the exit code is 1 if something stays to be done."""
    path = ROOT / "dvc.yaml"
    text = path.read_text()
    stages = yaml.safe_load(text)["stages"]
    missing = [name for name in stages if not (ROOT / "stages" / f"{name}.py").exists()]
    deps_of = {name: code_deps(name) for name in stages if name not in missing}
    if "--write" in arguments:
        text = rewritten(text, deps_of)
        path.write_text(text)
        stages = yaml.safe_load(text)["stages"]
    wrong = [name for name in deps_of if declared(stages[name]) != deps_of[name]]
    for name in missing:
        print(f"stages/{name}.py: the file is missing; dvc.yaml has a stage of that name.")
    for name in wrong:
        how = "write its deps as a block list" if "--write" in arguments else "run python -m tests.pipeline_deps --write"
        print(f"dvc.yaml: {name}: the code deps differ from what stages/{name}.py imports; {how}.")
    return int(bool(missing or wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
