"""Outputs are whole or absent."""

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
