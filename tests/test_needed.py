"""What is to be done after ``make pull``: beside other calls of DVC, and in a broken project."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from dvc.lock import DEFAULT_TIMEOUT
from released_toy import TOY, change, clone, laid_out, made, stage

from mazewm.io.errors import BadInput
from stages import pull, release, released, remote
from stages.needed import Needed, needed

# of a library that dvc uses
pytestmark = pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """None of its stages has run."""
    return laid_out(tmp_path / "project", monkeypatch)


@pytest.fixture
def pulled(tmp_path, monkeypatch) -> Path:
    """A clone of a project after ``make pull``."""
    project = made(tmp_path / "project", monkeypatch)
    release.release()
    monkeypatch.chdir(copy := clone(project, tmp_path / "clone"))
    pull.main()
    return copy


def test_another_call_of_dvc_is_waited_for(pulled):
    change(fit=2)
    holding = (
        "import sys; from dvc.lock import Lock; lock = Lock('.dvc/tmp/lock'); lock.lock(); "
        "print('held', flush=True); sys.stdin.readline(); lock.unlock()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline() == "held\n"
        # longer than DVC itself would wait without being asked to
        timer = threading.Timer(DEFAULT_TIMEOUT + 3, lambda: other.communicate("\n"))
        timer.start()
        assert needed() == Needed({"record", "fit", "score"}, ["snapshots"])
        timer.join()


def test_what_another_call_is_making_is_no_reason_to_make_all(pulled):
    """Its outs are removed while it runs, the released ones, too."""
    change(train=2)
    shutil.rmtree("weights")
    me = {"pid": os.getppid(), "cmd": "dvc repro train"}
    weights = str(Path("weights").absolute())
    Path(".dvc/tmp/rwlock").write_text(json.dumps({"write": {weights: me}, "read": {}}))
    assert needed() == Needed(set(TOY), [])
    change()
    assert needed() == Needed(set(TOY), []), "that call may have read other parameters"
    Path(".dvc/tmp/rwlock").unlink()
    assert needed() is None, "nobody makes them"


def test_a_stage_that_was_never_run_is_run_alone(pulled):
    more = TOY | {"again": stage("fit", ["weights"], {"more": False})}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": more}, sort_keys=False))
    assert needed() == Needed({"again"}, ["snapshots", "activations"])


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("params.yaml", "train: [1\n", "'params.yaml', .* at line 2"),
        ("dvc.yaml", "stages: [\n", "'dvc.yaml', .* at line 2"),
        ("dvc.yaml", "stages: {train: {comand: x}}\n", "'./dvc.yaml' validation failed"),
        ("dvc.lock", "<<<<<<< HEAD\nstages: {}\n=======\n", "'dvc.lock', .* at line 2"),
        (".dvc/config", "[core\n", "config file error: .* at line 1"),
    ],
)
@pytest.mark.parametrize("ask", [needed, pull.main, release.release])
def test_a_project_that_dvc_cannot_read_is_a_sentence(project, ask, file, content, says):
    released.OBJECTS.mkdir(parents=True)
    Path(file).write_text(content)
    with pytest.raises(BadInput, match=rf"^dvc: [^\n]*{says}[^\n]*\.$"):
        ask()


def test_a_remote_is_not_found_in_a_broken_configuration(project):
    Path(".dvc/config").write_text("[core\n")
    with pytest.raises(BadInput, match=r"^dvc: config file error: [^\n]* at line 1\.$"):
        remote.config()
