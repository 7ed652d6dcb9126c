"""Files that are written completely or not at all: each is written under a temporary name beside
its destination and renamed when it is complete.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mazewm.io.errors import BadInput


@contextmanager
def replacing(directory: Path) -> Iterator[Path]:
    """An empty folder to write into. It replaces ``directory`` if the block succeeds; if the block
    raises, it is deleted and ``directory`` stays as it was."""
    beside = directory.with_name(directory.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        yield beside
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    old = directory.with_name(directory.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        os.replace(directory, old)
    os.replace(beside, directory)
    shutil.rmtree(old, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a small file completely or not at all; missing folders are created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(text)
    os.replace(beside, path)


def write_json(path: Path, content: Any) -> None:
    """Write JSON with a final line break. Keys keep their order; NaN raises ValueError."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file. BadInput if it is missing or not JSON; ``what`` completes the
    message "expected ..."."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing; expected {what}.") from None
    except (ValueError, OSError) as error:
        raise BadInput(f"{path}: not JSON ({error}); expected {what}.") from None


def file_hash(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; BadInput if the file is missing."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing.") from None
