"""Every stage at scale paper, on the CPU: its widths, heads, vocabulary and lattices, with as few
layers, cells of mazes, and everything else as will do.

In this process, so that torch is imported once and shapes are checked; in fp32, since many a CPU
emulates bf16 (tests/model/test_training.py has a step in bf16).
"""

import json
import math
import os
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest
import yaml
from copied import FEWEST, numbers, run_here

from mazewm.io.errors import BadInput
from mazewm.io.params import read_yaml
from mazewm.localize import writing
from mazewm.sae import training
from stages.imports import ROOT
from stages.plain_script import Step, as_yaml, script, steps, with_settings

SECTIONS: dict[str, dict[str, object]] = {
    # of few cells: everything is asked, and questions grow with the square of them
    "mazes": {
        "n_train": 60,
        "n_validation": 8,
        "n_test": 8,
        "n_overload": 2,
        "families.full5.min_cells": 8,
        "families.full5.max_cells": 8,
        "families.sparse6.min_cells": 5,
        "families.sparse6.max_cells": 7,
        "overload.min_cells": 10,
        "overload.max_cells": 10,
    },
    "transformer": {"n_layers": 2},
    "training": {
        "n_steps": 2,
        "batch_size": 4,
        "warmup_steps": 1,
        "checkpoint_every": 1,
        "n_observations": 1,
        "n_observed_mazes": 4,
    },
    "behaviour": {
        "n_test_mazes": 1,
        "n_overload_mazes": 1,
        "n_untrained_mazes": 1,
        "n_detour_mazes": 1,
        "n_state_mazes": 1,
        "n_spellings": 1,
        "n_spelling_mazes": 1,
    },
    "consolidation": {"n_mazes": 4},
    "writing": {"n_mazes": 6, "n_per_connection": 1, "n_carried": 1},
    "activations": {"n_train_mazes": 12, "n_held_out_mazes": 8, "n_untrained_mazes": 6},
    "sae": {
        "widths": [64],
        "n_sweep_samples": 512,
        "n_samples": 512,
        "n_control_samples": 512,
        "n_frozen_samples": 512,
        "n_sweep_mazes": 2,
        "n_evaluated_mazes": 2,
    },
    "circuits": {"n_mazes": 2, "n_swaps": 1},
    "interventions": {
        "n_per_connection": 1,
        "n_per_connection_validation": 1,
        "corridor_lengths": [1],
        "n_added": [1],
        "n_at_once": 1,
    },
    "planning": {
        "n_fit_mazes": 8,
        "n_input_mazes": 8,
        "n_twins": 1,
        "n_twins_validation": 1,
        "n_held_out_mazes": 4,
        "n_steered": 1,
        "n_steered_validation": 1,
    },
}
SECTIONS["training"] |= {"precision": "fp32", "compile": False}
WITH_THREADS = ("training", "activations", "sae", "circuits", "interventions", "planning")
ALL_SCALES = {
    "scale": "paper",
    "interventions.set_sizes": [1],
    "interventions.doses": [4.0],
    "writing.doses": [4.0],
    "encodings": ["learned"],
    "objectives": ["all"],
    "results": "metrics/paper",
    **FEWEST,
}


def settings() -> list[str]:
    """What is given to the command."""
    sized = {
        f"scales.paper.{section}.{key}": value
        for section, some in SECTIONS.items()
        for key, value in some.items()
    }
    sized |= {f"scales.paper.{section}.n_threads": 1 for section in WITH_THREADS}
    return [f"{key}={json.dumps(value)}" for key, value in {**ALL_SCALES, **sized}.items()]


# so few examples have no variance, and no more than that is to be said of them
@pytest.mark.filterwarnings("default")
@pytest.mark.slow
def test_every_stage_at_scale_paper(tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    # one set of tokens is as good as several, as one value is of FEWEST
    monkeypatch.setattr(writing, "TOKENS", writing.TOKENS[:1])
    # an SAE may be worse than the mean after one step
    monkeypatch.setattr(training, "WORST", math.inf)
    params = with_settings(read_yaml(ROOT / "params.yaml"), settings())
    with chdir(tmp_path):
        Path("params.yaml").write_text(yaml.safe_dump(params))
        for step in steps(params):
            run_here(step.cmd)
            assert all(Path(out).exists() for out in step.outs), step.name
        for name in ("runs/learned-all-0.json", "summary.json", "claims.json"):
            content = json.loads((Path("metrics/paper") / name).read_text())
            assert all(math.isfinite(value) for _, value in numbers(content, name))


@pytest.fixture
def toys(tmp_path, monkeypatch):
    """A script of two steps; the second fails as long as there is no file named ``good``."""
    params = {"scale": "toy"}
    todo = [
        Step("one", 'python -c \'open("first", "a").write("x")\'', ["first"]),
        Step("two", 'python -c \'open("good"); open("a b", "w"); open("c", "w")\'', ["a b", "c"]),
    ]
    (tmp_path / "run.sh").write_text(script(todo, params))
    environment = {"PATH": os.environ["PATH"], "PYTHON": sys.executable}
    return lambda: subprocess.run(
        ["sh", str(tmp_path / "run.sh")], env=environment, capture_output=True, text=True
    )


def test_the_script_goes_on_where_it_was(toys, tmp_path):
    assert toys().returncode != 0, "the second step fails"
    assert (tmp_path / "first").read_text() == "x"
    (tmp_path / "good").touch()
    assert toys().returncode == 0 and (tmp_path / "c").exists()
    again = toys()
    assert again.returncode == 0 and again.stdout.split("\n") == [
        "one: is there",
        "two: is there",
        "",
    ]
    assert (tmp_path / "first").read_text() == "x", "the first step ran once"


def test_the_script_refuses_other_parameters(toys, tmp_path):
    (tmp_path / "params.yaml").write_text("scale: another\n")
    refused = toys()
    assert refused.returncode == 1 and refused.stderr == (
        "error: params.yaml: expected the parameters of this script, found others; use another "
        "folder.\n"
    )
    assert not (tmp_path / "first").exists()


@pytest.mark.parametrize("setting", ["scale", "nothing=1", "scales.paper.sae.k=1", "scale.paper=1"])
def test_a_setting_without_a_key_is_refused(setting):
    with pytest.raises(BadInput, match="expected KEY=VALUE"):
        with_settings(read_yaml(ROOT / "params.yaml"), [setting])


def test_settings_are_read_as_dvc_reads_them():
    setting = ["sae.lr=1e-05", "seeds=[0, 1]", "scale=tiny"]
    params = with_settings(read_yaml(ROOT / "params.yaml"), setting)
    assert params["sae"]["lr"] == 1e-5 and params["seeds"] == [0, 1] and params["scale"] == "tiny"
    with pytest.raises(BadInput, match="--set seeds=.*: not valid YAML"):
        with_settings(read_yaml(ROOT / "params.yaml"), ["seeds=[0, 1"])


def test_the_parameters_in_the_script_are_those_that_were_set(tmp_path):
    params = with_settings(read_yaml(ROOT / "params.yaml"), ["sae.lr=1e-05", "results='1e5'"])
    (tmp_path / "params.yaml").write_text(as_yaml(params))
    assert read_yaml(tmp_path / "params.yaml") == params
