"""What a killed DVC leaves behind and cannot read again: it writes its files in place, so a kill
meanwhile leaves a part of one, or nothing in it.
"""

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from stages.opened import opened

if TYPE_CHECKING:
    from dvc.repo import Repo

IN_USE = Path(".dvc/tmp/rwlock")  # what its processes read and write at the moment
LOCK = Path("dvc.lock")
KEPT = Path(".dvc/tmp/dvc.lock")  # the last dvc.lock that was read here


def mend() -> list[str]:
    """Mend DVC's files in the present folder; returns what was done, for people. Each is looked at
    under the lock under which DVC writes it, so that one which is just being written is not taken
    for torn. BadInput if DVC cannot open the project."""
    from dvc.repo import lock_repo

    said = list[str]()
    if not is_whole(IN_USE) and _is_deleted(IN_USE):
        said.append(f"{IN_USE} was torn by a kill: deleted.")
    with opened() as repo, lock_repo(repo):
        if not LOCK.exists():
            pass
        elif _can_be_read(repo):
            shutil.copyfile(LOCK, part := KEPT.with_suffix(".part"))
            os.replace(part, KEPT)
        elif KEPT.exists():
            os.replace(KEPT, LOCK)
            said.append(f"{LOCK} was torn by a kill: it is again as at the start of the last call.")
        else:
            LOCK.unlink()
            said.append(f"{LOCK} was torn by a kill: deleted.")
    return said


def is_whole(file: Path) -> bool:
    """Whether DVC can read its list of files in use, or has none."""
    try:
        json.loads(file.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


def _is_deleted(file: Path) -> bool:
    from dvc.lock import make_lock

    with make_lock(str(file.with_name(f"{file.name}.lock")), tmp_dir=str(file.parent)):
        is_torn = not is_whole(file)
        if is_torn:
            file.unlink()
    return is_torn


def _can_be_read(repo: "Repo") -> bool:
    from dvc.dvcfile import Lockfile
    from dvc.exceptions import DvcException

    try:
        Lockfile(repo, LOCK.name).load()
    except DvcException:
        return False
    return True
