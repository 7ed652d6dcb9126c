"""Bad input ends in one sentence that names the file or key, a non-zero exit, and outputs as they
were.
"""

import copy
import hashlib
import importlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import nn

from mazewm.io import tables, weights
from mazewm.io.errors import BadInput
from mazewm.io.params import load
from mazewm.localize.consolidation import FormationRow
from mazewm.localize.locations import PAPER_LOCATION, Locations, WritingSite
from mazewm.maze.tokens import TokenClass
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


def snapshot(folder: Path) -> dict[str, str]:
    """Every file of a folder and what is in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder of its own with the parameters and old outs, to run stages in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    for kind in ("mazes/0", *(f"{kind}/{RUN.name}" for kind in KINDS)):
        (tmp_path / "artifacts" / kind).mkdir(parents=True)
        (tmp_path / "artifacts" / kind / "old.txt").write_text("what an earlier run left")
    return tmp_path


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


MAZES = "scales/tiny/mazes"


@pytest.mark.parametrize(
    ("params", "names"),
    [
        (
            changed(f"{MAZES}/n_trian", 3),
            ["params.yaml", "mazes.n_trian", "unknown key", "n_train"],
        ),
        (changed(f"{MAZES}/n_train", DELETE), ["params.yaml", "mazes.n_train", "missing"]),
        (
            changed(f"{MAZES}/n_train", "many"),
            ["params.yaml", "mazes.n_train", "integer", "'many'"],
        ),
        (changed(f"{MAZES}/n_train", 2.5), ["params.yaml", "mazes.n_train", "2.5"]),
        (changed(f"{MAZES}/n_train", 0), ["params.yaml", "mazes.n_train", "greater than 0", "0"]),
        (
            changed(f"{MAZES}/families/trees/generator", "prim"),
            ["params.yaml", "mazes.families.trees.generator", "'prim'"],
        ),
        (
            changed(f"{MAZES}/families/trees/max_cells", 10),
            ["params.yaml", "mazes.families.trees", "max_cells <= size*size = 9"],
        ),
        (changed(f"{MAZES}/families/trees/size", 4), ["params.yaml", "mazes", "vocabulary_size"]),
        (changed(f"{MAZES}/families", {}), ["params.yaml", "mazes", "family"]),
        (
            changed(f"{MAZES}/overload/min_cells", 8),
            ["params.yaml", "mazes", "overload", "more connections"],
        ),
        (
            changed(f"{MAZES}/n_test", 100_000),
            ["params.yaml", "mazes.n_test", "trees", "held_out_share"],
        ),
        (
            changed("mazes/world", "cubes"),
            ["params.yaml", "mazes.world", "'all' or 'trees'", "'cubes'"],
        ),
        (changed(MAZES, [1, 2]), ["params.yaml", "scales.tiny.mazes", "[1, 2]"]),
        (changed("mazes", {"n_train": 3}), ["params.yaml", "mazes.n_train", "tiny"]),
        (changed("scale", "huge"), ["params.yaml", "scale", "'huge'", "tiny"]),
        (changed("scale", DELETE), ["params.yaml", "scale", "tiny"]),
        (changed("scales", DELETE), ["params.yaml", "scale"]),
    ],
    ids=lambda value: "-".join(value[1:3]) if isinstance(value, list) else None,
)
def test_parameters_are_refused(work, monkeypatch, capsys, params, names):
    (work / "params.yaml").write_text(yaml.safe_dump(params))
    before = snapshot(work)
    assert_refused(*run(monkeypatch, capsys, "generate_mazes", seed=0), *names)
    assert snapshot(work) == before


@pytest.mark.parametrize(
    ("params", "names"),
    [
        (changed("scales/tiny/mazess", {"n_train": 3}), ["scales.tiny.mazess", "unknown section"]),
        # in a scale that is not the chosen one, too
        (changed("scales/paper/sea", {}), ["scales.paper.sea", "unknown section", "'sae'"]),
        (
            changed("mazess", {"world": "trees"}),
            ["mazess: expected a section that every scale has"],
        ),
        (changed("scales/laptop/planning", DELETE), ["planning", "scales.laptop"]),
        (changed("encoding", ["rotary"]), ["encoding", "unknown key", "'encodings'"]),
        (changed("n_steps", 3), ["n_steps", "unknown key"]),
    ],
    ids=lambda value: value[0].split(":")[0] if isinstance(value, list) else None,
)
@pytest.mark.parametrize("stage", ["generate_mazes", "digest_code"])
def test_a_name_that_nothing_reads_is_refused(work, monkeypatch, capsys, params, names, stage):
    """DVC would not see a change of its value, and say that nothing changed."""
    shutil.copy(ROOT / "dvc.yaml", work)
    (work / "params.yaml").write_text(yaml.safe_dump(params))
    before = snapshot(work)
    options = {"seed": 0} if stage == "generate_mazes" else {}
    assert_refused(*run(monkeypatch, capsys, stage, **options), "params.yaml", *names)
    assert snapshot(work) == before


@pytest.mark.parametrize("scale", PARAMS["scales"])
@pytest.mark.parametrize("section", PARAMS["scales"]["tiny"])
def test_a_key_of_both_parts_of_a_section_is_refused(tmp_path, section, scale):
    """Whichever key: one of them would be overwritten without a word."""
    from tests.test_pipeline import STAGES, sections_of

    classes = {name: cls for stage in STAGES for name, cls in sections_of(stage).items()}
    for here, there in (("", f"scales/{scale}/"), (f"scales/{scale}/", "")):
        for key, value in (PARAMS if not here else PARAMS["scales"][scale])[section].items():
            params = changed(f"{there}{section}/{key}", value) | {"scale": scale}
            (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
            with pytest.raises(BadInput, match=f"{section}.{key}: set both"):
                load(classes[section], section, tmp_path / "params.yaml")


@pytest.mark.parametrize("text", ["scale: [", "just a sentence", "", None])
def test_a_foreign_params_file_is_refused(work, monkeypatch, capsys, text):
    (work / "params.yaml").unlink()
    if text is not None:
        (work / "params.yaml").write_text(text)
    before = snapshot(work)
    assert_refused(*run(monkeypatch, capsys, "generate_mazes", seed=0), "params.yaml")
    assert snapshot(work) == before


def test_a_stage_as_a_process(work):
    """What dvc runs: the sentence is all that stands on stderr."""
    (work / "params.yaml").write_text(yaml.safe_dump(changed(f"{MAZES}/n_train", "many")))
    before = snapshot(work)
    words = [sys.executable, "-m", "stages.generate_mazes", "--seed", "0"]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        cwd=work,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert_refused(done.returncode, done.stderr, "params.yaml", "mazes.n_train")
    assert len(done.stderr.splitlines()) == 1 and done.stdout == ""
    assert snapshot(work) == before


def test_a_forgotten_option_is_refused(work, monkeypatch, capsys):
    code, stderr = run(monkeypatch, capsys, "generate_mazes")
    assert code == 2 and "--seed" in stderr and "Traceback" not in stderr


@pytest.mark.parametrize(
    "name", ["rotary-0", "rotery-all-0", "rotary-some-0", "rotary-all-x", "../rotary-all-0"]
)
def test_a_run_that_cannot_be_is_refused(work, monkeypatch, capsys, name):
    before = snapshot(work)
    assert_refused(
        *run(monkeypatch, capsys, "train_transformer", name),
        "ENCODING-OBJECTIVE-SEED",
        repr(name),
        "rotary",
        "path",
    )
    assert snapshot(work) == before


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Mazes and a transformer at scale tiny, made once."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        importlib.import_module("stages.generate_mazes").main(seed=0)
        importlib.import_module("stages.train_transformer").main(RUN.name)
    return folder


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


@pytest.fixture
def inputs(made, work):
    """Copies of the inputs, to be spoilt."""
    for folder in ("mazes/0", f"models/{RUN.name}", f"snapshots/{RUN.name}"):
        shutil.copytree(
            made / "artifacts" / folder, work / "artifacts" / folder, dirs_exist_ok=True
        )
    return work


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
    ("encoding", "path", "value", "names"),
    [
        ("rotary", "scales/tiny/transformer/n_heads", 32, ["rotary", "d_head", "32 / 32 = 1"]),
        (
            "sinusoidal",
            "scales/tiny/transformer",
            {"n_layers": 1, "d_model": 33, "n_heads": 3, "d_mlp": 8},
            ["sinusoidal", "d_model", "33"],
        ),
        (
            "learned",
            "scales/tiny/transformer/n_heads",
            5,
            ["params.yaml", "transformer", "n_heads = 5"],
        ),
        ("learned", "scales/tiny/transformer/n_layers", 0, ["params.yaml", "transformer.n_layers"]),
        ("learned", "training/loss_on", "some", ["params.yaml", "training.loss_on", "unknown key"]),
        (
            "learned",
            "scales/tiny/training/batch_size",
            0,
            ["params.yaml", "training.batch_size", "greater than 0"],
        ),
    ],
)
def test_an_impossible_training_is_refused(
    inputs, monkeypatch, capsys, encoding, path, value, names
):
    (inputs / "params.yaml").write_text(yaml.safe_dump(changed(path, value)))
    before = snapshot(inputs)
    assert_refused(*run(monkeypatch, capsys, "train_transformer", f"{encoding}-all-0"), *names)
    assert snapshot(inputs) == before


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("places", ["9.resid_post"]),
        ("places", ["0.resid"]),
        ("places", ["first"]),
        ("token_classes", ["c3"]),
    ],
)
def test_unknown_places_and_classes_are_refused(inputs, monkeypatch, capsys, key, value):
    (inputs / "params.yaml").write_text(yaml.safe_dump(changed(f"activations/{key}", value)))
    before = snapshot(inputs)
    refused = run(monkeypatch, capsys, "cache_activations", RUN.name)
    assert_refused(*refused, "params.yaml", f"activations.{key}", repr(value[0]))
    assert snapshot(inputs) == before


@pytest.mark.parametrize(
    "kind", ["of another run", "truncated", "not of the format", "hostile", "hostile, of torch"]
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


def test_the_parameters_of_the_project_are_json_like():
    """Dates and other YAML surprises would travel into files that hold JSON."""
    assert json.loads(json.dumps(PARAMS)) == PARAMS


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


@pytest.mark.parametrize(
    ("key", "value"),
    [("encodings", []), ("encodings", "rotary"), ("objectives", ["some"]), ("seeds", ["x"])],
)
def test_a_list_of_runs_that_cannot_be_is_refused(work, monkeypatch, capsys, key, value):
    (work / "params.yaml").write_text(yaml.safe_dump(changed(key, value)))
    assert_refused(
        *run(monkeypatch, capsys, "compare", results="metrics"),
        "some" if value == ["some"] else key,
    )
