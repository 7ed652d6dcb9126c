"""Outputs are whole or absent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mazewm.io import files
from mazewm.io.errors import BadInput


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def fill(directory, **texts):
    with files.replacing(directory) as folder:
        for name, text in texts.items():
            (folder / name).write_text(text)


def test_a_new_folder_is_made(tmp_path):
    fill(tmp_path / "deep" / "out", a="1", b="2")
    assert names(tmp_path) == ["deep", "deep/out", "deep/out/a", "deep/out/b"]


def test_a_new_folder_takes_the_place_of_the_old_one(tmp_path):
    fill(tmp_path / "out", a="1", b="2")
    fill(tmp_path / "out", b="3")
    assert names(tmp_path) == ["out", "out/b"]
    assert (tmp_path / "out" / "b").read_text() == "3"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_folder(tmp_path, error):
    fill(tmp_path / "out", a="1")
    with pytest.raises(error), files.replacing(tmp_path / "out") as folder:
        (folder / "a").write_text("2")
        raise error
    assert names(tmp_path) == ["out", "out/a"]
    assert (tmp_path / "out" / "a").read_text() == "1"


def test_a_block_that_fails_leaves_no_folder_where_none_was(tmp_path):
    with pytest.raises(ValueError), files.replacing(tmp_path / "out"):
        raise ValueError
    assert names(tmp_path) == []


def test_what_a_killed_block_left_is_swept_away(tmp_path):
    (tmp_path / "out.part").mkdir()
    (tmp_path / "out.part" / "half").write_text("")
    (tmp_path / "out.old").mkdir()
    fill(tmp_path / "out", a="1")
    assert names(tmp_path) == ["out", "out/a"]


def test_an_old_folder_that_a_killed_block_had_moved_away_comes_back(tmp_path):
    """Killed between its two renames: the old result is all that there is."""
    (tmp_path / "out.old").mkdir()
    (tmp_path / "out.old" / "a").write_text("1")
    (tmp_path / "out.part").mkdir()
    with pytest.raises(ValueError), files.replacing(tmp_path / "out"):
        assert (tmp_path / "out" / "a").read_text() == "1"
        raise ValueError
    assert names(tmp_path) == ["out", "out/a"]


def test_what_lies_where_the_new_folder_is_made_is_no_result(tmp_path):
    """Whatever it is: a file, or a link, whose target stays."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "a").write_text("1")
    for leave in (
        lambda path: path.write_text("half"),
        lambda path: path.symlink_to(tmp_path / "kept"),
        lambda path: path.symlink_to(tmp_path / "nowhere"),
    ):
        leave(tmp_path / "out.part")
        fill(tmp_path / "out", b="2")
        assert names(tmp_path) == ["kept", "kept/a", "out", "out/b"]


def test_a_folder_behind_a_link_is_replaced_and_the_link_stays(tmp_path):
    """Such as one on a larger disk. Twice: the second one found a link in its way once."""
    disk, link = tmp_path / "disk" / "of mine", tmp_path / "artifacts" / "out"
    disk.mkdir(parents=True)
    link.parent.mkdir()
    link.symlink_to(disk)
    for text in "12":
        fill(link, **{f"a{text}": text})
        assert link.is_symlink() and link.resolve() == disk
        assert names(tmp_path / "disk") == ["of mine", f"of mine/a{text}"]
        assert [path.name for path in link.parent.iterdir()] == ["out"]


def test_what_cannot_be_replaced_is_refused_at_the_start(tmp_path):
    link, file = tmp_path / "link", tmp_path / "file"
    link.symlink_to(tmp_path / "unplugged")
    file.write_text("1")
    to_file = tmp_path / "to file"
    to_file.symlink_to(file)
    before = names(tmp_path)
    for path, why in (
        (link, "link: expected a link to a folder, found none at .*unplugged"),
        (file, "file: expected a folder, or nothing, found a file"),
        (to_file, "file: expected a folder, or nothing, found a file"),
        (Path("/proc"), "/proc: a disk is mounted there"),
    ):
        with pytest.raises(BadInput, match=why), files.replacing(path):
            pytest.fail("the block ran")
    assert names(tmp_path) == before and file.read_text() == "1"


