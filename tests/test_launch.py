"""The launcher: runs side by side, a run that fails, Ctrl-C, one run only, and what is printed
where there is no terminal.
"""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
import yaml
from launched import Project, wait_for

from mazewm.io.errors import BadInput
from mazewm.io.params import read_yaml
from stages import leftovers
from stages.imports import ROOT
from stages.launch import plan
from stages.local import _why
from trust.processes import alive


@pytest.fixture
def project(tmp_path) -> Iterator[Project]:
    """In a folder whose name is not a plain word."""
    yield Project(tmp_path / "größere Welt")


def test_runs_go_side_by_side_and_nothing_runs_twice(project):
    project.behave({"train a-0": "meet", "train b-0": "meet"})
    said = project.launch("--jobs", "2")
    events = project.events()
    assert events[:2] == ["begin first all", "end first all"] and events[-2:] == [
        "begin compare all",
        "end compare all",
    ]
    assert sorted(events[2:4]) == ["begin train a-0", "begin train b-0"], (
        "both trainings begin before either ends"
    )
    assert set(events[4:-2]) == {
        f"{what} {stage} {run}"
        for run in ("a-0", "b-0")
        for what, stage in (("end", "train"), ("begin", "probe"), ("end", "probe"))
    }
    for stage in ("train", "probe"):
        assert f"a-0: {stage} took " in said and f"b-0: {stage} took " in said
    assert "Pictures: metrics/figures/" in said and "page: metrics/report.html" in said
    assert re.search(r"time by the clock.*shared.*a-0.*b-0.*together", said)
    times = json.loads((project.folder / "artifacts/logs/times.json").read_text())
    assert {name: set(seconds) for name, seconds in times.items()} == {
        "shared": {"first"},
        "a-0": {"train", "probe"},
        "b-0": {"train", "probe"},
        "together": {"compare"},
    }
    assert "Nothing to do" in project.launch() and project.events() == []


def test_one_at_a_time_and_one_only(project):
    project.launch("--jobs", "1", "b-0")
    assert [event for event in project.events() if "begin" in event] == [
        "begin first all",
        "begin train b-0",
        "begin probe b-0",
    ]
    project.environment["JOBS"] = "1"
    project.launch()
    assert [event for event in project.events() if "begin" in event] == [
        "begin train a-0",
        "begin probe a-0",
        "begin compare all",
    ]
    assert "RUN c-0: expected one of a-0, b-0" in project.launch("c-0", code=1)


IN_USE = '{"write": {"here/train-b-0": {"pid": 3, "cmd": "x"}}}'


def git(folder, *words):
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True)


