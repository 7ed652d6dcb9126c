"""What docs/dependencies.md says of packages: all of them, where they are imported, their
licences."""

from importlib.metadata import PackageNotFoundError, version

import pytest
import yaml

from mazewm.io.errors import BadInput
from mazewm.io.params import read_yaml
from stages.dependencies import (
    SAID,
    dependencies,
    installed_licence,
    normal,
    packages,
    versions,
)
from stages.imports import ROOT

NAMES = sorted(dict(packages(ROOT)))
WORDS = {"licence": "MIT", "newest": "2.0, 2026-01-01", "use": "this", "without": "that"}


@pytest.fixture
def project(tmp_path):
    """Two packages; one is imported by a room, inside a function, and by a test."""
    for name, text in {
        "pyproject.toml": "[project]\ndependencies = ['one-two>=1,<2; python_version > \"3\"']\n"
        "[project.optional-dependencies]\ndev = ['pillow']\n",
        "requirements.lock": "# exact\none_two==1.5\n",
        "requirements-dev.lock": "Pillow==13.0.0 ; python_version > '3'\none-two==1.4\n",
        "mazewm/maze/tokens.py": "def f():\n    import one_two.parts\n",
        "mazewm/run.py": "import one_two_three\nfrom . import PIL\n",
        "tests/test_x.py": "from one_two import y\nfrom PIL.Image import z\n",
        str(SAID): yaml.safe_dump({"one-two": WORDS, "pillow": WORDS}),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_where_and_which(project):
    found = [(one.name, one.extra, one.version, one.rooms) for one in dependencies(project)]
    assert found == [
        ("one-two", "", "1.5", ("maze", "tests")),
        ("pillow", "dev", "13.0.0", ("tests",)),
    ]
    assert [one.where for one in dependencies(project)] == ["`maze`, `tests`", "`tests`"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"one-two": WORDS}, r"expected the packages of pyproject.toml, found \['pillow'\]"),
        ({"one-two": WORDS, "pillow": WORDS, "x": WORDS}, r"found \['x'\]"),
        ({"one-two": WORDS, "pillow": {"use": "this"}}, r"pillow: expected .* found \['use'\]"),
    ],
)
def test_what_is_said_is_of_every_package_and_whole(project, said, message):
    (project / SAID).write_text(yaml.safe_dump(said))
    with pytest.raises(BadInput, match=message):
        dependencies(project)


def test_a_package_that_is_not_locked_is_refused(project):
    (project / "requirements-dev.lock").write_text("")
    with pytest.raises(BadInput, match="expected pillow in one of them"):
        dependencies(project)


@pytest.mark.parametrize("name", NAMES)
def test_licences_are_those_of_the_metadata(name):
    try:
        licence, there = installed_licence(name), version(name).partition("+")[0]
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    if there != versions(ROOT)[normal(name)]:
        pytest.skip(f"{name} {there} is not the one that is locked")
    said = read_yaml(ROOT / SAID)[name]["licence"]
    assert said == licence if licence else said.startswith("–")
