"""The rules of the house: who imports whom, how long a file may be, and that what the documents
name is there.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from stages.imports import PACKAGES, ROOT, direct_imports, offers

# A room imports itself and the rooms before it. The rooms are the packages of mazewm/, in this
# order.
ROOMS = (
    "io",
    "maze",
    "datasets",
    "run",
    "choosing",
    "doses",
    "model",
    "counterfactuals",
    "inference",
    "localize",
    "sae",
    "features",
    "circuits",
    "interventions",
    "planning",
    "results",
    "claims",
    "figures",
    "report",
    "loaded",
    "explore",
    "export",
    "elsewhere",
    "stages",
)
MAX_LINES = 330
TORCH_FREE = (
    *(f"mazewm.maze.{path.stem}" for path in sorted((ROOT / "mazewm" / "maze").glob("[a-z]*.py"))),
    *(
        f"mazewm.datasets.{path.stem}"
        for path in sorted((ROOT / "mazewm" / "datasets").glob("[a-z]*.py"))
    ),
)
TORCH_FREE += ("mazewm.io.params", "mazewm.io.tables", "stages.generate_mazes")
# by running, so perhaps not there
MADE = (
    ".git",
    ".dvc",
    "artifacts",
    "metrics",
    ".venv",
    ".checkpoints",
    "dvc.lock",
    "released",
)
SUFFIXES = (".py", ".md", ".yaml", ".toml", ".lock", ".cff")

FILES = sorted(
    path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
)
DOCUMENTS = [
    path
    for path in [
        *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "CHANGELOG")),
        *sorted((ROOT / "docs").rglob("*.md")),
    ]
    if path.exists()
]


def room_of(file: Path) -> str | None:
    """The room that a file of mazewm/ or stages/ belongs to; None for mazewm's own
    ``__init__.py``."""
    if file.parts[0] == "stages":
        return "stages"
    return None if file.parts[1] == "__init__.py" else file.parts[1].removesuffix(".py")


def top_level() -> list[str]:
    """The names at the top of the repository that git tracks or would."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("this copy of the project is not a git repository")
    return sorted(
        {line.split("/")[0] for line in listed.stdout.splitlines() if (ROOT / line).exists()}
    )


@pytest.mark.parametrize("file", FILES, ids=str)
def test_rooms_import_only_rooms_before_them(file):
    room = room_of(file)
    if room is None:
        others = {path.as_posix() for path in direct_imports(file)} - {
            "mazewm/__init__.py",
            "mazewm/io/__init__.py",
            "mazewm/io/lazy.py",
        }
        assert not others, (
            f"{file} imports {sorted(others)}; mazewm itself hands on names, and imports nothing "
            "before it is asked"
        )
        return
    assert room in ROOMS, (
        f"{file}: mazewm/{room} has no place among the rooms; give it one in ROOMS of "
        "tests/test_house.py"
    )
    for imported in sorted(direct_imports(file)):
        other = room_of(imported)
        if other is not None:
            assert other in ROOMS, (
                f"{imported}: mazewm/{other} has no place among the rooms; give it one in ROOMS "
                "of tests/test_house.py"
            )
            assert ROOMS.index(other) <= ROOMS.index(room), (
                f"{file} imports {imported}, but {other} comes after {room}"
            )


@pytest.mark.parametrize("file", FILES, ids=str)
def test_files_are_short_and_say_what_they_are(file):
    text = (ROOT / file).read_text()
    n_lines = len(text.splitlines())
    assert n_lines <= MAX_LINES, f"{file} has {n_lines} lines; the most is {MAX_LINES}"
    assert file.stem not in ("utils", "helpers", "misc", "common"), (
        f"{file}: a helper lives in the first room that needs it"
    )
    assert ast.get_docstring(ast.parse(text)), (
        f"{file}: expected a docstring that says what the module takes and hands on"
    )


