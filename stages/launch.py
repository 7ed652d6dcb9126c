"""Run all stages that are not up to date, several runs in parallel: ``python -m stages.launch``
(``make repro``).

A run is one transformer with all its results: one member of the matrix in dvc.yaml. DVC decides
what is up to date and handles its locks; this module only decides what goes in parallel. First come
the stages that all runs share, then one ``dvc repro`` for each run, as many at once as there are
cores, then the stages that compare the runs. ENGINE says where runs go: ``local``, on this machine,
or ``ray``, on a cluster of several.
"""

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from mazewm.io.errors import BadInput
from mazewm.io.params import read_yaml
from stages import claims_table
from stages.command import command
from stages.display import Display, Job
from stages.local import Start, Stopped, cores, is_up_to_date, run_steps
from stages.local import start as start_here

LOGS = Path("artifacts/logs")  # not tracked by DVC
ENGINES = ("local", "ray")
SHARED, TOGETHER = "shared", "together"  # the names of the jobs that are not a run


class Plan(NamedTuple):
    """Names of stages, in the order of dvc.yaml."""

    shared: list[str]  # before all runs
    runs: dict[str, list[str]]  # by run
    together: list[str]  # after all runs


def plan(pipeline: Mapping[str, Any], params: Mapping[str, Any]) -> Plan:
    """The stages of dvc.yaml by run, named as DVC names the members of a matrix:
    ``stage@value-value``. BadInput if an axis of a matrix has no values."""
    made = Plan([], {}, [])
    for name, entry in (pipeline.get("stages") or {}).items():
        if "matrix" not in entry:
            (made.together if made.runs else made.shared).append(name)
            continue
        axes = [_values(name, axis, given, params) for axis, given in entry["matrix"].items()]
        for values in itertools.product(*axes):
            run = "-".join(map(str, values))
            made.runs.setdefault(run, []).append(f"{name}@{run}")
    return made


def _values(stage: str, axis: str, given: Any, params: Mapping[str, Any]) -> list[Any]:
    """The values of a matrix axis: a list, or ``${key}`` with the key of a list in params.yaml."""
    values = params.get(given[2:-1]) if isinstance(given, str) else given
    if not isinstance(values, list) or not values:
        raise BadInput(
            f"params.yaml: {stage} runs once for each {axis}: expected a list that is not empty, "
            f"found {values!r}."
        )
    return values


OneRun = Annotated[
    str | None,
    typer.Argument(
        help="One run only, such as rotary-all-0; without it all, and their comparison."
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        envvar="JOBS", min=1, help="Runs at once; else as many as cores, or with ray all."
    ),
]


def engine(wanted: Plan) -> Start:
    """The engine that the environment names. BadInput if it is not one, or cannot work."""
    name = os.environ.get("ENGINE", "local")
    if name not in ENGINES:
        raise BadInput(f"ENGINE={name}: expected one of {', '.join(ENGINES)}.")
    if name == "local":
        return start_here
    from stages.cluster import Cluster

    return Cluster(wanted.shared, wanted.runs).start


def main(jobs: Jobs = None, run: OneRun = None) -> None:
    """Run all stages that are not up to date."""
    wanted = plan(read_yaml(Path("dvc.yaml")), read_yaml(Path("params.yaml")))
    if run is not None and run not in wanted.runs:
        raise BadInput(f"RUN {run}: expected one of {', '.join(wanted.runs)}.")
    chosen = {run: wanted.runs[run]} if run else wanted.runs
    start = engine(wanted)
    at_once = jobs or (cores() if start is start_here else len(chosen))
    # ``dvc repro`` fails on a stage whose outs are being read by another call's training; ``dvc
    # status`` does not.
    has_shared = run is not None and is_up_to_date(wanted.shared)
    steps = [
        [Job(SHARED, wanted.shared)] if wanted.shared and not has_shared else [],
        [Job(name, stages) for name, stages in chosen.items()],
        [Job(TOGETHER, wanted.together, whole=True)] if wanted.together and not run else [],
    ]
    with Display([job for step in steps for job in step], LOGS) as display:
        try:
            is_well = run_steps(steps, start, at_once, LOGS, display)
        except Stopped as stopped:
            display.say(
                "Stopped. `make repro` goes on from here: finished stages are kept, a training "
                "resumes at its last checkpoint."
            )
            raise typer.Exit(128 + stopped.signal) from None
    display.show_times(is_well)
    if not is_well:
        raise typer.Exit(1)
    if not run:
        claims_table.main()


if __name__ == "__main__":
    command(main)()
