"""How far a stage is: shares of parts, the file for the launcher, the bar of a terminal, and the
plain lines of a pipe.
"""

import json
import os
import pty
import re
import subprocess
import sys

import pytest

from mazewm.io import progress
from mazewm.io.progress import _Report, duration
from stages.imports import ROOT

STAGE = """
import time
from mazewm.io import progress
from stages.command import command
progress.LINE_EVERY = 0.2

def main():
    part = progress.progress("steps", 4)
    part.update(1, "loss 0.5")
    time.sleep(0.5)
    part.update(2)
    progress.console.print("half")
    time.sleep(0.7)

command(main)()
"""


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when the test says so."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.delenv("MAZEWM_PROGRESS", raising=False)
    return now


@pytest.fixture
def report(clock, monkeypatch):
    made = _Report()
    monkeypatch.setattr(progress, "report", made)
    return made


def test_parts_share_a_stage(report):
    first = progress.progress("first", 4, share=0.25)
    first.advance()
    assert first.of_stage == 0.0625
    second = progress.progress("second", 2, share=0.5)
    assert second.of_stage == 0.25
    second.update(7)
    assert second.of_stage == 0.75, "a part that does more than it said is done, and no more"
    last = progress.progress("last", 0)
    last.advance()
    assert last.of_stage == 1.0


def test_the_time_left_is_that_of_a_training_that_was_stopped(report, clock):
    part = progress.progress("training", 100)
    assert report.left() == ""
    clock[0] += 20
    part.update(50)
    assert report.left() == "", "one step says nothing of the pace"
    clock[0] += 10
    part.update(60)
    assert report.left() == "40 s left"
    part.update(100)
    assert report.left() == ""


def test_the_launchers_file_is_written_now_and_then(clock, monkeypatch, tmp_path):
    monkeypatch.setenv("MAZEWM_PROGRESS", str(tmp_path / "progress"))
    monkeypatch.setenv("DVC_STAGE", "train@a-0")
    monkeypatch.setattr(progress, "report", _Report())

    def told():
        return json.loads((tmp_path / "progress").read_text())

    part = progress.progress("training", 10)
    assert told() == {
        "stage": "train@a-0",
        "what": "training",
        "note": "",
        "share": 0.0,
        "left": "",
    }
    part.update(1, "loss 2")
    assert told()["share"] == 0.0, "not so soon again"
    clock[0] += 1
    part.advance()
    assert told() == {
        "stage": "train@a-0",
        "what": "training",
        "note": "loss 2",
        "share": 0.2,
        "left": "8 s left",
    }


def run_stage(**streams) -> subprocess.Popen:
    environment = {
        name: value for name, value in os.environ.items() if name != "MAZEWM_PROGRESS"
    } | {"DVC_STAGE": "toy@a-0"}
    return subprocess.Popen([sys.executable, "-c", STAGE], cwd=ROOT, env=environment, **streams)


def test_a_pipe_gets_plain_lines_while_a_step_is_long():
    said = run_stage(stderr=subprocess.PIPE, text=True).communicate(timeout=300)[1].splitlines()
    assert re.fullmatch(r"toy@a-0: 25%, steps, loss 0\.5, after \d+ s", said[0])
    assert said.count("half") == 1 and len(said) >= 4
    assert re.fullmatch(r"toy@a-0: 50%, steps, loss 0\.5, after \d+ s, \d+ s left", said[-1])


def test_a_terminal_gets_a_bar():
    ours, theirs = pty.openpty()
    process = run_stage(stderr=theirs)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:  # what Linux says at the end of a terminal
        pass
    os.close(ours)
    assert process.wait(timeout=300) == 0
    text = said.decode()
    assert "steps: loss 0.5" in text and "50%" in text and "after" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (61.0, "1 min 1 s"),
        (3599.0, "59 min 59 s"),
        (3600.0, "1 h 0 min"),
        (7500.0, "2 h 5 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text
