"""Every stage at scale paper, on the CPU: its architecture, vocabulary and maze families, with as few of everything as will do.

In this process, so that torch is imported once and shapes are checked; in fp32, since many a CPU emulates bf16
(tests/model/test_training.py has a step in bf16).
"""

import importlib
import json
import math
import shlex
from contextlib import chdir
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from stages import without_dvc
from tests.pipeline_deps import ROOT
from tests.test_walk import FEWEST, numbers

SECTIONS: dict[str, dict[str, object]] = {
    "mazes": {"n_train": 60, "n_validation": 4, "n_test": 6, "n_overload": 2},
    "training": {"n_steps": 2, "batch_size": 4, "warmup_steps": 1, "checkpoint_every": 1, "n_observations": 1, "n_observed_mazes": 4},
    "consolidation": {"n_mazes": 4},
    "writing": {"n_mazes": 6, "n_per_connection": 1},
    "activations": {"n_train_mazes": 6, "n_held_out_mazes": 3, "n_untrained_mazes": 3},
    "sae": {"widths": [64], "n_sweep_samples": 512, "n_samples": 512, "n_control_samples": 512, "n_sweep_mazes": 2, "n_evaluated_mazes": 2},
    "circuits": {"n_mazes": 2, "n_swaps": 1},
    "interventions": {
        "n_per_connection": 1,
        "n_per_connection_validation": 1,
        "n_redrawn": 2,
        "n_added": [1],
        "n_several": 1,
        "set_sizes": [1],
    },
    "beyond": {"n_fit_mazes": 8, "n_held_out_mazes": 4, "n_steered": 1, "n_steered_validation": 1},
}
SECTIONS["training"] |= {"precision": "fp32", "compile": False}
WITH_THREADS = ("training", "activations", "sae", "circuits", "interventions", "beyond")
ALL_SCALES = {"scale": "paper", "encodings": ["learned"], "results": "metrics/paper", **FEWEST}


def settings() -> list[str]:
    """What is given to the command."""
    sized = {f"scales.paper.{section}.{key}": value for section, some in SECTIONS.items() for key, value in some.items()}
    sized |= {f"scales.paper.{section}.n_threads": 1 for section in WITH_THREADS}
    return [f"{key}={json.dumps(value)}" for key, value in {**ALL_SCALES, **sized}.items()]


def run_here(cmd: str, folder: Path, code: Path) -> int:
    """A stage's command in ``folder``, without a process of its own; its exit code."""
    python, dash_m, module, *options = shlex.split(cmd)
    assert (python, dash_m) == ("python", "-m")
    app = typer.Typer()
    app.command()(importlib.import_module(module).main)
    with chdir(folder):
        return CliRunner().invoke(app, options, catch_exceptions=False).exit_code


@pytest.mark.filterwarnings("default")  # so few examples have no variance, and no more than that is to be said of them
def test_every_stage_at_scale_paper(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setattr(without_dvc, "run", run_here)
    without_dvc.main(tmp_path / "run", settings(), tmp_path / "back")
    for name in ("runs/learned-0.json", "summary.json", "claims.json"):
        content = json.loads((tmp_path / "back" / "metrics" / "paper" / name).read_text())
        assert all(math.isfinite(value) for _, value in numbers(content, name))
    assert (tmp_path / "back" / "artifacts" / "models" / "learned-0" / "transformer.safetensors").exists()
