"""Outputs are written beside their place and moved into it when they are whole."""

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
    """An empty folder that takes the place of ``directory`` if the block succeeds, and leaves it
    untouched if not."""
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
    """Write a small file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    beside.write_text(text)
    os.replace(beside, path)


def write_json(path: Path, content: Any) -> None:
    """JSON with a line break at the end; keys stay in order, NaN is refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file; BadInput that says ``what`` was expected otherwise."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing; expected {what}.") from None
    except (ValueError, OSError) as error:
        raise BadInput(f"{path}: not JSON ({error}); expected {what}.") from None


def file_hash(path: Path) -> str:
    """SHA-256 of a file; BadInput if it is missing."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing.") from None
