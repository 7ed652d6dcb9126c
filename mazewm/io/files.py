"""Files that are written completely or not at all, by one process at a time: each is written under
a temporary name beside its destination, locked meanwhile, and renamed when it is complete.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mazewm.io.errors import BadInput, in_one_line

# Why a place takes no files: a full disk or quota, a disk or folder that may only be read, a file
# that may not grow, a broken disk, a file in place of a folder, a name that cannot be.
UNWRITABLE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO),
    *(errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.EMFILE, errno.ENOLCK),
}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """A context in which an OSError because nothing can be written raises BadInput for ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        named = str(error.filename or path)
        where = "" if named.startswith(str(path)) else f": {named}"
        raise BadInput(
            f"{path}: cannot be written ({os.strerror(error.errno)}{where}); what was there before "
            "is unchanged."
        ) from None


def check_room(path: Path, n_bytes: int) -> None:
    """OSError unless the disk of ``path`` has ``n_bytes`` left. Asked before a file is mapped into
    memory: when that cannot grow, the process ends without a word."""
    if shutil.disk_usage(path.parent).free < n_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


@contextmanager
def replacing(directory: Path) -> Iterator[Path]:
    """An empty folder to write into. It replaces ``directory`` if the block succeeds; if the block
    raises, it is deleted and ``directory`` stays as it was. If ``directory`` is a link to a folder,
    that folder is replaced, and the link stays.

    While the block runs, no other process can replace ``directory``: BadInput for the second one.
    What a killed process has left is deleted, unless it was killed between moving the old folder
    away and the new one into its place; then the old one is moved back. BadInput also if something
    other than a folder is there, or a folder that cannot be replaced."""
    with writing(directory):
        yield from _replacing(directory)


def _replacing(directory: Path) -> Iterator[Path]:
    target = directory.resolve() if directory.is_symlink() else directory
    beside, old = (target.with_name(target.name + suffix) for suffix in (".part", ".old"))
    _check(directory, target, old)
    if beside.is_symlink() or beside.is_file():
        beside.unlink()
    with locked(beside, f"{directory}: another process is writing it."):
        if old.is_dir() and not target.exists():
            os.replace(old, target)
        try:
            for path in beside.iterdir():
                _remove(path)
            yield beside
            _remove(old)
            if target.exists():
                os.replace(target, old)
            os.replace(beside, target)
        except BaseException:
            if old.is_dir() and not target.exists():
                os.replace(old, target)
            shutil.rmtree(beside, ignore_errors=True)
            raise
        shutil.rmtree(old, ignore_errors=True)


def _check(directory: Path, target: Path, old: Path) -> None:
    """BadInput if ``target``, which ``directory`` is or is a link to, cannot be replaced."""
    if directory.is_symlink() and not target.exists() and not old.is_dir():
        raise BadInput(f"{directory}: expected a link to a folder, found none at {target}.")
    if target.exists() and not target.is_dir():
        raise BadInput(f"{target}: expected a folder, or nothing, found a file.")
    if target.is_mount():
        raise BadInput(
            f"{target}: a disk is mounted there, so it cannot be replaced by a new folder; "
            "expected a folder on that disk."
        )


@contextmanager
def locked(folder: Path, refusal: str) -> Iterator[None]:
    """A context in which no other process locks ``folder``, which is made if it is missing;
    BadInput with the sentence ``refusal`` if another one does. The lock ends with the process,
    however that ends."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with _opened(folder, os.O_RDONLY) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise BadInput(refusal) from None
            if not _is_at(handle, folder):
                continue  # since it was opened, it was moved or deleted
            yield
            return


@contextmanager
def replacing_file(path: Path) -> Iterator[Path]:
    """A path to write a file to. It replaces ``path`` if the block succeeds; if the block raises,
    it is deleted and ``path`` stays as it was. Missing folders are created. Processes that write to
    the same ``path`` wait for each other."""
    with writing(path):
        yield from _replacing_file(path)


def _replacing_file(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    while True:
        with _opened(beside, os.O_RDWR | os.O_CREAT) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if not _is_at(handle, beside):
                continue
            try:
                yield beside
                os.replace(beside, path)
            except BaseException:
                beside.unlink(missing_ok=True)
                raise
            return


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """A file or folder as a file descriptor; locks on it end with it."""
    handle = os.open(path, flags, 0o666)
    try:
        yield handle
    finally:
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file or folder is the one at ``path``."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    """Delete a file, a link, or a folder with all that is in it, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small file completely or not at all; missing folders are created."""
    with replacing_file(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Write JSON with a final line break. Keys keep their order; NaN raises ValueError."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file. BadInput if it is missing or not JSON; ``what`` completes the
    message "expected ..."."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing; expected {what}.") from None
    except (ValueError, OSError) as error:
        raise BadInput(f"{path}: not JSON ({in_one_line(error)}); expected {what}.") from None


def file_hash(path: Path) -> str:
    """SHA-256 of a file in hexadecimal; BadInput if the file is missing."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing.") from None
