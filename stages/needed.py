"""What is to be done where released results are and the others are not: after ``make pull``.

DVC runs every stage that misses an out, or with ``--allow-missing`` none of them. Here, stages run
whose inputs have changed, and those before them whose outs they need. So a changed parameter of the
SAEs makes the activations again, and trains no transformer.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from stages.local import BUSY
from stages.opened import opened
from stages.released import is_released

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage


class Needed(NamedTuple):
    """Names of stages to run, and the outs that are missing without being needed."""

    stages: set[str]
    missing: list[str]


def needed() -> Needed | None:
    """What is to be done in the present folder; None if that is for DVC to say, since all results
    are there, or released ones are missing, too, without a reason to make them again. Waits for
    another call of DVC that has its lock. BadInput if DVC cannot read the project."""
    from dvc.repo import lock_repo

    # with the lock from the beginning, so that dvc.lock is read as the other call has left it
    with opened() as repo, lock_repo(repo):
        outs = [out for stage in repo.index.stages for out in stage.outs]
        lost = [out for out in outs if not out.exists]
        if not lost or not any(map(is_released, outs)):
            return None
        changed = {stage for stage in repo.index.graph if _has_changed(stage)}
        if any(is_released(out) and out.stage not in changed for out in lost):
            return None
        wanted = set(_wanted(repo, changed))
        names = {stage.addressing for stage in wanted}
        return Needed(names, [out.def_path for out in lost if out.stage not in wanted])


def out_of_date(targets: Sequence[str] = ()) -> list[str]:
    """The stages that are out of date, all or of some targets only. After ``make pull`` what is
    missing without being needed is not. BadInput if DVC cannot read the project."""
    todo = needed()
    if todo is not None:  # with all that depend on one that has changed
        return sorted(todo.stages & set(targets) if targets else todo.stages)
    with opened() as repo:
        return sorted(repo.status(list(targets) or None, with_deps=bool(targets)))


def _has_changed(stage: "Stage") -> bool:
    """Whether a stage has changed. One whose outs or deps another call is just writing has: that
    call has found so."""
    from dvc.lock import LockError

    try:
        return bool(stage.changed(allow_missing=True))
    except LockError as error:
        if BUSY not in str(error):
            raise
        return True


def _wanted(repo: "Repo", changed: set["Stage"]) -> Iterator["Stage"]:
    """The stages that have changed, those that depend on them, and those whose missing outs any of
    them needs."""
    from networkx import ancestors

    graph = repo.index.graph  # from a stage to those that it depends on
    found = set(changed)
    for stage in changed:
        found |= ancestors(graph, stage)
    waiting = list(found)
    while waiting:
        stage = waiting.pop()
        yield stage
        gone = [dep.fs_path for dep in stage.deps if not dep.exists]
        for earlier in set(graph.successors(stage)) - found:
            lost = [out.fs_path for out in earlier.outs if not out.exists]
            if any(path == out or path.startswith(f"{out}/") for path in gone for out in lost):
                found.add(earlier)
                waiting.append(earlier)
