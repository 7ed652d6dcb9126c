"""dvc.yaml says what the code does: stages, code deps, parameters, options."""

import ast
import importlib
import inspect
import shlex
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from mazewm.io.params import Params, load
from stages import imports
from stages.imports import ROOT

PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
STAGES: dict[str, dict] = PIPELINE["stages"]
# Those that do not compute with torch, or leave it to the library to say on how many threads.
WITHOUT_THREADS = (
    "digest_code",
    "generate_mazes",
    "train_transformer",
    "score",
    "compare",
)
SCALES: dict[str, dict] = PARAMS["scales"]


@cache
def sections_read(file: str) -> list[tuple[type[Params], str]]:
    """The class and the section of every ``load(Cls, "section")`` in a file, in order."""
    path = Path(file)
    tree = ast.parse((ROOT / path).read_text())
    names: dict[str, str] = {}  # what a name in the file stands for
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {
                alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names
            }
        elif isinstance(node, ast.Import):
            names |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ClassDef):
            names[node.name] = f"{imports.module_of(path)}.{node.name}"

    def full(node: ast.expr) -> str:
        first, *rest = ast.unparse(node).split(".")
        return ".".join([names.get(first, first), *rest])

    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and full(node.func) == "mazewm.io.params.load":
            assert len(node.args) >= 2, (
                f"{file}:{node.lineno}: write load(Cls, section) with both in their places"
            )
            cls, section = node.args[:2]
            assert isinstance(section, ast.Constant), (
                f"{file}:{node.lineno}: write the section's name as text, so that it can be checked"
            )
            module, _, name = full(cls).rpartition(".")
            found.append((getattr(importlib.import_module(module), name), section.value))
    return found


def code_of(stage: str) -> list[str]:
    """The project's files that a stage imports."""
    return [path.as_posix() for path in imports.closure(Path(f"stages/{stage}.py"))]


def sections_of(stage: str) -> dict[str, type[Params]]:
    """The sections of params.yaml that a stage, or what it imports, reads."""
    return {section: cls for file in code_of(stage) for cls, section in sections_read(file)}


