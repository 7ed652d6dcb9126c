"""What an export writes is there completely or not at all, and nothing else is touched."""

import pytest

from mazewm.export.outputs import made_at
from mazewm.io.errors import BadInput


def test_what_is_written_is_there_afterwards_and_nothing_beside_it(tmp_path):
    with made_at(tmp_path / "a" / "new.zanj") as beside:
        beside.write_text("made")
        assert beside.suffix == ".zanj" and not (tmp_path / "a" / "new.zanj").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["new.zanj"]
    assert (tmp_path / "a" / "new.zanj").read_text() == "made"


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "new").mkdir()
    with made_at(tmp_path / "new") as beside:
        beside.mkdir()
        (beside / "file").write_text("made")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == [
        "new",
        "new/file",
    ]


def test_what_stops_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), made_at(tmp_path / "new") as beside:
        beside.mkdir()
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("target", ["mine", "mine/inside", "folder"])
def test_what_is_there_is_not_replaced(tmp_path, target):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadInput), made_at(tmp_path / target) as beside:
        beside.write_text("a file, which cannot replace a folder")
    assert (tmp_path / "mine").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["folder", "mine"]
