"""Parameters that cannot be end in one sentence that names the file and the key, a non-zero exit,
and outputs as they were.
"""

import json
import shutil
import subprocess
import sys

import pytest
import yaml

from mazewm.io.errors import BadInput
from mazewm.io.params import load
from stages.imports import ROOT
from tests.borders.fed import snapshot
from tests.borders.stages import DELETE, PARAMS, RUN, assert_refused, changed, run

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


def test_the_parameters_of_the_project_are_json_like():
    """Dates and other YAML surprises would travel into files that hold JSON."""
    assert json.loads(json.dumps(PARAMS)) == PARAMS


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
