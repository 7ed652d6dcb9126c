"""What is to be done where released results are and the others are not: after ``make pull``.

DVC runs every stage that misses an out, or with ``--allow-missing`` none of them. Here, stages run
whose inputs have changed, and those before them whose outs they need. So a changed parameter of the
SAEs makes the activations again, and trains no transformer.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from stages.released import is_released
from stages.repository import opened

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage


class Needed(NamedTuple):
    """Names of stages to run, and the outs that are missing without being needed."""

    stages: set[str]
    missing: list[str]


def needed() -> Needed | None:
    """What is to be done in the present folder; None if that is for DVC to say, since all results
    are there, or released ones are missing, too, or another call of DVC is at them."""
    from dvc.exceptions import DvcException

    with opened() as repo:
        outs = [out for stage in repo.index.stages for out in stage.outs]
        lost = [out for out in outs if not out.exists]
        is_known = all(out.hash_info and not is_released(out) for out in lost)
        if not lost or not is_known or not any(map(is_released, outs)):
            return None
        try:
            with repo.lock:
                wanted = set(_wanted(repo))
        except DvcException:
            return None
        names = {stage.addressing for stage in wanted}
        return Needed(names, [out.def_path for out in lost if out.stage not in wanted])


def _wanted(repo: "Repo") -> Iterator["Stage"]:
    """The stages that have changed, those that depend on them, and those whose missing outs any of
    them needs."""
    from networkx import ancestors

    graph = repo.index.graph  # from a stage to those that it depends on
    found = {stage for stage in graph if stage.changed(allow_missing=True)}
    for stage in list(found):
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
