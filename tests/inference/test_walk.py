"""The whole pipeline at scale tiny, by ``dvc repro`` in a copy of its own: what runs, what does
not, and that it repeats itself.
"""

import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from notebook_cells import NOTEBOOK
from torch import nn

from mazewm.io import weights
from mazewm.results import TABLES, table, table_file
from mazewm.run import Run
from stages.imports import ROOT

# What must never run again when an SAE's parameter changes.
BEFORE_SAES = {
    "digest_code",
    "generate_mazes",
    "train_transformer",
    "observe_training",
    "measure_behaviour",
    "cache_activations",
}
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


class Copy:
    """A copy of the working tree, a git repository of its own."""

    def __init__(self, folder: Path) -> None:
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
        self.folder = folder
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DVC_", "GIT_", "PYTHON"))
        }
        self.environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
        }
        self.environment |= {"DVC_SITE_CACHE_DIR": str(folder.parent / "dvc-site")}
        self.run("git", "init", "-q")
        self.commit()

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


def stage_of(member: str) -> str:
    return member.split("@")[0]


def test_weights_are_the_same_bytes_every_time(tmp_path):
    """Files whose bytes differ from run to run make everything after them run again."""
    module, found = nn.Linear(2, 3), set()
    for _ in range(20):
        weights.save(tmp_path / "weights.safetensors", "toy", {"b": 1, "a": 2}, module)
        found.add((tmp_path / "weights.safetensors").read_bytes())
    assert len(found) == 1


def test_the_walk(tmp_path):
    copy = Copy(tmp_path / "mazewm")
    copy.change(
        {"scale": "tiny", "encodings": ["learned"], "objectives": ["all"], "seeds": [0], **FEWEST}
    )
    assert copy.repro() == copy.members()
    copy.check_results()
    lock = (copy.folder / "dvc.lock").read_text()
    assert copy.repro() == set(), "nothing has changed, and yet stages ran"

    # The same inputs give the same bytes.
    assert copy.repro("--force") == copy.members()
    again = copy.yaml("dvc.lock")["stages"]
    for member, entry in yaml.safe_load(lock)["stages"].items():
        for old, new in zip(entry.get("outs", []), again[member].get("outs", []), strict=True):
            assert old == new, f"{member}: {old['path']} has other bytes the second time"
    copy.commit()

    # One more encoding: what belongs to it runs, and what compares encodings; by the launcher,
    # which DVC then agrees with.
    copy.change({"encodings": ["learned", "rotary"]})
    assert "Pictures: metrics/figures/" in copy.run(sys.executable, "-m", "stages.launch")
    ran = {
        run: set(seconds)
        for run, seconds in json.loads(
            (copy.folder / "artifacts/logs/times.json").read_text()
        ).items()
    }
    assert ran == {
        "rotary-all-0": {
            stage_of(member) for member in copy.members() if member.endswith("@rotary-all-0")
        },
        "together": {"compare"},
    }
    copy.check_results()
    copy.commit()

    # The notebook is about a run that is there now.
    assert " follow" in copy.run(sys.executable, "-W", "ignore", "-c", NOTEBOOK)

    # Another learning rate for SAEs would train none of the transformers again.
    copy.change({"sae.lr": 0.0021})
    changed = set(json.loads(copy.dvc("status", "--json")))
    assert {"train_sae@learned-all-0", "train_sae@rotary-all-0"} <= changed
    assert not {stage_of(member) for member in changed} & BEFORE_SAES
    copy.run("git", "checkout", "-q", "params.yaml")

    # A sentence of a docstring reruns digest_code and nothing else, whose outs are as they were.
    trees = copy.folder / "mazewm" / "features" / "trees.py"
    said = trees.read_text()
    trees.write_text(said.replace('"""', '"""In other words: ', 1))
    assert copy.repro() == {"digest_code"}
    # A line reruns what imports it.
    trees.write_text(said + "CHANGED = 1\n")
    changed = {stage_of(member) for member in json.loads(copy.dvc("status", "--json"))}
    assert changed == {"digest_code"}
    copy.dvc("repro", "digest_code")
    changed = {stage_of(member) for member in json.loads(copy.dvc("status", "--json"))}
    importing = {
        path.stem
        for path in (copy.folder / "artifacts" / "code").iterdir()
        if "mazewm.features.trees " in path.read_text()
    }
    assert changed == importing & set(copy.yaml("dvc.yaml")["stages"]) and "train_sae" in changed
    copy.run("git", "checkout", "-q", "mazewm")
    copy.dvc("repro", "digest_code")

    # One encoding less: the others would be compared.
    copy.change({"encodings": ["rotary"]})
    assert set(json.loads(copy.dvc("status", "--json"))) == {"compare"}
