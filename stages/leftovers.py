"""What a killed DVC leaves behind and cannot read again."""

import json
from pathlib import Path

# What DVC's processes read and write at the moment. It is not written beside and moved into place,
# so a kill in the millisecond in which it is written leaves a part of it, or nothing in it.
IN_USE = Path(".dvc/tmp/rwlock")


def mend(file: Path = IN_USE) -> bool:
    """Delete DVC's list of files in use if it is torn: every call of DVC would fail. Returns
    whether it was. That is looked at under the lock under which DVC writes it, so that one which is
    just being written is not taken for torn."""
    if is_whole(file):
        return False
    from dvc.lock import make_lock

    with make_lock(str(file.with_name(f"{file.name}.lock")), tmp_dir=str(file.parent)):
        is_torn = not is_whole(file)
        if is_torn:
            file.unlink()
    return is_torn


def is_whole(file: Path) -> bool:
    """Whether DVC can read its list of files in use, or has none."""
    try:
        json.loads(file.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True
