"""Spoilt inputs of a stage end in one sentence that names the file, a non-zero exit, and outputs as
they were.
"""

import importlib
import os
import pickle
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mazewm.io import tables, weights
from mazewm.localize.consolidation import FormationRow
from mazewm.localize.locations import PAPER_LOCATION, Locations, WritingSite
from mazewm.maze.tokens import TokenClass
from tests.borders.fed import snapshot
from tests.borders.stages import KINDS, RUN, assert_refused, run


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


class Hostile:
    """What unpickling it does: here, it would write a file."""

    def __reduce__(self):
        return os.system, ("touch unpickled",)


SPOILT = {
    "a hostile pickle": lambda path: path.write_bytes(pickle.dumps(Hostile())),
    "missing": lambda path: path.unlink(),
    "truncated": truncate,
    "empty": lambda path: path.write_bytes(b""),
    "not of the format": lambda path: path.write_text("a sentence of no format at all"),
}
FOREIGN_TABLES = SPOILT | {"foreign": lambda path: pd.DataFrame({"maze_id": [1]}).to_parquet(path)}
MODELS = SPOILT | {
    "foreign": lambda path: save_file({"W_E": torch.zeros(2, 3)}, path),
    "of another kind": lambda path: weights.save(path, "sparse autoencoder", {}, nn.Linear(2, 3)),
    "with a foreign config": lambda path: weights.save(
        path, "transformer", {"params": {"n_layers": 2}}, nn.Linear(2, 3)
    ),
    "with a weight that is not finite": lambda path: spoil_a_weight(path),
    "with other weights": lambda path: weights.save(
        path, "transformer", config_of(path), nn.Linear(2, 3)
    ),
}


def spoil_a_weight(path: Path) -> None:
    from mazewm.model import Transformer

    model = Transformer.load(path)
    model.layers[0].mlp.b_out[3] = float("inf")
    model.save(path)


def config_of(path: Path) -> dict:
    return weights.load(path, "transformer")[0]


@pytest.mark.parametrize("spoil", FOREIGN_TABLES)
def test_spoilt_mazes_are_refused(inputs, monkeypatch, capsys, spoil):
    FOREIGN_TABLES[spoil](RUN.maze_file("validation"))
    before = snapshot(inputs)
    refused = run(monkeypatch, capsys, "train_transformer", RUN.name)
    assert_refused(*refused, "mazes/0/validation.parquet")
    assert snapshot(inputs) == before


@pytest.mark.parametrize("spoil", MODELS)
def test_a_spoilt_model_is_refused(inputs, monkeypatch, capsys, spoil):
    MODELS[spoil](RUN.weights)
    before = snapshot(inputs)
    assert_refused(
        *run(monkeypatch, capsys, "cache_activations", RUN.name), "transformer.safetensors"
    )
    assert snapshot(inputs) == before


@pytest.mark.parametrize(
    "kind",
    ["of another run", "truncated", "not of the format", "a list", "hostile", "hostile, of torch"],
)
def test_another_checkpoint_changes_nothing(inputs, made, monkeypatch, kind):
    """A checkpoint that is not this run's is ignored: the run ends with the same bits as one that
    found none."""
    from mazewm.model import training

    seen = []
    real = training.Training.steps

    def watched(self):
        kept = self.checkpoint.folder
        seen.append(kept)
        kept.mkdir(parents=True, exist_ok=True)
        if kind == "of another run":
            torch.save(
                {
                    "fingerprint": "0" * 16,
                    "model": {},
                    "opts": [],
                    "step": 3,
                    "history": [],
                    "sums": [0.0, 0.0, 0],
                },
                kept / "state.pt",
            )
        elif kind == "a list":
            torch.save([1, 2], kept / "state.pt")
        elif kind == "hostile, of torch":
            fingerprint = self.checkpoint.fingerprint
            torch.save({"fingerprint": fingerprint, "model": Hostile()}, kept / "state.pt")
        elif kind == "hostile":
            SPOILT["a hostile pickle"](kept / "state.pt")
        else:
            (kept / "state.pt").write_bytes(
                b"PK\x03\x04 and then nothing" if kind == "truncated" else b"no checkpoint"
            )
        return real(self)

    monkeypatch.setattr(training.Training, "steps", watched)
    importlib.import_module("stages.train_transformer").main(RUN.name)
    assert len(seen) == 1 and not seen[0].exists() and not (inputs / "unpickled").exists()
    for kind in ("models", "snapshots"):
        assert snapshot(RUN.folder(kind)) == snapshot(made / RUN.folder(kind))


def test_a_mended_run_replaces_the_old_out(work, monkeypatch):
    """The other side of the coin: with good input the old out goes, whole, and nothing is left
    beside the new one."""
    importlib.import_module("stages.generate_mazes").main(seed=0)
    found = sorted(path.name for path in (work / "artifacts" / "mazes" / "0").iterdir())
    assert found == [f"{name}.parquet" for name in ("overload", "test", "train", "validation")]
    assert sorted(path.name for path in (work / "artifacts").iterdir()) == sorted(["mazes", *KINDS])


LATER = {
    "observe_training": "snapshots",
    "train_sae": "activations",
    "map_features": "consolidation.parquet",
    "trace_circuits": "locations/learned-all-0/site.json",
    "run_interventions": "locations/learned-all-0/site.json",
    "score": "locations/learned-all-0/consolidation.parquet",
}


@pytest.mark.parametrize("stage", LATER)
def test_a_later_stage_without_its_input_is_refused(inputs, monkeypatch, capsys, stage):
    shutil.rmtree(RUN.folder("snapshots"))
    before = snapshot(inputs)
    options = {"results": "metrics"} if stage == "score" else {}
    assert_refused(*run(monkeypatch, capsys, stage, RUN.name, **options), LATER[stage])
    assert snapshot(inputs) == before


@pytest.mark.parametrize("stage", ["train_sae", "map_features", "trace_circuits"])
def test_a_location_beyond_the_last_layer_is_refused(inputs, monkeypatch, capsys, stage):
    for split in ("train", "test"):
        (RUN.folder("activations") / "trained" / split / "0.resid_post").mkdir(parents=True)
    folder = RUN.folder("locations")
    tables.write_rows(
        folder / "consolidation.parquet",
        FormationRow,
        [FormationRow(1, "c2", 1.0, 0.3, 1.0, 0.1, 60)],
    )
    Locations(PAPER_LOCATION, WritingSite(2, ("c2",), TokenClass.C2)).save(folder)
    assert_refused(
        *run(monkeypatch, capsys, stage, RUN.name), "writing_site.json", "below 2, found 2"
    )


def test_a_comparison_without_a_run_is_refused(inputs, monkeypatch, capsys):
    (inputs / "metrics" / "runs").mkdir(parents=True)
    (inputs / "metrics" / "runs" / "rotary-all-0.json").write_text("{}")
    assert_refused(
        *run(monkeypatch, capsys, "compare", results="metrics"), "metrics/runs/learned-all-0.json"
    )
