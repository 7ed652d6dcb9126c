"""What a node of a cluster is given of its own run, where it is to do some of the run's stages
only: the outs that these read, of stages that it does not do.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from stages.opened import opened


class Out(NamedTuple):
    """An out of a stage on this machine."""

    path: str
    stage: str
    is_cached: bool  # by DVC; else git carries it, and DVC cannot push it


class Links:
    """Which stage of the project reads what, and which makes it."""

    def __init__(self) -> None:
        """Read the project in the present folder. BadInput if DVC cannot."""
        with opened() as repo:
            stages = repo.index.stages
            self.reads = {one.addressing: [dep.def_path for dep in one.deps] for one in stages}
            self.outs = [
                Out(out.def_path, one.addressing, bool(out.use_cache))
                for one in stages
                for out in one.outs
            ]

    def given(self, stages: Sequence[str], shared: Sequence[str]) -> list[Out]:
        """The outs that some stages read and that neither they make nor the shared ones."""
        others = [out for out in self.outs if out.stage not in {*stages, *shared}]
        read = {path for name in stages for path in self.reads[name]}
        return [out for out in others if any(_overlap(out.path, path) for path in read)]


def files_in(outs: Sequence[Out]) -> dict[str, bytes]:
    """The files of outs, by path."""
    tops = [Path(out.path) for out in outs]
    files = [path for top in tops for path in (sorted(top.rglob("*")) if top.is_dir() else [top])]
    return {path.as_posix(): path.read_bytes() for path in files if path.is_file()}


def _overlap(one: str, other: str) -> bool:
    """Whether two paths are the same, or one is inside the other."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")
