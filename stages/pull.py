"""Bring the released results into ``artifacts/``: ``python -m stages.pull`` (``make pull``).

They are in the repository, so that no network is needed (``stages/release.py``).
"""

from mazewm.io.errors import BadInput
from mazewm.io.progress import console
from stages.command import command
from stages.opened import opened
from stages.released import OBJECTS, REMOTE, named_by, object_file, released_outs


def main() -> None:
    """Pull the released outs; refuses if an object is missing, or if other results are there."""
    if not OBJECTS.is_dir():
        raise BadInput(
            f"{OBJECTS}: the folder is missing; expected released results. `make repro` makes them."
        )
    with opened() as repo:
        outs = released_outs(repo)
        missing = [md5 for md5 in named_by(outs, OBJECTS) if not object_file(md5).exists()]
        if missing:
            raise BadInput(
                f"{object_file(min(missing))}: the object is missing; expected every one that "
                "dvc.lock names. `make repro` makes the results."
            )
        repo.pull([out.path for out in outs], remote=REMOTE)
    console.print(f"{len(outs)} results are in artifacts/; `make repro` finds them up to date.")


if __name__ == "__main__":
    command(main)()
