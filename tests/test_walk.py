"""The whole pipeline at scale tiny, by ``dvc repro`` in a copy of its own: what runs, what does
not, and that it repeats itself.
"""

import json
import shutil
import sys
from contextlib import chdir

import pytest
from copied import Copy, first_run, run_here, stage_of
from notebook_cells import NOTEBOOK
from torch import nn

from mazewm.io import weights
from mazewm.io.params import read_yaml
from stages.plain_script import steps
from trust.clone import Clone

# What must never run again when an SAE's parameter changes.
BEFORE_SAES = {
    "digest_code",
    "generate_mazes",
    "train_transformer",
    "observe_training",
    "measure_behaviour",
    "cache_activations",
}


def test_weights_are_the_same_bytes_every_time(tmp_path):
    """Files whose bytes differ from run to run make everything after them run again."""
    module, found = nn.Linear(2, 3), set()
    for _ in range(20):
        weights.save(tmp_path / "weights.safetensors", "toy", {"b": 1, "a": 2}, module)
        found.add((tmp_path / "weights.safetensors").read_bytes())
    assert len(found) == 1


# so few examples have no variance, and no more than that is to be said of them
@pytest.mark.filterwarnings("default")
@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes(tmp_path, tmp_path_factory, monkeypatch):
    """Also where all stages are one process."""
    first = first_run(tmp_path_factory, tmp_path / "first" / "mazewm")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    again = tmp_path / "again"
    again.mkdir()
    shutil.copy(first.folder / "params.yaml", again)
    with chdir(again):
        for step in steps(read_yaml(again / "params.yaml")):
            run_here(step.cmd)
    assert Clone(again).hashes() == first.reference


def test_the_walk(tmp_path, tmp_path_factory):
    first = first_run(tmp_path_factory, tmp_path / "mazewm")
    copy = Copy(first.folder)
    assert set(first.lengths) == copy.members()
    copy.check_results()
    assert copy.repro() == set(), "nothing has changed, and yet stages ran"

    # Another learning rate for SAEs would train no transformer again.
    copy.change({"sae.lr": 0.0021})
    changed = copy.changed()
    assert "train_sae" in changed and not changed & BEFORE_SAES
    copy.run("git", "checkout", "-q", "params.yaml")

    # A sentence of a docstring reruns digest_code and nothing else, whose outs are as they were.
    trees = copy.folder / "mazewm" / "features" / "trees.py"
    said = trees.read_text()
    trees.write_text(said.replace('"""', '"""In other words: ', 1))
    assert copy.repro() == {"digest_code"}
    # A line reruns what imports it.
    trees.write_text(said + "CHANGED = 1\n")
    assert copy.changed() == {"digest_code"}
    copy.dvc("repro", "digest_code")
    importing = {
        path.stem
        for path in (copy.folder / "artifacts" / "code").iterdir()
        if "mazewm.features.trees " in path.read_text()
    }
    changed = copy.changed()
    assert changed == importing & set(copy.yaml("dvc.yaml")["stages"]) and "train_sae" in changed


@pytest.mark.slow
def test_one_more_encoding_and_one_less(tmp_path, tmp_path_factory):
    """What belongs to a new encoding runs, and what compares encodings; by the launcher, which DVC
    then agrees with. With one less, the others are compared."""
    copy = Copy(first_run(tmp_path_factory, tmp_path / "mazewm").folder)
    copy.change({"encodings": ["learned", "rotary"]})
    assert "Pictures: metrics/figures/" in copy.run(sys.executable, "-m", "stages.launch")
    times = json.loads((copy.folder / "artifacts/logs/times.json").read_text())
    assert {run: set(seconds) for run, seconds in times.items()} == {
        "rotary-all-0": {
            stage_of(member) for member in copy.members() if member.endswith("@rotary-all-0")
        },
        "together": {"compare"},
    }
    copy.check_results()
    copy.commit()

    # The notebook is about a run that is there now.
    assert " follow" in copy.run(sys.executable, "-W", "ignore", "-c", NOTEBOOK)

    copy.change({"encodings": ["rotary"]})
    assert copy.changed() == {"compare"}
