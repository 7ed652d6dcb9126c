"""Folders to run stages in."""

import importlib
import shutil

import pytest
import yaml

from tests.borders.stages import KINDS, PARAMS, RUN


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


@pytest.fixture
def inputs(made, work):
    """Copies of the inputs, to be spoilt."""
    for folder in ("mazes/0", f"models/{RUN.name}", f"snapshots/{RUN.name}"):
        shutil.copytree(
            made / "artifacts" / folder, work / "artifacts" / folder, dirs_exist_ok=True
        )
    return work
