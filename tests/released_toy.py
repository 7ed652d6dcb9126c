"""A small project of DVC, some of whose results are released."""

import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from stages import released
from stages.imports import ROOT

MAKE = """
import pathlib, sys, yaml
for path in sys.argv[2:]:
    folder = pathlib.Path(path)
    folder.mkdir(parents=True)
    value = yaml.safe_load(open("params.yaml"))[sys.argv[1]]
    (folder / "value.txt").write_text(f"{path} {value}")
    (folder / "same.txt").write_text("as ever")
"""


def stage(name: str, deps: list[str], outs: dict[str, bool]) -> dict:
    """A stage that writes its outs from its parameter; those that are True are released."""
    labels = {
        path: {"labels": [released.LABEL]} for path, is_released in outs.items() if is_released
    }
    return {
        "cmd": f"python make.py {name} {' '.join(outs)}",
        "deps": deps,
        "params": [name],
        "outs": [{path: labels[path]} if path in labels else path for path in outs],
    }


TOY = {
    "train": stage("train", [], {"weights": True, "snapshots": False}),
    "observe": stage("observe", ["snapshots"], {"observed": True}),
    "record": stage("record", ["weights"], {"sites": True, "activations": False}),
    "fit": stage("fit", ["activations"], {"saes": True}),
    "score": stage("score", ["saes", "observed"], {"scores": True}),
}
PARAMS = dict.fromkeys(TOY, 1)


def laid_out(folder: Path, monkeypatch) -> Path:
    """A DVC project with five quick stages, none of which has run; the present folder."""
    (folder / ".dvc").mkdir(parents=True)
    config = (ROOT / ".dvc" / "config").read_text()
    (folder / ".dvc" / "config").write_text(config.replace("[core]", "[core]\n    no_scm = true"))
    (folder / "make.py").write_text(MAKE)
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": TOY}, sort_keys=False))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(folder.parent / "site"))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    monkeypatch.chdir(folder)
    change()
    return folder


def made(folder: Path, monkeypatch) -> Path:
    """The same, whose results are there."""
    laid_out(folder, monkeypatch)
    repro()
    return folder


def change(**values: int) -> None:
    Path("params.yaml").write_text(yaml.safe_dump(PARAMS | values))


def repro(*words: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "-q", *words], check=True, capture_output=True
    )


def clone(project: Path, to: Path) -> Path:
    """What git would have: no cache and no outs."""
    return shutil.copytree(
        project, to, ignore=lambda _, names: {"cache", "tmp", *outs_of(TOY)} & set(names)
    )


def outs_of(stages: dict) -> list[str]:
    return [
        next(iter(out), "") if isinstance(out, dict) else out
        for s in stages.values()
        for out in s["outs"]
    ]
