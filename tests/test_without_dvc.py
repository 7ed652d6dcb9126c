"""The pipeline without DVC: the same commands as DVC's, nothing run twice, nothing lost when it is stopped."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mazewm.errors import BadInput
from mazewm.params import read_yaml
from stages import without_dvc
from stages.without_dvc import stamps_of, steps, with_settings
from tests.pipeline_deps import ROOT

BASE = ["scale=tiny", "encodings=[learned, rotary]", "results=metrics/other"]
TOY = {
    "stages": {
        "first": {"cmd": "python -m stages.toy first ${word} a", "deps": ["code.py"], "params": ["word"], "outs": ["a"]},
        "second": {
            "matrix": {"size": "${sizes}"},
            "cmd": "python -m stages.toy second ${item.size} ${results}/${key}/b",
            "deps": ["a"],
            "params": ["sae.lr"],
            "metrics": [{"${results}/${key}/b": {"cache": False}}],
        },
        "third": {"cmd": "python -m stages.toy third x c", "deps": ["${results}"], "outs": ["c"]},
    }
}
TOY_PARAMS = {"word": "x", "sizes": [1, 2], "results": "made", "sae": {"lr": 0.1, "width": 3}}
TOY_STAGE = """
import pathlib, sys, time
name, word, out = sys.argv[1:]
pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
with open("ran", "a") as file: file.write(name + word + "\\n")
if word == "bad": sys.exit(7)
if word == "slow": time.sleep(60)
pathlib.Path(out).write_text(word)
"""


def planned(*settings: str) -> dict:
    params = with_settings(read_yaml(ROOT / "params.yaml"), [*BASE, *settings])
    return stamps_of(steps(read_yaml(ROOT / "dvc.yaml"), params), params, ROOT)


def changed(*settings: str) -> set[str]:
    """The stages that other parameters make run, of all runs' names without the matrix."""
    before, after = planned(), planned(*settings)
    return {name.split("@")[0] for name in after if before.get(name) != after[name]}


@pytest.mark.filterwarnings("ignore")
def test_commands_are_those_of_dvc(tmp_path):
    from dvc.parsing import DataResolver
    from dvc.repo import Repo

    params = with_settings(read_yaml(ROOT / "params.yaml"), BASE)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        expected = DataResolver(repo, str(tmp_path), read_yaml(ROOT / "dvc.yaml")).resolve()["stages"]
    found = steps(read_yaml(ROOT / "dvc.yaml"), params)
    assert {step.name for step in found} == set(expected)
    for step in found:
        theirs = expected[step.name]
        assert step.cmd == theirs["cmd"]
        assert step.deps == theirs["deps"]
        assert step.params == theirs.get("params", [])
        listed = [*theirs.get("outs", []), *theirs.get("metrics", [])]
        assert step.outs == [next(iter(out)) if isinstance(out, dict) else out for out in listed]


def test_a_parameter_runs_what_depends_on_it():
    later = {"train_sae", "map_features", "trace_circuits", "run_interventions", "score", "compare"}
    assert changed() == set()
    assert changed("sae.lr=0.002") == later
    assert changed("beyond.doses=[3.0]") == {"probe_beyond", "score", "compare"}
    assert changed("scales.laptop.training.n_steps=7") == set()
    assert {"train_transformer", "compare"} <= changed("seeds=[0, 1]")
    assert "generate_mazes" not in changed("seeds=[0, 1]")


@pytest.mark.parametrize("setting", ["sae.lrr=1", "nothing=1", "sae.lr", "scale.tiny.sae=1", "sae.lr=[1"])
def test_a_setting_that_fits_nothing_is_named(setting):
    with pytest.raises(BadInput, match=re.escape(setting.split("=")[0])):
        with_settings(read_yaml(ROOT / "params.yaml"), [setting])