HOLD = """
import sys, time
from pathlib import Path
from mazewm.io import files
from mazewm.io.errors import BadInput
out, text = Path(sys.argv[1]), sys.argv[2]
try:
    with files.replacing(out) as folder:
        (folder / "a").write_text(text)
        print("writes", flush=True)
        sys.stdin.readline()
except BadInput as error:
    print(error, flush=True)
"""


def writer(out, text):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(out), text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )


def test_a_second_process_is_refused_and_the_first_one_keeps_its_result(tmp_path):
    out = tmp_path / "out"
    first = writer(out, "first")
    assert first.stdout.readline() == "writes\n"
    second = writer(out, "second")
    assert second.communicate()[0] == f"{out}: another process is writing it.\n"
    first.communicate("\n")
    assert names(tmp_path) == ["out", "out/a"] and (out / "a").read_text() == "first"


def test_what_a_process_left_when_it_was_killed_hinders_none(tmp_path):
    out = tmp_path / "out"
    fill(out, old="0")
    killed = writer(out, "killed")
    assert killed.stdout.readline() == "writes\n"
    killed.kill()
    killed.communicate()
    assert names(tmp_path) == ["out", "out.part", "out.part/a", "out/old"]
    after = writer(out, "after")
    assert after.communicate("\n")[0] == "writes\n"
    assert names(tmp_path) == ["out", "out/a"] and (out / "a").read_text() == "after"


RACE = """
import sys
from pathlib import Path
from mazewm.io import files
path, text = Path(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
for _ in range(300):
    files.write_text(path, text * 50_000)
"""


def test_two_processes_that_write_a_file_leave_one_of_both_whole(tmp_path):
    path = tmp_path / "claims.json"
    words = [sys.executable, "-c", RACE, str(path)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    both = [
        subprocess.Popen([*words, letter], stdin=subprocess.PIPE, env=environment)
        for letter in "ab"
    ]
    for process in both:
        process.stdin.write(b"\n")
        process.stdin.close()
    seen = set()
    while any(process.poll() is None for process in both):
        if path.exists():
            seen.add(path.read_text())
    assert [process.wait() for process in both] == [0, 0]
    assert seen | {path.read_text()} <= {50_000 * "a", 50_000 * "b"}
    assert names(tmp_path) == ["claims.json"]


def test_json_round_trip_keeps_the_order(tmp_path):
    path, content = tmp_path / "deep" / "x.json", {"b": [1, 2.5, None], "a": {"c": "é"}}
    files.write_json(path, content)
    assert files.read_json(path, "numbers") == content
    assert list(files.read_json(path, "numbers")) == ["b", "a"]
    assert path.read_text().endswith("}\n")
    assert names(tmp_path) == ["deep", "deep/x.json"]


@pytest.mark.parametrize("content", [float("nan"), [float("inf")], {"a": object()}])
def test_json_that_is_none_is_refused_and_the_old_file_stays(tmp_path, content):
    path = tmp_path / "x.json"
    files.write_json(path, 1)
    with pytest.raises((ValueError, TypeError)):
        files.write_json(path, content)
    assert path.read_text() == "1\n"
    assert names(tmp_path) == ["x.json"]


def test_json_that_cannot_be_read_is_named(tmp_path):
    path = tmp_path / "x.json"
    with pytest.raises(BadInput, match="x.json: the file is missing; expected numbers"):
        files.read_json(path, "numbers")
    for content in (b"", b"{", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(BadInput, match="x.json: not JSON .*; expected numbers"):
            files.read_json(path, "numbers")


def test_the_hash_of_a_file(tmp_path):
    path = tmp_path / "x"
    with pytest.raises(BadInput, match="missing"):
        files.file_hash(path)
    path.write_bytes(b"abc")
    assert (
        files.file_hash(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
