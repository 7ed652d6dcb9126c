"""What a stage depends on: found from the imports, told by what the code says."""

import ast
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mazewm.io.errors import BadInput
from stages import command
from stages.imports import (
    PACKAGES,
    ROOT,
    closure,
    code_of,
    digests,
    file_of,
    module_of,
    offers,
)

TOY = {
    "mazewm/__init__.py": "",
    "mazewm/io/__init__.py": "",
    "mazewm/io/lazy.py": "def offer(package, **modules): ...\n",
    "mazewm/a.py": "def f():\n    from mazewm import b\n",
    "mazewm/b.py": "from mazewm.inner import deep\n",
    "mazewm/c.py": "",
    "mazewm/inner/__init__.py": "import mazewm.d as d\n",
    "mazewm/inner/deep.py": "",
    "mazewm/d.py": "import numpy\n",
    "mazewm/room/__init__.py": "from mazewm.io.lazy import offer\n"
    '__getattr__ = offer(__name__, enter="door", Window="glass")\n',
    "mazewm/room/door.py": "from mazewm.room.lock import key\n",
    "mazewm/room/glass.py": "",
    "mazewm/room/lock.py": "",
    "stages/__init__.py": "",
    "stages/one.py": "from mazewm.a import f\n",
    "stages/enters.py": "def main():\n    from mazewm.room import enter\n",
    "stages/looks.py": "from mazewm.room import Window\n",
    "stages/all.py": "import mazewm.room\n",
    "stages/inside.py": "from mazewm.room import lock\n",
}


@pytest.fixture
def toy(tmp_path):
    for name, text in TOY.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def found(stage, root):
    own = {"mazewm/__init__.py", "stages/__init__.py", f"stages/{stage}.py"}
    return sorted({path.as_posix() for path in closure(Path(f"stages/{stage}.py"), root)} - own)


def test_imports_are_followed_into_functions_and_packages(toy):
    inner = ["mazewm/inner/__init__.py", "mazewm/inner/deep.py"]
    assert found("one", toy) == ["mazewm/a.py", "mazewm/b.py", "mazewm/d.py", *inner]


def test_what_a_package_hands_on_counts_for_who_asks_for_it(toy):
    common = ["mazewm/io/__init__.py", "mazewm/io/lazy.py", "mazewm/room/__init__.py"]
    assert found("enters", toy) == [*common, "mazewm/room/door.py", "mazewm/room/lock.py"]
    assert found("looks", toy) == [*common, "mazewm/room/glass.py"]
    assert found("inside", toy) == [*common, "mazewm/room/lock.py"]
    assert found("all", toy) == [
        *common,
        "mazewm/room/door.py",
        "mazewm/room/glass.py",
        "mazewm/room/lock.py",
    ]


CODE = '''"""What it is."""

import os  # for paths


class A:
    """A class
    of two lines."""

    x = "# no comment"   # a comment, é and ü before a string
    y = "é"; """no docstring"""

    def f(self):
        """Only this."""

    def g(self):
        # why
        return f"{self.x!r} # neither"
'''


def test_comments_docstrings_and_blank_lines_say_nothing():
    said = code_of(CODE)
    assert said == (
        'import os\nclass A:\n    x = "# no comment"\n    y = "é"; """no docstring"""\n'
        "    def f(self):\n"
        '    def g(self):\n        return f"{self.x!r} # neither"\n'
    )
    other = (
        CODE.replace("What it is", "Another")
        .replace("# why", "# é, why not\n\n")
        .replace("Only this", "Or\n        that")
    )
    assert code_of(other) == said
    assert code_of(CODE.replace("self.x", "self.y")) != said
    assert code_of(CODE.replace("# no comment", "# some comment")) != said


