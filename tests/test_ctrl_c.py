"""Ctrl-C while a stage still imports, which takes seconds on a busy machine."""

import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SLOW = """
import time
print("importing", flush=True)
{}
time.sleep(100)
"""
AT_THE_END = """
class Late:
    def __del__(self):
        raise KeyboardInterrupt
late = Late()
"""


def interrupted(name, folder, before=""):
    """A stage whose import of typer lasts, stopped there: exit code, what it said."""
    (folder / "typer.py").write_text(SLOW.format(before))
    stage = subprocess.Popen(
        [sys.executable, "-m", f"stages.{name}"],
        cwd=ROOT,
        env={"PYTHONPATH": str(folder), "PATH": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # as at a terminal, also where whoever calls the tests ignores it, as shells do for jobs in
        # the background
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert stage.stdout.readline() == "importing\n"
    stage.send_signal(signal.SIGINT)
    _, said = stage.communicate(timeout=60)
    return stage.returncode, said


@pytest.mark.parametrize("name", ["launch", "score", "train_transformer"])
def test_a_stage_that_imports_ends_without_a_word(name, tmp_path):
    assert interrupted(name, tmp_path) == (-signal.SIGINT, "")


def test_nothing_is_said_while_python_ends(tmp_path):
    code, said = interrupted("score", tmp_path, before=AT_THE_END)
    assert (code, said) == (-signal.SIGINT, "")


def test_other_errors_keep_their_traceback(tmp_path):
    (tmp_path / "typer.py").write_text("raise ImportError('broken')")
    done = subprocess.run(
        [sys.executable, "-m", "stages.score"],
        cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr and "ImportError: broken" in done.stderr


def test_what_nobody_can_catch_still_fails_a_test():
    assert getattr(sys.unraisablehook, "__module__", "") != "stages", "it is pytest's own"