def test_mazes_are_made_without_torch():
    heavy = (
        "[name for name in ('torch', 'sklearn', 'seaborn', 'matplotlib') if name in sys.modules]"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {', '.join(TORCH_FREE)}; print({heavy})"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "[]", f"imported {done.stdout}{done.stderr[-1000:]}"
    shown = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "stages.generate_mazes", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr[-1000:]
    assert "--seed" in shown.stdout
    assert not re.search(r"\|\s+torch$", shown.stderr, re.MULTILINE), "--help imports torch"


def paths_in(text: str) -> list[str]:
    """What stands in backticks and looks like a path of the repository."""
    top = {path.name for path in ROOT.iterdir()}
    found = []
    for quoted in re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if not re.fullmatch(r"[\w.][\w./-]*", quoted) or quoted.split("/")[0] in MADE:
            continue
        first = quoted.split("/")[0]
        if (first in top and "/" in quoted) or quoted.endswith(SUFFIXES) or quoted.endswith("/"):
            found.append(quoted)
    return found


def is_there(path: str) -> bool:
    """Whether a path exists, from the top or (a bare file name or the end of a path) anywhere in
    mazewm, stages or tests."""
    if (ROOT / path).exists():
        return True
    return any(
        hit.as_posix().endswith("/" + path.rstrip("/"))
        for folder in (*PACKAGES, "tests", "docs")
        for hit in (ROOT / folder).rglob("*")
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_paths_in_documents_exist(document):
    missing = sorted({path for path in paths_in(document.read_text()) if not is_there(path)})
    assert not missing, f"{document.relative_to(ROOT)} names {missing}, which the repository lacks"


def test_the_file_map_is_whole():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert "## Files" in text, "CONTRIBUTING.md: expected the file map under the heading '## Files'"
    file_map = text.split("## Files")[1].split("\n## ")[0]
    words = {word.rstrip("/") for word in re.findall(r"[\w./-]+", file_map)}
    names = {part for word in words for part in (word, *word.split("/"))}
    missing = [name for name in top_level() if name not in names | {"CONTRIBUTING.md"}]
    assert not missing, f"CONTRIBUTING.md: the file map does not name {missing}"
    modules = sorted(
        {file.parts[1].removesuffix(".py") for file in FILES if file.parts[0] == "mazewm"}
        - {"__init__"}
    )
    missing = [name for name in modules if not {name, f"{name}.py"} & names]
    assert not missing, f"CONTRIBUTING.md: the file map does not name {missing} of mazewm"
    listed = re.findall(r"^\| `mazewm/(\w+)(?:/|\.py)` \|", file_map, re.MULTILINE)
    assert listed == list(ROOMS[:-1]), "CONTRIBUTING.md: expected the rooms in their order"


PACKAGED = sorted(path.parent.name for path in (ROOT / "mazewm").glob("*/__init__.py"))


@pytest.mark.parametrize("package", PACKAGED)
def test_what_a_room_offers_is_there(package):
    """And is no name of one of its modules, which would hide it once that module is imported."""
    import importlib

    room = importlib.import_module(f"mazewm.{package}")
    for name, module in offers(Path(f"mazewm/{package}/__init__.py")).items():
        assert getattr(room, name).__name__ == name, f"{module}.{name}"
        assert not (ROOT / "mazewm" / package / f"{name}.py").exists(), (
            f"mazewm.{package}.{name} is a module, too"
        )


def test_paths_are_recognised():
    text = "`mazewm/maze/` and `gone.py`, `artifacts/x.parquet`, `q/k`, `dvc repro`, `nowhere/`\n"
    text += "```\n`mazewm/no.py`\n```"
    assert paths_in(text) == ["mazewm/maze/", "gone.py", "nowhere/"]
    assert [is_there(path) for path in paths_in(text)] == [True, False, False]


RUNS_WHAT_IT_READS = re.compile(
    r"\bimport (pickle|marshal|shelve|dill|joblib)\b|\bfrom (pickle|marshal|shelve|dill|joblib)\b"
    r"|allow_pickle=True|(?<!\.)\b(eval|exec)\(|\bread_pickle\b|yaml\.(unsafe_|full_)?load\("
    r"|weights_only=False|YAML\((?!typ=\"safe\"|\))"
)


@pytest.mark.parametrize("package", ["mazewm", "stages"])
def test_no_file_that_is_read_is_run(package):
    """Files come from other people, too; a pickle is a program."""
    for path in sorted((ROOT / package).rglob("*.py")):
        text = path.read_text()
        found = [match[0] for match in RUNS_WHAT_IT_READS.finditer(text)]
        assert not found, f"{path.relative_to(ROOT)}: {found}"
        loads = re.findall(r"torch\.load\([^\n]*", text)
        assert all("weights_only=True" in each for each in loads), f"{path}: {loads}"


def test_the_rule_about_what_is_run_sees_what_it_should():
    safe = 'YAML(typ="safe")'
    pickled = "np.load(f, allow_pickle=True)"
    for bad in (
        "import pickle",
        "yaml.load(x)",
        pickled,
        safe.replace("safe", "unsafe"),
        "eval(x)",
    ):
        assert RUNS_WHAT_IT_READS.search(bad), bad
    for good in ('YAML(typ="safe").load(x)', "YAML().dump(x, y)", "model.eval()", "np.load(f)"):
        assert not RUNS_WHAT_IT_READS.search(good), good