def test_every_module_that_a_stage_loads_is_in_its_digest():
    """What is imported when a stage's functions run is what was read from the syntax tree, or
    less."""
    program = "import sys, stages.score, mazewm.claims.run, mazewm.figures.run; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    ours = {name for name in loaded if name.split(".")[0] in ("mazewm", "stages")}
    named = {line.split()[0] for line in digests(Path("stages/score.py")).splitlines()}
    assert ours <= named and len(ours) > 15


@pytest.fixture
def copy(tmp_path):
    for name in ("mazewm", "stages"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


STAGES = [path.stem for path in sorted((ROOT / "stages").glob("[a-z]*.py"))]


def all_digests(root):
    return {stage: digests(Path(f"stages/{stage}.py"), root) for stage in STAGES}


ROOMS = sorted(path.parent.name for path in (ROOT / "mazewm").glob("*/__init__.py"))
BESIDE = ("elsewhere", "explore", "export")  # have commands of their own, which no stage needs


@pytest.mark.parametrize("room", ROOMS)
def test_a_changed_line_reaches_those_that_import_it_and_a_comment_no_one(copy, room):
    before, modules = all_digests(copy), sorted((copy / "mazewm" / room).glob("[a-z]*.py"))
    texts = {path: path.read_text() for path in modules}
    for path, text in texts.items():
        path.write_text(text.replace('"""', '"""In other words: ', 1) + "# a comment\n")
    assert all_digests(copy) == before
    for path, text in texts.items():
        path.write_text(text + "CHANGED = 1\n")
    after = all_digests(copy)
    ours = {f"mazewm.{room}.{path.stem}" for path in modules}
    for stage in STAGES:
        changed = set(before[stage].splitlines()) ^ set(after[stage].splitlines())
        named = {line.split()[0] for line in before[stage].splitlines()}
        assert {line.split()[0] for line in changed} == ours & named
    for module in ours:
        importing = {stage for stage in STAGES if f"{module} " in before[stage]}
        if room in BESIDE:
            assert not importing, f"{module}: {sorted(importing)} would run again with it"
        else:
            assert importing, f"{module}: no stage imports it"


def test_analysis_cannot_retrain_a_model():
    named = {line.split()[0] for line in digests(Path("stages/train_transformer.py")).splitlines()}
    assert {name.split(".")[1] for name in named if name.startswith("mazewm.")} <= {
        "io",
        "maze",
        "datasets",
        "run",
        "model",
    }


def test_a_new_table_reruns_scoring_and_comparing_and_nothing_before(copy):
    before, registry = all_digests(copy), copy / "mazewm/results.py"
    text, opening = registry.read_text(), "TABLES: dict[str, tuple[str, str]] = {\n"
    assert text.count(opening) == 1
    registry.write_text(text.replace(opening, f'{opening}    "new": ("circuits", "NewRow"),\n'))
    after = all_digests(copy)
    reread = {stage for stage in STAGES if after[stage] != before[stage]}
    assert reread & set(PIPELINE) == {"score", "compare"}
    assert "mazewm.results " in before["score"]


UNFOLLOWABLE = {
    "a star": ("from mazewm.b import *\n", "names to import"),
    "a computed import": ("import importlib\nimportlib.import_module('mazewm.' + 'b')\n", "import"),
    "a computed offer": ("offer(__name__, f=where())\n", "quotation marks"),
    "an unpacked offer": ("offer(__name__, **modules)\n", "quotation marks"),
}


@pytest.mark.parametrize("form", UNFOLLOWABLE)
def test_what_cannot_be_followed_is_refused(toy, form):
    text, expected = UNFOLLOWABLE[form]
    (toy / "mazewm/room/__init__.py").write_text(text)
    with pytest.raises(BadInput, match=f"^mazewm/room/__init__.py:[12]: expected .*{expected}"):
        closure(Path("stages/all.py"), toy)


def test_modules_that_know_each_other_when_loaded_are_in_each_others_digest():
    """An independent look: whatever a loaded module's names come from is in what the syntax tree
    says that it imports."""
    program = (
        "import importlib, sys\n"
        "names = sys.argv[1:]\n"
        "for name in names: importlib.import_module(name)\n"
        "for name in names:\n"
        "    for value in list(vars(sys.modules[name]).values()):\n"
        "        source = getattr(value, '__module__', None) or getattr(value, '__name__', '')\n"
        "        own = isinstance(value, type(sys)) and source.startswith(name + '.')\n"
        "        if isinstance(source, str) and source != name and not own: print(name, source)\n"
    )
    files = [path for stage in STAGES for path in closure(Path(f"stages/{stage}.py"))]
    names = sorted({module_of(path) for path in files})
    shown = subprocess.run(
        [sys.executable, "-c", program, *names],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    pairs = {tuple(line.split(" ")) for line in shown.splitlines()}
    pairs = {(name, source) for name, source in pairs if source.split(".")[0] in PACKAGES}
    assert len(pairs) > 300
    by_file = {path: set(closure(path)) for path in {file_of(name) for name, _ in pairs}}
    assert not [pair for pair in pairs if file_of(pair[1]) not in by_file[file_of(pair[0])]]


def sections_loaded(stage: str) -> list[str]:
    """The sections of params.yaml that a stage's file asks for."""
    calls = [
        node
        for node in ast.walk(ast.parse((ROOT / f"stages/{stage}.py").read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "load"
    ]
    return [call.args[1].value for call in calls]


SINGLE = ("scale", "encodings", "objectives", "seeds")  # parameters that are no section
PIPELINE = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


@pytest.mark.parametrize("stage", PIPELINE)
def test_both_places_of_a_parameter_are_dependencies(stage):
    asked = sections_loaded(stage)
    watched = [name for name in PIPELINE[stage].get("params", []) if name not in SINGLE]
    assert sorted(watched) == sorted([*asked, *(f"scales.${{scale}}.{name}" for name in asked)])


def test_a_file_edited_after_the_digests_were_written_is_noticed(toy, tmp_path, monkeypatch):
    code = tmp_path / "code"
    code.mkdir()
    monkeypatch.setattr(command, "ROOT", toy)
    monkeypatch.setattr(command, "CODE", code)
    monkeypatch.setattr(command, "digests", lambda path: digests(path, toy))
    stage = toy / "stages/one.py"
    (code / "one.txt").write_text(digests(Path("stages/one.py"), toy))
    later = time.time() + 10
    (toy / "mazewm/c.py").write_text("another = 1\n")  # which this stage does not import
    (toy / "mazewm/b.py").write_text(TOY["mazewm/b.py"] + "# a comment\n")
    for name in ("b", "c"):
        os.utime(toy / f"mazewm/{name}.py", (later, later))
    monkeypatch.setenv("DVC_STAGE", "one")
    command.check_code(stage)
    (toy / "mazewm/b.py").write_text(TOY["mazewm/b.py"] + "changed = 1\n")
    os.utime(toy / "mazewm/b.py", (later, later))
    with pytest.raises(BadInput, match=r"one.txt: expected .* found mazewm.b changed since"):
        command.check_code(stage)
    monkeypatch.delenv("DVC_STAGE")  # by hand one may run what one likes
    command.check_code(stage)


def test_what_a_package_hands_on_is_taken_by_someone():
    places = ["mazewm", "stages", "notebooks", "docs", "examples"]
    texts = [
        path.read_text()
        for place in places
        for path in (ROOT / place).rglob("*.*")
        if path.suffix in (".py", ".ipynb", ".md")
    ]
    for init in sorted((ROOT / "mazewm").glob("*/__init__.py")):
        package = module_of(init.relative_to(ROOT))
        taken = {
            name.strip()
            for text in texts
            for block in re.findall(rf"from {package} import (\([^)]*\)|[^\n(]+)", text)
            for name in block.strip("()").split(",")
        }
        named = {name for text in texts for name in re.findall(rf"`{package}\.(\w+)`", text)}
        assert set(offers(init.relative_to(ROOT))) <= taken | named, package
