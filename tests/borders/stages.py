"""What the tests of stages share: their parameters, and a stage that runs in this process."""

import copy
import importlib
import re
import sys

import pytest
import yaml

from mazewm.results import TABLES
from mazewm.run import Run
from stages.command import command
from stages.imports import ROOT

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"scale": "tiny"}
PARAMS["scales"]["tiny"]["training"] |= {
    "n_steps": 4,
    "n_observations": 1,
    "checkpoint_every": 2,
    "batch_size": 8,
}
DELETE = object()
RUN = Run.named("learned-all-0")
OTHERS = ("models", "snapshots", "activations", "random_saes")  # without tables
KINDS = list(dict.fromkeys([*OTHERS, *(folder for folder, _ in TABLES.values())]))


def changed(path: str, value: object) -> dict:
    """The parameters with the value at a dotted path replaced, or deleted."""
    params = copy.deepcopy(PARAMS)
    *way, last = path.split("/")
    inner = params
    for key in way:
        inner = inner[key]
    if value is DELETE:
        del inner[last]
    else:
        inner[last] = value
    return params


def run(monkeypatch, capsys, stage: str, *arguments: str, **options: object) -> tuple[int, str]:
    """The exit code and stderr of a stage, run as its program in this process."""
    words = [
        word
        for name, value in options.items()
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    monkeypatch.setattr(sys, "argv", [stage, *arguments, *words])
    with pytest.raises(SystemExit) as ending:
        command(importlib.import_module(f"stages.{stage}").main)()
    code = ending.value.code
    return int(code or 0), re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().err)


def assert_refused(code: int, stderr: str, *names: str) -> None:
    """One sentence, naming what it must, and a non-zero exit."""
    last = [line for line in stderr.splitlines() if line.startswith("error:")]
    assert code != 0
    assert "Traceback" not in stderr
    assert len(last) == 1 and stderr.rstrip().endswith(last[0]), (
        f"expected one sentence, found: {stderr}"
    )
    assert last[0].endswith("."), last[0]
    for name in names:
        assert name in last[0], f"{name!r} is not named in: {last[0]}"
