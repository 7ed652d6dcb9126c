"""Where nothing can be written, or what is around the program is missing: one sentence, and what
was there stays.
"""

import errno
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from mazewm.export.outputs import made_at
from mazewm.io import files, tables, weights
from mazewm.io.program import run
from mazewm.model.training import Checkpoint
from stages.imports import ROOT
from tests.borders.fed import assert_sentence, environment, refused, snapshot

SIZE = 200_000  # bytes of the small disk


@dataclass(frozen=True)
class NumberRow:
    """A number."""

    number: tables.Real


@pytest.fixture
def disk(tmp_path):
    """A disk of SIZE bytes of its own, and a function that makes it read-only."""
    place = tmp_path / "disk"
    place.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "mazewm-test", str(place)]
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("mount: there is no such command")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield (
            place,
            lambda: subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True),
        )
    finally:
        subprocess.run(["umount", str(place)], check=True)


def folder_of_tables(path):
    with files.replacing(path) as folder:
        pd.DataFrame({"x": np.random.default_rng(0).random(100_000)}).to_csv(folder / "a.csv")


def export(path):
    with made_at(path) as beside:
        beside.mkdir()
        weights.write_tensors(beside / "w.safetensors", {"W": torch.zeros(SIZE)}, {})


WRITERS = {
    "a table": lambda path: tables.write(
        path, NumberRow, {"number": np.random.default_rng(0).random(SIZE)}
    ),
    "weights": lambda path: weights.save(path, "kind", {}, nn.Linear(500, 500)),
    "a text": lambda path: files.write_text(path, "x" * 2 * SIZE),
    "JSON": lambda path: files.write_json(path, ["x" * 2 * SIZE]),
    "a folder": folder_of_tables,
    "a checkpoint": lambda path: Checkpoint(path, "0").save({"w": torch.zeros(SIZE)}),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_said_and_what_was_there_stays(disk, name):
    place, _ = disk
    path = place / "result"
    if name in ("a folder", "a checkpoint"):
        path.mkdir()
        (path / "state.pt").write_text("what an earlier run left")
    else:
        path.write_text("what an earlier run left")
    before = snapshot(place)
    with refused(path, "cannot be written (No space left on device)"):
        WRITERS[name](path)
    assert snapshot(place) == before
    assert sorted(place.iterdir()) == [path], "nothing is left beside it"


@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_may_only_be_read(disk, name):
    place, close = disk
    (place / "result").mkdir()
    close()
    with refused(place, "cannot be written (Read-only file system)"):
        WRITERS[name](place / "result" / "new")
    assert list((place / "result").iterdir()) == []


def test_an_export_to_a_full_or_closed_disk(disk):
    place, close = disk
    with refused(place / "new", "cannot be written (No space left on device)"):
        export(place / "new")
    assert list(place.iterdir()) == []
    close()
    with refused(place / "new", "cannot be written (Read-only file system)"):
        export(place / "new")


def test_a_file_that_is_mapped_is_not_begun_without_room(disk):
    """A write to a mapped file that cannot grow ends the process without a word."""
    place, _ = disk
    files.check_room(place / "x.npy", SIZE // 2)
    with refused(place, "No space left on device"), files.writing(place):
        files.check_room(place / "x.npy", 10 * SIZE)


def test_a_stage_with_a_full_disk(disk):
    place, _ = disk
    params = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"scale": "tiny"}
    (place / "params.yaml").write_text(yaml.safe_dump(params))
    old = place / "artifacts/mazes/0/old.txt"
    old.parent.mkdir(parents=True)
    old.write_text("what an earlier run left")
    (place / "others").write_bytes(b"x" * (shutil.disk_usage(place).free - 8192))
    before = snapshot(place)
    done = stage("generate_mazes", "--seed", "0", cwd=place)
    assert_one_sentence(done, "artifacts/mazes/0", "No space left on device")
    assert snapshot(place) == before


def project(place):
    for name in ("params.yaml", "dvc.yaml"):
        (place / name).write_bytes((ROOT / name).read_bytes())


def test_the_launcher_outside_a_repository(tmp_path):
    project(tmp_path)
    before = snapshot(tmp_path)
    done = stage("launch", cwd=tmp_path)
    assert_one_sentence(done, "dvc: you are not inside of a DVC repository")
    assert snapshot(tmp_path) == before


def test_the_launcher_where_nothing_can_be_written(disk, tmp_path):
    place, close = disk
    project(place)
    (place / ".dvc").mkdir()
    (place / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    close()
    done = stage("launch", cwd=place, DVC_SITE_CACHE_DIR=str(tmp_path / "site"))
    assert_one_sentence(done, "Read-only file system")


def test_the_refusals_of_a_system(tmp_path):
    """As root, permissions do not bite; so these are raised."""
    for number in (errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        path = tmp_path / "result.json"
        path.write_text("what an earlier run left")
        with refused(path, os.strerror(number)), files.replacing_file(path):
            raise OSError(number, os.strerror(number))
        with refused(path, "/elsewhere"), files.replacing_file(path):
            raise OSError(number, os.strerror(number), "/elsewhere")
        assert path.read_text() == "what an earlier run left"
    with pytest.raises(FileNotFoundError), files.replacing_file(tmp_path / "other"):
        (tmp_path / "none").read_text()  # a mistake in the code is no full disk


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/a/b"),
            "/a/b: No space left on device.",
        ),
        (OSError("cannot"), "a file: cannot."),
        (MemoryError("Unable to allocate 9 TiB"), "(Unable to allocate 9 TiB)."),
    ],
)
def test_a_program_ends_with_one_sentence(capsys, error, says):
    def app():
        raise error

    with pytest.raises(SystemExit) as ending:
        run(app)
    assert ending.value.code == 1 and capsys.readouterr().err.strip().endswith(says)


def stage(name: str, *words: str, cwd: Path, **further: str) -> subprocess.CompletedProcess:
    """A stage in a process with next to no environment."""
    return subprocess.run(
        [sys.executable, "-m", f"stages.{name}", *words],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=cwd,
        env=environment(**further),
    )


def assert_one_sentence(done: subprocess.CompletedProcess, *names: str) -> None:
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    sentence = done.stderr.splitlines()[-1]  # what was said before is how far it came
    assert sentence.startswith("error: "), done.stderr
    assert_sentence(sentence)
    for name in names:
        assert name in sentence, sentence


@pytest.mark.parametrize("locale", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0"}, {"LC_ALL": "POSIX"}])
def test_without_home_git_and_unicode(tmp_path, locale):
    """Neither is needed to draw mazes, and the folder may have any name."""
    place = tmp_path / "fünf Gänge"
    place.mkdir()
    params = yaml.safe_load((ROOT / "params.yaml").read_text()) | {"scale": "tiny"}
    (place / "params.yaml").write_text(yaml.safe_dump(params) + "# Gänge\n", encoding="utf-8")
    done = stage("generate_mazes", "--seed", "0", cwd=place, **locale)
    assert done.returncode == 0, done.stderr
    assert len(list((place / "artifacts/mazes/0").iterdir())) == 4
    params["scales"]["tiny"]["mazes"]["n_train"] = "Gänge"
    text = yaml.safe_dump(params, allow_unicode=True)
    (place / "params.yaml").write_text(text, encoding="utf-8")
    before = snapshot(place)
    done = stage("generate_mazes", "--seed", "0", cwd=place, **locale)
    assert_one_sentence(done, "params.yaml: mazes.n_train")
    assert snapshot(place) == before
