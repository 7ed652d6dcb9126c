"""What the tests of the borders share: what a refusal looks like, and what must not change."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mazewm.io.errors import BadInput
from stages.imports import ROOT

LONGEST = 1500  # letters of a message


def snapshot(folder: Path) -> dict[str, str]:
    """Every file of a folder and what is in it."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def environment(**further: str) -> dict[str, str]:
    """The variables of a process that needs nothing of the user's."""
    own = {"PYTHONPATH": str(ROOT), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    return own | {"MAZEWM_DEVICE": "cpu", "OMP_NUM_THREADS": "1"} | further


def assert_sentence(message: str) -> None:
    """One line that can be read, ends as a sentence, and shows no code."""
    assert message.endswith("."), message
    assert "\n" not in message and len(message) < LONGEST, message[:LONGEST]
    assert "Traceback" not in message and "object at 0x" not in message, message


@contextmanager
def refused(*names: object) -> Iterator[None]:
    """A context in which BadInput is raised, with a sentence that says all of ``names``."""
    with pytest.raises(BadInput) as caught:
        yield
    assert_sentence(str(caught.value))
    for name in names:
        assert str(name) in str(caught.value), f"{name} is not named in: {caught.value}"