@pytest.mark.parametrize("setting", ["encodings=learned", "seeds=0", "seeds=[]"])
def test_what_stages_are_repeated_for_must_be_a_list(setting):
    params = with_settings(read_yaml(ROOT / "params.yaml"), [setting])
    with pytest.raises(BadInput, match=r"expected a list that is not empty, found"):
        steps(read_yaml(ROOT / "dvc.yaml"), params)


def test_what_is_too_large_is_not_brought_back_and_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(without_dvc, "SMALL", 5)
    for name, content in {"small": "12345", "large": "123456"}.items():
        (tmp_path / name).write_text(content)
        without_dvc.copy_small(tmp_path / name, tmp_path / "back" / name)
    assert [path.name for path in (tmp_path / "back").iterdir()] == ["small"]
    assert re.search(r"large: 0 MiB, too large", capsys.readouterr().err.replace("\n", ""))


@pytest.fixture
def toy(tmp_path):
    """A repository with three quick stages."""
    for name, content in {
        "dvc.yaml": yaml.safe_dump(TOY, sort_keys=False),
        "params.yaml": yaml.safe_dump(TOY_PARAMS),
        "code.py": "",
    }.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "toy.py").write_text(TOY_STAGE)
    for name in ("__init__", "command", "without_dvc"):
        (tmp_path / "stages" / f"{name}.py").write_text((ROOT / "stages" / f"{name}.py").read_text())
    return tmp_path


def start(toy: Path, *settings: str) -> subprocess.Popen:
    words = [word for setting in settings for word in ("--set", setting)]
    command = [sys.executable, "-m", "stages.without_dvc", "--folder", "run", "--bring-back", "back", *words]
    return subprocess.Popen(command, cwd=toy, env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)


def ran(toy: Path, *settings: str, code: int = 0) -> list[str]:
    """What the stages of one call say they are, in order; the call must end with this exit code."""
    log = toy / "run" / "ran"
    log.unlink(missing_ok=True)
    process = start(toy, *settings)
    said = process.communicate()[1]
    assert process.returncode == code, said
    assert "Traceback" not in said
    return log.read_text().split() if log.exists() else []


def test_nothing_runs_twice(toy):
    assert ran(toy) == ["firstx", "second1", "second2", "thirdx"]
    assert ran(toy) == []
    assert (toy / "back" / "made" / "2" / "b").read_text() == "2"
    assert ran(toy, "sae.width=4") == []
    assert ran(toy, "sae.lr=0.2") == ["second1", "second2", "thirdx"]
    (toy / "run" / "made" / "1" / "b").unlink()
    assert ran(toy, "sae.lr=0.2") == ["second1"]
    (toy / "code.py").write_text("# another")
    assert ran(toy, "sae.lr=0.2") == ["firstx", "second1", "second2", "thirdx"]


def test_a_failure_leaves_what_is_done(toy):
    first = start(toy, "sizes=[1, bad, 2]")
    said = first.communicate()[1]
    assert first.returncode == 7
    assert "error: second@bad: its command ended with exit code 7." in said and "Traceback" not in said
    assert (toy / "back" / "made" / "1" / "b").exists() and not (toy / "run" / "c").exists()
    assert ran(toy) == ["second2", "thirdx"]


def test_it_can_be_ended_at_any_time(toy):
    going = start(toy, "sizes=[1, slow]")
    log, until = toy / "run" / "ran", time.monotonic() + 60
    while not (log.exists() and "secondslow" in log.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    going.send_signal(signal.SIGTERM)
    going.communicate(timeout=30)
    assert going.returncode == 128 + signal.SIGTERM
    assert ran(toy) == ["second2", "thirdx"]


def test_an_unknown_setting_changes_nothing(toy):
    assert ran(toy) == ["firstx", "second1", "second2", "thirdx"]
    before = (toy / "run" / "params.yaml").read_text()
    assert ran(toy, "word=other", "sae.lrr=3", code=1) == []
    assert (toy / "run" / "params.yaml").read_text() == before