@pytest.mark.parametrize("by_git", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_what_a_killed_dvc_has_torn_is_mended(project, by_git):
    """And no stage that had ended runs again."""
    project.launch("a-0")
    lock, list_ = project.folder / "dvc.lock", project.folder / leftovers.IN_USE
    if by_git:
        git(project.folder, "init", "-q")
        git(project.folder, "add", "dvc.lock")
        git(project.folder, "commit", "-qm", "a-0")
    project.launch()
    assert project.events()
    whole = lock.read_bytes()
    for torn in (b"", whole[: len(whole) // 2].rstrip(b"\n")):
        lock.write_bytes(torn)
        list_.write_text(IN_USE[: 20 * bool(torn)])
        said = project.launch()
        now = "git's again" if by_git else "empty now"
        assert f"dvc.lock was torn by a kill: it is {now}, the torn one is" in said
        assert "rwlock was torn by a kill: deleted." in said and not project.events()
        assert yaml.safe_load(lock.read_text()) == yaml.safe_load(whole)
        assert (project.folder / leftovers.ASIDE).read_bytes() == torn
    assert "torn" not in project.launch()


def test_what_somebody_has_written_into_the_lock_file_stays(project):
    project.launch("a-0")
    lock = project.folder / "dvc.lock"
    whole = lock.read_text()
    for wrong in (f"<<<<<<< HEAD\n{whole}", whole.replace("2.0", "3.0")):
        lock.write_text(wrong)
        assert re.match(r"error: dvc: .*dvc\.lock", project.launch(code=1))
        assert lock.read_text() == wrong


def test_a_list_of_files_in_use_is_torn_if_it_is_no_json(tmp_path):
    file = tmp_path / "rwlock"
    assert not leftovers.is_torn_list(file)
    for n in range(len(IN_USE)):
        file.write_text(IN_USE[:n])
        assert leftovers.is_torn_list(file)
    file.write_text(IN_USE)
    assert not leftovers.is_torn_list(file)


def test_a_run_that_fails_says_so_and_leaves_the_others_alone(project):
    project.behave({"train a-0": "bad"})
    said = project.launch(code=1)
    reason = "params.yaml: behaviour: expected good, found bad"
    assert (
        f"error: a-0: train failed: {reason}; its log: artifacts/logs/a-0.log" in said.splitlines()
    )
    assert reason in (project.folder / "artifacts/logs/a-0.log").read_text()
    events = project.events()
    assert "end probe b-0" in events and not [
        event for event in events if "probe a-0" in event or "compare" in event
    ]


FAILED = "ERROR: failed to reproduce 'train@a-0': failed to run: python -m toy, exited with 1"


@pytest.mark.parametrize(
    ("stage", "last", "told"),
    [
        (
            "train",
            ["step 1", "error: params.yaml: no.", "", FAILED],
            "train failed: params.yaml: no",
        ),
        (
            "train",
            ["Traceback (most recent call last):", "ValueError: a bug", FAILED],
            "train failed: ValueError: a bug",
        ),
        ("train", [FAILED], f"train failed: {FAILED}"),
        (
            "",
            ["ERROR: failed to reproduce 'probe@a-0': missing data 'train-a-0'"],
            "probe failed: ERROR: failed to reproduce",
        ),
        (
            "",
            ["WARNING: slow", "ERROR: Unable to acquire lock."],
            "dvc repro failed: ERROR: Unable to acquire lock",
        ),
        (
            "",
            [
                "ERROR: failed to reproduce 'first': 'first' is busy, it is being blocked by:",
                "  (PID 7): dvc",
            ],
            "another call of dvc",
        ),
        ("", [], "dvc repro failed: no word of why"),
    ],
)
def test_the_sentence_is_the_stages_own_if_it_had_one(stage, last, told):
    assert _why(stage, last).startswith(told)


def test_a_call_that_is_stopped_ends_all_and_is_gone_on_with(project):
    project.behave({"train a-0": "slow", "train b-0": "slow"})
    process = project.start("--jobs", "2")
    wait_for(project, ["begin train a-0", "begin train b-0"])
    assert "error: a-0: another call is at it" in project.launch("a-0", code=1)
    process.send_signal(signal.SIGINT)
    since = time.monotonic()
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 128 + signal.SIGINT, said
    assert time.monotonic() - since < 55, "something did not end at Ctrl-C"
    assert "`make repro` goes on from here" in said and "failed" not in said
    own = "DVC_SITE_CACHE_DIR"  # other tests' toys may run at the same time
    left = [one.cmdline() for one in alive(project.environment[own], own)]
    assert not any("toy" in words for words in left), left
    locks = json.loads((project.folder / ".dvc/tmp/rwlock").read_text())
    assert not any(locks.values()), "a lock was left"
    project.events()
    project.behave({})
    project.launch()
    events = project.events()
    assert "begin first all" not in events and {
        "end train a-0",
        "end train b-0",
        "end compare all",
    } <= set(events)


def test_where_there_is_no_terminal_a_silent_stage_is_not_mute(project):
    project.behave({"probe a-0": "slow"})
    process = project.start("a-0")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if sum("30%" in one for one in lines) == 3:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM
    assert "a-0: probe begins" in lines
    assert re.fullmatch(r"a-0: probe: 30%, steps, loss 0\.5, after \d+ s, \d+ s left", lines[-1]), (
        lines
    )


def test_a_name_that_nothing_reads_is_refused_even_if_all_is_up_to_date(project):
    project.launch()
    with (project.folder / "params.yaml").open("a") as file:
        file.write("seed: [1]\n")
    refusal = "error: params.yaml: seed: unknown key; expected a section, or one of"
    assert refusal in project.launch(code=1)


@pytest.mark.filterwarnings("ignore")
def test_stages_have_the_names_that_dvc_gives_them(tmp_path):
    from dvc.parsing import DataResolver
    from dvc.repo import Repo

    params = read_yaml(ROOT / "params.yaml") | {"seeds": [0, 1]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    pipeline = read_yaml(ROOT / "dvc.yaml")
    with Repo.init(str(tmp_path), no_scm=True) as repo:
        expected = DataResolver(repo, str(tmp_path), pipeline).resolve()["stages"]
    found = plan(pipeline, params)
    names = [
        *found.shared,
        *(name for names in (found.seeds | found.runs).values() for name in names),
        *found.together,
    ]
    assert sorted(names) == sorted(expected)
    assert set(found.runs) == {"learned-all-0", "learned-all-1", "rotary-all-0", "rotary-all-1"}
    assert found.seeds == {
        seed: [f"generate_mazes@{seed}", f"probe_inputs@{seed}"] for seed in ("0", "1")
    }
    assert found.shared == ["digest_code"] and found.together == ["compare"]


@pytest.mark.parametrize("encodings", ["learned", [], None])
def test_what_runs_are_made_of_must_be_a_list(encodings):
    with pytest.raises(
        BadInput,
        match="train_transformer runs once for each encoding: expected a list that is not empty",
    ):
        plan(read_yaml(ROOT / "dvc.yaml"), {"encodings": encodings, "seeds": [0]})