def texts_in(stage: str) -> set[str]:
    """Every piece of text, and every field of a class, that stands in a stage's file."""
    nodes = list(ast.walk(ast.parse((ROOT / "stages" / f"{stage}.py").read_text())))
    fields = {
        node.target.id
        for node in nodes
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    return fields | {
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def is_section(name: str) -> bool:
    """Whether a top-level name of params.yaml is a section, not a single value or the scales."""
    return isinstance(PARAMS[name], dict) and name != "scales"


def cmd_of(stage: str) -> str:
    entry = STAGES[stage]
    return entry.get("cmd") or entry["do"]["cmd"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_the_file_of_its_name(stage):
    assert (ROOT / "stages" / f"{stage}.py").exists(), (
        f"stages/{stage}.py is missing; dvc.yaml has a stage of that name"
    )
    assert (
        cmd_of(stage).startswith(f"python -m stages.{stage} ")
        or cmd_of(stage) == f"python -m stages.{stage}"
    )
    assert STAGES[stage].get("desc", "").endswith("."), f"{stage}: expected a desc, one sentence"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_its_digest_and_on_no_other_code(stage):
    code = [
        dep
        for dep in STAGES[stage]["deps"]
        if not dep.startswith(("artifacts/", "${results}/")) or dep.startswith("artifacts/code/")
    ]
    assert code == (
        ["mazewm", "stages"]
        if stage == "digest_code"
        else [f"artifacts/code/{stage}.txt", *templates_of(stage)]
    )


def templates_of(stage: str) -> list[str]:
    """The files of the packages of a stage's modules that are read and not imported, so that their
    text is in no digest. (``py.typed`` is for type checkers.)"""
    folders = {Path(file).parent for file in code_of(stage)}
    there = [path for folder in folders for path in (ROOT / folder).iterdir() if path.is_file()]
    return sorted(
        path.relative_to(ROOT).as_posix()
        for path in there
        if path.suffix not in (".py", ".pyc") and path.name != "py.typed"
    )


def test_the_page_is_written_anew_when_its_template_changes():
    assert templates_of("compare") == ["mazewm/report/page.html.j2"]
    assert templates_of("score") == []


def test_templates_are_part_of_the_package():
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packaged = {
        path.relative_to(ROOT).as_posix()
        for package, patterns in wanted["package-data"].items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    assert set(templates_of("compare")) <= packaged


@pytest.mark.parametrize("stage", STAGES)
def test_other_deps_are_outs(stage):
    outs = [part for entry in STAGES.values() for part in outs_of(entry)]
    for dep in STAGES[stage].get("deps", []):
        if dep in imports.PACKAGES or dep in templates_of(stage):
            continue
        made = any(
            dep == out or dep.startswith(out + "/") or out.startswith(dep + "/") for out in outs
        )
        assert made, f"{stage}: nothing makes its dep {dep}"


def outs_of(entry: dict) -> list[str]:
    """The paths that a stage declares as outs, metrics or plots."""
    listed = [item for kind in ("outs", "metrics", "plots") for item in entry.get(kind, [])]
    return [next(iter(item)) if isinstance(item, dict) else item for item in listed]


@pytest.mark.parametrize("stage", STAGES)
def test_declared_params_are_those_that_are_read(stage):
    expected = set()
    for section in sections_of(stage):
        assert section in PARAMS or any(section in scale for scale in SCALES.values()), (
            f"{stage} reads {section}, which params.yaml lacks"
        )
        expected |= {section} if section in PARAMS else set()
        expected |= (
            {f"scales.${{scale}}.{section}"}
            if any(section in scale for scale in SCALES.values())
            else set()
        )
    declared = set(STAGES[stage].get("params", []))
    single = {name for name in PARAMS if not is_section(name) and name != "scales"}
    assert declared - single == expected, (
        f"{stage}: expected params {sorted(expected)}, found {sorted(declared - single)}"
    )
    unread = sorted(name for name in declared & single if name not in texts_in(stage))
    assert not unread, f"{stage} declares {unread}, which stages/{stage}.py does not name"
    undeclared = sorted(
        name
        for name in texts_in(stage) & {"encodings", "objectives", "seeds"}
        if name not in declared
    )
    assert not undeclared, f"stages/{stage}.py names {undeclared}, which {stage} does not declare"


@pytest.mark.parametrize("stage", STAGES)
def test_the_command_gives_every_argument(stage):
    words = shlex.split(cmd_of(stage).replace("${", "").replace("}", ""))[3:]
    options = [word.removeprefix("--").replace("-", "_") for word in words if word.startswith("--")]
    is_run = len(STAGES[stage].get("matrix", [])) > 1
    arguments = ["run"] if is_run else []
    main = importlib.import_module(f"stages.{stage}").main
    assert [*arguments, *options] == list(inspect.signature(main).parameters), (
        f"{stage}: dvc.yaml and main differ"
    )
    assert words[: len(arguments)] == ["key"] * len(arguments)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("stage", STAGES)
def test_every_section_loads_at_every_scale(stage, scale, tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(PARAMS | {"scale": scale}, sort_keys=False))
    for section, cls in sections_of(stage).items():
        load(cls, section, path)
        defaults = sorted(
            name for name, field in cls.model_fields.items() if not field.is_required()
        )
        assert not defaults, (
            f"{cls.__name__} has defaults for {defaults}; numbers are chosen in params.yaml"
        )
        keys = set(PARAMS.get(section) or {}) | set(SCALES[scale].get(section) or {})
        assert keys == set(cls.model_fields)


def test_every_parameter_is_read_by_some_stage():
    read = {section for stage in STAGES for section in sections_of(stage)}
    there = {name for name in PARAMS if is_section(name)} | {
        name for scale in SCALES.values() for name in scale
    }
    assert there == read, f"params.yaml has sections that no stage reads: {sorted(there - read)}"
    text = (ROOT / "dvc.yaml").read_text()
    idle = [
        name
        for name in PARAMS
        if not is_section(name) and name != "scales" and f"{{{name}}}" not in text
    ]
    assert not idle, f"dvc.yaml does not use {idle}"


def test_all_scales_have_the_same_sections():
    sections = {name: set(scale) for name, scale in SCALES.items()}
    assert len(set(map(frozenset, sections.values()))) == 1, sections


@pytest.mark.parametrize(
    "stage",
    sorted(
        {*STAGES}
        - {
            "digest_code",
            "generate_mazes",
            "train_transformer",
            "observe_training",
            "score",
            "compare",
        }
    ),
)
def test_a_stage_that_computes_says_on_how_many_threads(stage):
    """Runs go beside each other, one to a core, and another number of threads gives other bits (the
    training's is set in the library)."""
    assert "torch.set_num_threads(" in (ROOT / "stages" / f"{stage}.py").read_text()


@pytest.mark.parametrize("stage", ["score", "compare"])
def test_a_folder_for_results_may_have_spaces(stage):
    words = shlex.split(cmd_of(stage).replace("${results}", "my results/of today"))
    assert words[words.index("--results") + 1 :] == ["my results/of today"]
