"""The transcripts of docs/experiments.md: what the commands of their script print here and now has
the shape of what is quoted."""

import os
import re

import pytest
from copied import Copy, first_run

from mazewm.io.errors import BadInput
from stages import transcripts
from stages.imports import ROOT
from stages.transcripts import COMMANDS, FOLDER, LIVE_PLOT, Recorder, live_points, shortened

COMMITTED = {name: (ROOT / FOLDER / f"{name}.txt").read_text() for name in COMMANDS}
N_EXPERIMENTS = 2


def commands_in(text: str) -> list[str]:
    return [line[2:] for line in text.splitlines() if line.startswith("$ ")]


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def tables(text: str) -> list[list[list[str]]]:
    """The cells of every table of a transcript, with its heads, without the line below them."""
    found = re.findall(r"^(\|.+)\n\|-.*\n((?:\|.*\n)*)", text, re.MULTILINE)
    return [[cells(row) for row in [heads, *rows.splitlines()]] for heads, rows in found]


def names_of(text: str) -> set[str]:
    """The experiments of a grid that a transcript names."""
    return set(re.findall(r"\baccepted-\d+\b", text))


def same_shape(found: dict[str, str], committed: dict[str, str]) -> None:
    """These commands; all experiments; the same columns; the same parameters and metrics, in the
    same order; the same plots."""
    for texts in (found, committed):
        assert {name: commands_in(text) for name, text in texts.items()} == COMMANDS
        every = {f"accepted-{nth + 1}" for nth in range(N_EXPERIMENTS)}
        for name in ("queue", "show"):
            assert names_of(texts[name]) == every, f"{name}: {texts[name]}"
        assert texts["queue"].count(" Success\n") == N_EXPERIMENTS
        [rows] = tables(texts["show"])
        assert len(rows) == 2 + N_EXPERIMENTS, "heads, the last commit, the experiments"
        assert all(cell.strip("-") for row in rows[2:] for cell in row), (
            f"an empty cell: {texts['show']}"
        )
        assert f'"{LIVE_PLOT}"' in texts["live"] and texts["live"].count('"run": "slower ') >= 2
        assert '"title": ' in texts["plots"]
    for name, n_same in {"show": 0, "params": 2, "metrics": 2}.items():
        [ours], [theirs] = tables(found[name]), tables(committed[name])
        heads = [[head for head in table[0] if not names_of(head)] for table in (ours, theirs)]
        assert heads[0] == heads[1], name
        if n_same:  # the file and the name
            assert [row[:n_same] for row in ours] == [row[:n_same] for row in theirs], name
    titles = [re.findall(r'"title": "(.*)"', texts["plots"]) for texts in (found, committed)]
    assert titles[0] == titles[1]
    keys = [set(re.findall(r'"(\w+)": ', texts["live"])) for texts in (found, committed)]
    assert keys[0] == keys[1]


@pytest.mark.slow
def test_the_commands_print_the_like_of_what_is_committed(tmp_path, tmp_path_factory):
    copy = Copy(first_run(tmp_path_factory, tmp_path / "mazewm").folder)
    found = dict(Recorder(copy.folder, copy.environment).record())
    same_shape(found, COMMITTED)


def test_transcripts_of_other_commands_or_shape_are_refused():
    for name, old, new in (
        ("queue", "-j 2", "-j 3"),
        ("queue", " Success\n", " Failed\n"),
        ("show", "| behaviour.accepted ", "| accepted "),
        ("show", "[accepted-2]", "[accepted-3]"),
        ("params", " behaviour.accepted ", " behaviour.rejected "),
        ("metrics", "connection.right.n", "connection.right.m"),
        ("live", '"run": "slower ', '"run": "faster '),
        ("plots", '"title": ', '"name": '),
    ):
        assert old in COMMITTED[name], f"{name} has no {old}"
        other = COMMITTED | {name: COMMITTED[name].replace(old, new)}
        with pytest.raises((AssertionError, ValueError)):
            same_shape(COMMITTED, other)
    same_shape(COMMITTED, COMMITTED)


@pytest.mark.parametrize("name", sorted(COMMITTED))
def test_transcripts_tell_nothing_of_a_machine(name):
    assert not re.search(r"/(tmp|home|work|root|Users)\b|\d:\d\d|\b[0-9a-f]{7}\b", COMMITTED[name])


def test_what_differs_each_time_is_left_out():
    said = "Task     Name   Created    Status\n3a2f5bc  x-1  12:29 PM  Success\nfile:///a/b/dvc_plots/i"
    assert shortened(said).splitlines()[1:] == ["…  x-1  …  Success", "file:///…/dvc_plots/i"]
    assert shortened("a" * 140) == "a" * transcripts.MOST_COLUMNS + " …\n"
    assert shortened("a\n" * 20) == "a\n" * transcripts.MOST_LINES + "…\n"


def test_a_command_that_fails_is_no_transcript(tmp_path):
    recorder = Recorder(tmp_path, os.environ)
    assert recorder.run("echo well") == "well\n"
    with pytest.raises(
        BadInput, match=r"^echo no >&2; exit 3: expected exit code 0, found 3 \(no\)"
    ):
        recorder.run("echo no >&2; exit 3")


def test_points_are_those_of_the_experiment_and_of_one_plot():
    values = [{"step": step, "run": run} for step in "12" for run in ("slower a", "a")]
    plots = {"data": {LIVE_PLOT: [{"content": {"data": {"values": values}}}], "Other": []}}
    assert live_points(plots, "slower") == [values[0], values[2]]
    assert live_points({"errors": []}, "slower") == []
