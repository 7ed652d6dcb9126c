"""What a killed DVC leaves behind and cannot read again: it writes its files in place, so a kill
meanwhile leaves a part of one, or nothing in it.
"""

import json
import shutil
import subprocess
from pathlib import Path

from mazewm.io import files
from stages.opened import opened

LOCK = Path("dvc.lock")
IN_USE = Path(".dvc/tmp/rwlock")  # what its processes read and write at the moment
ASIDE = Path(".dvc/tmp/dvc.lock.torn")
EMPTY = "schema: '2.0'\n"  # a dvc.lock without a stage


def mend() -> list[str]:
    """Mend DVC's files in the present folder; returns what was done, for people. Each is looked at
    again under the lock under which DVC writes it, so that one which is just being written is not
    taken for torn. BadInput if DVC cannot open the project.

    In place of a torn dvc.lock comes git's; what has run since then DVC finds in its cache. A
    process of DVC that outlives the tearing of the list of files in use fails at the end of its
    stage, whether or not the list is deleted."""
    said = list[str]()
    if is_torn_list(IN_USE):
        _delete_list()
        said.append(f"{IN_USE} was torn by a kill: deleted.")
    if is_torn_lock(LOCK) and (origin := _replace_lock()):
        said.append(f"{LOCK} was torn by a kill: {origin}, the torn one is {ASIDE}.")
    return said


def is_torn_lock(file: Path) -> bool:
    """Whether a dvc.lock ends within a line. One that DVC cannot read for another reason, such as
    the marks of a merge, was written by somebody, and is theirs to mend."""
    return file.exists() and not file.read_bytes().endswith(b"\n")


def is_torn_list(file: Path) -> bool:
    """Whether DVC's list of files in use is there and no JSON."""
    try:
        json.loads(file.read_bytes())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False


def _delete_list() -> None:
    from dvc.lock import make_lock

    guard = str(IN_USE.with_name(f"{IN_USE.name}.lock"))
    with opened(), make_lock(guard, tmp_dir=str(IN_USE.parent), wait=True):
        if is_torn_list(IN_USE):
            IN_USE.unlink()


def _replace_lock() -> str | None:
    """Put another dvc.lock in place of a torn one; returns which, or None if another process was
    faster."""
    from dvc.repo import lock_repo

    with opened() as repo, lock_repo(repo):
        if not is_torn_lock(LOCK):
            return None
        shutil.copyfile(LOCK, ASIDE)
        committed = _of_git()
        files.write_text(LOCK, committed or EMPTY)
    return "it is empty now" if committed is None else "it is git's again"


def _of_git() -> str | None:
    """The dvc.lock of the last commit, if there is one."""
    try:
        done = subprocess.run(["git", "show", f"HEAD:./{LOCK}"], capture_output=True, text=True)
    except FileNotFoundError:  # no git
        return None
    return None if done.returncode else done.stdout
