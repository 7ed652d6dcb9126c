"""The released results: outs of dvc.yaml with the label ``released``, as objects of DVC in a folder
of the repository, the remote ``released`` of ``.dvc/config``.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mazewm.io.errors import BadInput

if TYPE_CHECKING:
    from dvc.repo import Repo

LABEL = REMOTE = "released"
FOLDER = Path("released")
OBJECTS = FOLDER / "files" / "md5"  # as in every remote of DVC: the first two digits, then the rest
CARDS = FOLDER / "cards"
MOST_BYTES = 40_000_000  # of all objects: what a clone of the repository may weigh more for them


class Out(NamedTuple):
    """A released out as dvc.lock has it; ``md5`` ends with ``.dir`` for a folder."""

    path: str
    md5: str


def released_outs(repo: "Repo") -> list[Out]:
    """The outs with the label, in the order of dvc.yaml. BadInput if there is none, or if dvc.lock
    lacks one."""
    found = [out for stage in repo.index.stages for out in stage.outs if is_released(out)]
    if not found:
        raise BadInput(f"dvc.yaml: expected outs with the label {LABEL}, found none.")
    for out in found:
        if not out.hash_info:
            raise BadInput(
                f"dvc.lock: {out.def_path}: expected its hash, found none; `make repro` makes it."
            )
    return [Out(out.def_path, str(out.hash_info.value)) for out in found]


def is_released(out: Any) -> bool:
    """Whether an out of DVC has the label."""
    return LABEL in (out.annot.labels or ())


def object_file(md5: str, objects: Path = OBJECTS) -> Path:
    """The file of an object.

    >>> object_file("c157a79031e1c40f85931829bc5fc552.dir").as_posix()
    'released/files/md5/c1/57a79031e1c40f85931829bc5fc552.dir'
    """
    return objects / md5[:2] / md5[2:]


def named_by(outs: list[Out], objects: Path) -> set[str]:
    """The hashes of all objects that outs consist of: files, and the lists of the files of folders,
    which are read from ``objects``. BadInput if a list is missing or broken."""
    found = set()
    for out in outs:
        found.add(out.md5)
        if out.md5.endswith(".dir"):
            path = object_file(out.md5, objects)
            try:
                found |= {str(entry["md5"]) for entry in json.loads(path.read_text())}
            except FileNotFoundError:
                raise BadInput(
                    f"{path}: the file is missing; expected the list of the files of {out.path}, "
                    "as dvc.lock names it."
                ) from None
            except (ValueError, TypeError, KeyError):
                raise BadInput(
                    f"{path}: expected the list of the files of {out.path}, found something else."
                ) from None
    return found


def stored(objects: Path = OBJECTS) -> dict[str, Path]:
    """The file of each object in a folder, by hash."""
    files = (path for path in sorted(objects.glob("??/*")) if path.is_file())
    return {path.parent.name + path.name: path for path in files}


def faults(outs: list[Out], objects: Path = OBJECTS) -> Iterator[str]:
    """What is wrong with the objects of a release, a sentence for each: one that is missing, that
    nothing names, or whose content is not that of its hash; too many bytes in all."""
    named, there = named_by(outs, objects), stored(objects)
    for md5 in sorted(named - there.keys()):
        yield f"{object_file(md5, objects)}: the object is missing; dvc.lock names it."
    for md5 in sorted(there.keys() - named):
        yield f"{there[md5]}: expected objects that dvc.lock names, found another."
    for md5 in sorted(there.keys() & named):
        with there[md5].open("rb") as file:
            found = hashlib.file_digest(file, "md5").hexdigest()
        if found != md5.removesuffix(".dir"):
            yield f"{there[md5]}: expected content with the hash {md5}, found {found}."
    yield from too_large(size(there.values()))


def size(files: Iterable[Path]) -> int:
    """The bytes of some files together."""
    return sum(path.stat().st_size for path in files)


def too_large(n_bytes: int, of: str = f"of outs with the label {LABEL}") -> Iterator[str]:
    """That a release of so many bytes is too large, as a sentence, if it is."""
    if n_bytes > MOST_BYTES:
        yield f"{FOLDER}: expected at most {_in_mb(MOST_BYTES)} {of}, found {_in_mb(n_bytes)}."


def _in_mb(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.1f} MB"
