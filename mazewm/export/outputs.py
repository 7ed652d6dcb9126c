"""Where an export is written: to a place that is free, and completely or not at all.

The place is named by a person, so nothing that is there is replaced or deleted.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from mazewm.io.errors import BadInput


@contextmanager
def made_at(target: Path) -> Iterator[Path]:
    """A path to write a file or a folder to, which is moved to ``target`` if the block succeeds.
    BadInput if a file or a folder that is not empty is there already, or nothing can be written
    there."""
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise BadInput(f"{target}: exists already; expected a new name.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=target.parent, prefix=f".{target.stem}-") as scratch:
            # with the target's own name, whose suffix some libraries heed
            beside = Path(scratch) / target.name
            yield beside
            os.replace(beside, target)
    except OSError as error:
        raise BadInput(
            f"{target}: cannot be written ({error.strerror or error}); expected a place for new "
            "files."
        ) from None
