"""Copies of the working tree in which the whole pipeline can run by DVC, or has run; and stages
without processes of their own."""

import fcntl
import importlib
import itertools
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import yaml
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from mazewm.results import TABLES, table, table_file
from mazewm.run import Run
from stages.imports import ROOT
from stages.transcripts import environment
from trust.clone import KNOWN, Clone

# One value of whatever is tried one after another at every scale: for what runs, and what does not,
# one is as good as several.
FEWEST = {
    "writing.doses": [1.0],
    "sae.sparsities": [8],
    "interventions.doses": [1.0],
    "planning.penalties": [1.0],
    "planning.doses": [2.0],
    "planning.twin_doses": [4.0],
}
ONE_RUN = {"scale": "tiny", "encodings": ["learned"], "objectives": ["all"], "seeds": [0], **FEWEST}


def stage_of(member: str) -> str:
    """The stage in dvc.yaml to which a member of its matrix belongs."""
    return member.split("@")[0]


class Copy:
    """A copy of the working tree, a git repository of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = environment(folder.parent / "dvc-site") | {"OMP_NUM_THREADS": "1"}

    @classmethod
    def make(cls, folder: Path) -> "Copy":
        listed = subprocess.run(
            ["git", "ls-files", "-coz", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        if listed.returncode or shutil.which("git") is None:
            pytest.skip("this copy of the project is not a git repository")
        for name in sorted(set(listed.stdout.split("\0")) - {"", "dvc.lock"}):
            if (ROOT / name).is_file() and not name.startswith("metrics/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        one = cls(folder)
        one.run("git", "init", "-q")
        one.commit()
        return one

    def run(self, *words: str) -> str:
        """What a command prints; fails the test if the command fails."""
        done = subprocess.run(
            words, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, (
            f"{' '.join(words)}: exit "
            f"{done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        )
        return done.stdout

    def commit(self) -> None:
        self.run("git", "add", "-A")
        self.run(
            "git",
            "-c",
            "user.name=walk",
            "-c",
            "user.email=walk@example.org",
            "commit",
            "-qm",
            "walk",
        )

    def dvc(self, *words: str) -> str:
        return self.run(sys.executable, "-m", "dvc", *words)

    def repro(self, *words: str) -> set[str]:
        """The stages that ``dvc repro`` ran."""
        return set(re.findall(r"^Running stage '([^']+)'", self.dvc("repro", *words), re.MULTILINE))

    def changed(self) -> set[str]:
        """The stages that ``dvc status`` names, without the members of their matrix."""
        return {stage_of(member) for member in json.loads(self.dvc("status", "--json"))}

    def change(self, values: dict[str, object]) -> None:
        """Replace values of params.yaml; ``a.b`` is a key of a section."""
        params = self.yaml("params.yaml")
        for name, value in values.items():
            *way, last = name.split(".")
            inner = params
            for key in way:
                inner = inner[key]
            assert last in inner
            inner[last] = value
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))

    def yaml(self, name: str) -> dict:
        return yaml.safe_load((self.folder / name).read_text())

    def members(self) -> set[str]:
        """The stages that dvc.yaml makes of the parameters."""
        params, found = self.yaml("params.yaml"), set()
        for stage, entry in self.yaml("dvc.yaml")["stages"].items():
            if "matrix" in entry:
                axes = [params[source[2:-1]] for source in entry["matrix"].values()]
                found |= {
                    f"{stage}@{'-'.join(map(str, values))}" for values in itertools.product(*axes)
                }
            else:
                found.add(stage)
        return found

    def runs(self) -> list[Run]:
        """The runs that the parameters ask for."""
        params = self.yaml("params.yaml")
        every = itertools.product(*(params[key] for key in ("encodings", "objectives", "seeds")))
        return [Run(*each, self.folder / "artifacts") for each in every]

    def check_tables(self) -> None:
        """Every table of a run can be read, and no other lies where they do."""
        for run in self.runs():
            for name in TABLES:
                table(run, name)
            there = set(run.artifacts.glob(f"*/{run.name}/*.parquet"))
            assert there == {table_file(run, name) for name in TABLES}

    def check_results(self) -> None:
        """Every declared out and every table is there, every number in a JSON metric is finite, and
        nothing is out of date or untidy."""
        locked = self.yaml("dvc.lock")["stages"]
        assert self.members() <= set(locked)
        for member in self.members():
            for out in locked[member]["outs"]:
                assert (self.folder / out["path"]).exists(), f"{member}: {out['path']} is missing"
        self.check_tables()
        for path in (self.folder / "metrics").rglob("*.json"):
            for name, value in numbers(json.loads(path.read_text()), path.name):
                assert math.isfinite(value), f"{name} is {value}"
        assert "up to date" in self.dvc("status")
        changes = self.run("git", "status", "--porcelain").splitlines()
        untidy = [
            line
            for line in changes
            if line[3:].split("/")[0] not in ("dvc.lock", "metrics", "params.yaml")
        ]
        assert not untidy, f"repro left {untidy}"


def first_run(factory: pytest.TempPathFactory, folder: Path) -> Clone:
    """The pipeline with one run at scale tiny, after ``dvc repro``, copied to a folder; made once
    for all tests of a call, in a folder with a blank and an accent."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # one folder for all of them
        base = base.parent
    first = base / "blank é" / "mazewm"
    with open(base / "first-run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (first / KNOWN).exists():
            shutil.rmtree(first, ignore_errors=True)
            Copy.make(first)
            one = Clone(first)
            one.prepare(ONE_RUN)
            one.run_once()
        return Clone.at(first).copy(folder)


def numbers(content: object, where: str) -> Iterator[tuple[str, float]]:
    """The numbers in nested JSON, with their dotted names; lists and nulls, which dvc ignores,
    fail."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from numbers(value, f"{where}.{key}")
    elif isinstance(content, int | float):
        yield where, float(content)
    else:
        assert isinstance(content, str), f"{where}: {content!r} is neither a number nor text"


def run_here(cmd: str) -> None:
    """A stage's command without a process of its own, with threads as that has them."""
    python, dash_m, module, *words = shlex.split(cmd)
    assert (python, dash_m) == ("python", "-m")
    app = typer.Typer()
    app.command()(importlib.import_module(module).main)
    with threadpool_limits(1, "blas"):
        assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
