"""No pickle is ever loaded, which could run any code: neither by a call in the code, nor from a
file that is named as something else.
"""

import ast
import os
import pickle

import numpy as np
import pandas as pd
import pytest
import torch

from mazewm.claims.curves import read_curve
from mazewm.elsewhere.dictionaries import foreign_dictionary
from mazewm.elsewhere.saes import tensors_of
from mazewm.io import files, vectors
from mazewm.io.params import read_yaml
from mazewm.io.weights import read_tensors
from mazewm.localize.activations import TokenLabels
from mazewm.maze import mazes
from mazewm.model.training import STATE, Checkpoint
from stages.imports import ROOT
from tests.borders.fed import refused

SOURCES = [
    path
    for folder in ("mazewm", "stages", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
LOADERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
# Code is sent to the workers of one's own Ray cluster as Ray always does; no file is read by it.
ALLOWED = {"stages/cluster.py": {"ours.cloudpickle.register_pickle_by_value"}}


def dangers(text: str) -> list[str]:
    """What in a source could load a pickle."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            named = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
            found += [name for name in named if LOADERS & set(name.split("."))]
        if not isinstance(node, ast.Call):
            continue
        name, given = ast.unparse(node.func), {one.arg: one.value for one in node.keywords}
        is_safe = getattr(given.get("weights_only"), "value", None) is True
        allows = given.get("allow_pickle")
        if (
            (name.endswith("torch.load") and not is_safe)
            or (allows is not None and getattr(allows, "value", None) is not False)
            or name.endswith(("read_pickle", "yaml.load", "yaml.unsafe_load", "yaml.full_load"))
            or (name == "YAML" and getattr(given.get("typ"), "value", None) not in ("safe", None))
            or LOADERS & set(name.split("."))
            or name in ("eval", "exec", "__import__")
        ):
            found.append(name)
    return found


@pytest.mark.parametrize("file", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_source_can_load_a_pickle(file):
    allowed = ALLOWED.get(file.relative_to(ROOT).as_posix(), set())
    assert [name for name in dangers(file.read_text()) if name not in allowed] == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=safe)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=trust)",
        "pd.read_pickle(path)",
        "yaml.load(text, Loader=yaml.Loader)",
        "YAML(typ='unsafe').load(text)",
        "ours.cloudpickle.loads(data)",
        "eval(text)",
    ],
)
def test_each_danger_is_seen(text):
    assert dangers(text)


def test_what_is_safe_is_no_danger():
    for text in ("torch.load(path, weights_only=True)", "np.load(path)", "YAML(typ='safe')"):
        assert not dangers(text)


class Hostile:
    """What unpickling it does: here, it would write a file."""

    def __reduce__(self):
        return os.system, ("touch canary",)


def object_array(path):
    with path.open("wb") as file:
        np.save(file, np.array([Hostile()], dtype=object), allow_pickle=True)


WRITTEN = {
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Hostile())),
    "a pickle of pandas": lambda path: pd.to_pickle(Hostile(), path, compression=None),
    "a file of torch": lambda path: torch.save({"W_enc": Hostile()}, path),
    "an array of objects": object_array,
}
READ = {
    "ae.pt": lambda path: foreign_dictionary(path),
    "sae_weights.safetensors": lambda path: tensors_of(path, ("W_enc",)),
    "model.safetensors": lambda path: read_tensors(path, "weights"),
    "mazes.parquet": mazes.read,
    "vectors.parquet": lambda path: vectors.read(path, TokenLabels),
    "params.yaml": read_yaml,
    "cfg.json": lambda path: files.read_json(path, "a configuration"),
    "history.csv": read_curve,
}


@pytest.mark.parametrize("name", READ)
@pytest.mark.parametrize("kind", WRITTEN)
def test_a_pickle_by_any_name_is_refused_and_not_run(tmp_path, monkeypatch, kind, name):
    monkeypatch.chdir(tmp_path)
    WRITTEN[kind](tmp_path / name)
    with refused(tmp_path / name):
        READ[name](tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name], "no code was run"


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_checkpoint_that_is_a_pickle_is_none(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    WRITTEN[kind](tmp_path / STATE)
    assert Checkpoint(tmp_path, "0").load(torch.device("cpu")) is None
    assert [path.name for path in tmp_path.iterdir()] == [STATE], "no code was run"


def test_the_canary_would_sing(tmp_path, monkeypatch):
    """The files of these tests do harm where a pickle is loaded."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Hostile()))
    assert (tmp_path / "canary").exists()
