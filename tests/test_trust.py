"""The pipeline survives kills and Ctrl-C (``make torture``, in small), and what looks for damage
sees it. They damage one clone, with one run at scale tiny, and mend it.
"""

import json
import random
import shutil
import subprocess
import sys
import time

import pytest
from copied import first_run

from mazewm.io.errors import BadInput
from stages.imports import ROOT
from trust import again, loads, processors, records
from trust.__main__ import main
from trust.clone import DVC, PYTHON, Clone
from trust.interrupts import HIDE, Terminal, interrupt
from trust.kills import Kill, Trial, summary
from trust.processes import alive, kill_all, kill_group, pinned, start

SEED = 4
NEEDS = (PYTHON.parent.parent / "installed").exists() and shutil.which("git")
pytestmark = pytest.mark.skipif(
    not NEEDS or not (ROOT / ".git").exists(), reason="needs `make env` and a clone of git"
)
# A process that starts another one in a session of its own, as the launcher does.
TWO = "import subprocess, sys, time; "
TWO += "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'], "
TWO += "start_new_session=True); print('there', flush=True); time.sleep(100)"


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    one = first_run(tmp_path_factory, tmp_path_factory.mktemp("trust") / "blank é" / "mazewm")
    yield one
    kill_all(one.mark)


@pytest.fixture
def bare(tmp_path):
    """A folder and a mark for processes, without a pipeline."""
    (tmp_path / "here").mkdir()
    one = Clone(tmp_path / "here")
    yield one
    kill_all(one.mark)


@pytest.mark.parametrize(
    ("command", "stage"),
    [
        ("dvc repro", "train_transformer@learned-all-0"),
        pytest.param("stages.launch", "observe_training@learned-all-0", marks=pytest.mark.slow),
        pytest.param("stages.launch", "map_features@learned-all-0", marks=pytest.mark.slow),
    ],
)
def test_what_was_killed_ends_with_the_same_bytes(clone, command, stage):
    one = Trial(clone, command, stage, random.Random(SEED), SEED).go()
    assert one.differences == "", one
    assert one.redone == "ran" or one.survivors, "what survived the kill may have ended the stage"


def test_ctrl_c_leaves_everything_in_order(clone):
    one = interrupt(clone, "dvc repro", "cache_activations@learned-all-0", random.Random(SEED))
    assert (one.wrong, one.differences) == ("", ""), one
    assert one.code != 0


@pytest.mark.slow
def test_a_repetition_beside_other_work_has_the_same_bytes(clone, tmp_path):
    other = clone.emptied(tmp_path / "é" / "mazewm")
    stage = "cache_activations@learned-all-0"
    assert not (other.folder / "artifacts").exists()
    with again.busy(1):
        done = other.call(*pinned([*DVC, "repro", stage], 1))
    assert done.code == 0, done.said[-2000:]
    now = other.hashes()
    assert "artifacts/locations/learned-all-0/consolidation.parquet" in now
    assert now == {path: clone.reference[path] for path in now}


def test_every_difference_is_seen(clone):
    assert clone.differences() == []
    place = clone.folder / "artifacts/features/learned-all-0"
    path = sorted(place.iterdir())[0]
    content, beside = path.read_bytes(), place.with_name(f"{place.name}.part")
    path.chmod(0o644)  # DVC's cache has the same file
    path.unlink()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    beside.mkdir()
    (beside / "half").write_text("written")
    (clone.folder / "new.txt").write_text("")
    params = (clone.folder / "params.yaml").read_text()
    (clone.folder / "params.yaml").write_text(params + "\n")
    assert clone.differences() == [
        "artifacts/features/learned-all-0.part/half new",
        f"{path.relative_to(clone.folder).as_posix()} differs",
        "git:  M params.yaml",
        "git: ?? new.txt",
    ]
    with pytest.raises(BadInput, match="half new; delete it"):
        Clone.at(clone.folder)
    path.write_bytes(content)
    shutil.rmtree(beside)
    (clone.folder / "new.txt").unlink()
    (clone.folder / "params.yaml").write_text(params)
    assert Clone.at(clone.folder).reference == clone.reference


def test_nothing_restores_a_stage_that_was_forgotten(clone):
    stage = "map_features@learned-all-0"
    clone.forget([stage])
    assert not (clone.folder / "artifacts/features/learned-all-0").exists()
    done = clone.call(*DVC, "checkout")
    assert not (clone.folder / "artifacts/features/learned-all-0").exists(), done.said
    assert clone.call(*DVC, "repro").code == 0
    assert clone.begun() == [stage]  # and no other stage is stale
    assert clone.differences() == []


def test_a_lock_of_git_stops_nothing(clone):
    """That of a process that was killed, or of a commit in the same moment: no stage needs git."""
    clone.forget(["digest_code"])
    (clone.folder / ".git/index.lock").touch()
    assert clone.call(*DVC, "repro", "digest_code").code == 0
    assert clone.torn() == [".git/index.lock"]
    clone.mend()
    assert clone.differences() == []
    for name in (".dvc/tmp/rwlock", "dvc.lock"):
        (clone.folder / name).write_text("")
        assert clone.torn() == [name]
        clone.mend()
    assert clone.differences() == []


def test_the_memory_of_a_stage_is_that_of_its_process(clone):
    """A stage that imports torch needs some 300 MiB; one that draws mazes, less."""
    stages = ("observe_training@learned-all-0", "digest_code")
    found = loads.peaks(clone, "--single-item", *stages)
    assert set(found) == set(stages)
    assert 0.15 < found[stages[0]] < 1.5 and 0.01 < found[stages[1]] < found[stages[0]]


