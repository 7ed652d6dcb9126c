"""Put the results into the repository: ``python -m stages.release`` (``make release``).

The outs of dvc.yaml that have the label ``released`` are pushed, as dvc.lock names them, to the
remote ``released``, objects that nothing names any more are deleted there, and a model card is
written for each run. ``make pull`` brings them back (``stages/pull.py``).
"""

from pathlib import Path

from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.io.progress import console
from stages import cards
from stages.command import command
from stages.needed import out_of_date
from stages.opened import opened
from stages.released import (
    CARDS,
    LABEL,
    OBJECTS,
    REMOTE,
    faults,
    named_by,
    object_file,
    released_outs,
    size,
    stored,
    too_large,
)


def main() -> None:
    """Release the results, if all of them are up to date."""
    written = cards.cards()  # first, since it may refuse
    n_bytes = release()
    with files.replacing(CARDS) as folder:
        for name, text in written.items():
            files.write_text(folder / f"{name}.md", text)
    console.print(
        f"{OBJECTS.parent.parent}: {len(stored())} objects, {n_bytes / 1e6:.1f} MB, and the cards "
        f"of {', '.join(written)}; git add {OBJECTS.parent.parent}",
        highlight=False,
    )


def release() -> int:
    """Make the remote hold the objects of the released outs, and no others; returns their bytes.
    BadInput, and nothing changed, if results are out of date or too large."""
    stale = out_of_date()
    if stale:
        raise BadInput(
            f"dvc status: expected everything up to date before a release, found {len(stale)} "
            f"stages that are not ({stale[0]} first); `make repro` makes them."
        )
    with opened() as repo:
        outs, cache = released_outs(repo), Path(repo.cache.local.path)
        named = named_by(outs, cache)
        n_bytes = size(object_file(md5, cache) for md5 in named)
        for fault in too_large(n_bytes):
            raise BadInput(fault)
        repo.push([out.path for out in outs], remote=REMOTE, run_cache=False)
    for md5, path in stored().items():
        if md5 not in named:
            path.unlink()
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
    for fault in faults(outs):
        raise BadInput(f"remote {LABEL}: {fault}")
    return n_bytes


if __name__ == "__main__":
    command(main)()