def there(process: subprocess.Popen, clone: Clone, n: int) -> None:
    late = time.monotonic() + 60
    while len(alive(clone.mark)) < n:
        assert process.poll() is None and time.monotonic() < late, clone.log.read_text()
        time.sleep(0.05)


def test_a_group_is_killed_without_what_has_a_session_of_its_own(bare):
    process = start([sys.executable, "-c", TWO], bare.folder, bare.environment, bare.log)
    there(process, bare, 2)
    kill_group(process)
    assert len(alive(bare.mark)) == 1
    kill_all(bare.mark)
    assert alive(bare.mark) == []


@pytest.mark.parametrize(
    ("what", "seen"),
    [
        ("pass", []),
        ("import tty; tty.setraw(0)", ["the terminal's attributes differ"]),
        (f"print({HIDE.decode()!r})", ["the cursor is hidden"]),
        ("1 / 0", ["a traceback"]),
    ],
)
def test_what_a_command_leaves_of_a_terminal_is_seen(bare, what, seen):
    terminal = Terminal(bare, [sys.executable, "-c", what])
    terminal.wait()
    assert terminal.changed() == seen
    terminal.close()


def test_ctrl_c_reaches_what_is_in_the_foreground(bare):
    what = "import time\nprint(\"Running stage 'it':\", flush=True)\ntry: time.sleep(100)\n"
    what += "except KeyboardInterrupt: raise SystemExit(7)"
    terminal = Terminal(bare, [sys.executable, "-c", what])
    assert terminal.press_in("it", 0.1)
    assert terminal.wait() == 7
    terminal.close()


def row(command: str, **others: object) -> Kill:
    given = {
        "stage": "score@a", "killed": "all", "since": "stage", "seconds": 1.0, "during": "score@a",
        "survivors": 0, "found": "", "calls": 1, "refused": "", "redone": "ran", "detached": False,
        "differences": "", "whole": 2.0,
    }  # fmt: skip
    return Kill("0ab", 0, command, **given | others)


def test_kills_are_counted():
    rows = [
        row("dvc repro", detached=True),
        row("dvc repro", differences="x differs", redone="nothing", stage="train_sae@a"),
        row("make repro", calls=2, refused="is busy", during="dvc"),
    ]
    made = summary(rows)
    assert made["bad"] == 1
    assert made["by_command"]["dvc repro"] == {
        "n": 2,
        "same": 1,
        "ran": 1,
        "detached": 1,
        "twice": 0,
        "torn": 0,
    }
    assert made["by_stage"]["train_sae"]["same"] == 0
    assert {name: one["n"] for name, one in made["during"].items()} == {"dvc": 1, "score": 2}
    assert made["refusals"] == ["is busy"] and made["commits"] == ["0ab"]


def test_kills_are_added_to_those_that_are_written_down(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "ROOT", tmp_path)
    (tmp_path / records.RESULTS).mkdir(parents=True)
    assert records.rows("kills", Kill) == [] and records.read("kills") == {}
    rows = [row("dvc repro", detached=True, found='a, "b"'), row("make repro", seconds=0.25)]
    records.write("kills", summary(rows), rows)
    assert records.rows("kills", Kill) == rows
    assert records.read("kills")["bad"] == summary(rows)["bad"]


def test_verdicts_are_found_wherever_they_are(tmp_path):
    path = tmp_path / "claims.json"
    path.write_text('{"runs": {"a": {"C1": {"verdict": "shown", "value": 1}}}, "n": [1]}')
    assert again.verdicts(path) == {"/runs/a/C1": "shown"}


def test_the_machine_is_written_down():
    about = records.about(1.234)
    assert about["minutes"] == 1.2 and about["cores"] >= 1 and about["processor"]


def test_a_queued_experiment_s_state_is_read():
    table = ["Task     Name     Created    Status", "1ab     queued-0   10:20 AM   Success"]
    assert loads.state_of(table, "queued-0") == "Success"
    assert loads.state_of(table, "queued-1") == ""


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(BadInput, match="riots: expected one of kills"):
        main(["riots"])
    with pytest.raises(BadInput, match="without blanks and accents"):
        main(["kills"], folder=tmp_path / "blank é")
    with pytest.raises(BadInput, match="found no dvc.yaml"):
        main(["memory"], given=tmp_path)


def test_claims_of_two_processors_are_compared(tmp_path):
    def claims(name, **ones):
        path = tmp_path / name
        made = {
            id: {"verdict": verdict, "value": value, "low": value - 0.1, "high": value + 0.1}
            for id, (verdict, value) in ones.items()
        }
        path.write_text(json.dumps({"runs": {"rotary-all-0": made}}))
        return path

    there = claims("there", C1=("supported", 0.5), C2=("refuted", 0.2), C3=("unmeasured", 0))
    here = claims("here", C1=("supported", 0.55), C2=("undecided", 0.4), C3=("supported", 0.1))
    rows = list(processors.compared(there, here))
    assert [(one.claim, one.agrees) for one in rows] == [("C1", True), ("C2", False)]
    found = processors.summary(rows)
    assert (found["n"], found["same_verdict"], found["agree"]) == (2, 1, 1)
    assert [one["claim"] for one in found["differ"]] == ["C2"]
    with pytest.raises(BadInput, match="C1 of rotary-all-0 is in one"):
        list(processors.compared(there, claims("more", C9=("supported", 0.5))))
