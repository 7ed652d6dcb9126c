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
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from mazewm.io.errors import BadInput
from mazewm.io.params import read_yaml
from mazewm.io.progress import console
from stages import claims_table, leftovers
from stages.command import command
from stages.display import Display, Job
from stages.local import Start, Stopped, cores, is_up_to_date, run_now, run_steps
from stages.local import start as start_here
from stages.needed import needed

LOGS = Path("artifacts/logs")  # not tracked by DVC
ENGINES = ("local", "ray")
CODE = "digest_code"
# The names of the jobs that are not a run; those of a seed are called "seed-0".
SHARED, SEED, TOGETHER = "shared", "seed", "together"


class Plan(NamedTuple):
    """Names of stages, in the order of dvc.yaml."""

    shared: list[str]  # before all others
    seeds: dict[str, list[str]]  # by seed, what its runs share
    runs: dict[str, list[str]]  # by run
    together: list[str]  # after all runs

    def only(self, some: Set[str]) -> "Plan":
        """The same with some of its stages only, and no seed or run without any."""

        def kept(stages: list[str]) -> list[str]:
            return [stage for stage in stages if stage in some]

        seeds, runs = (
            {name: kept(stages) for name, stages in of.items() if kept(stages)}
            for of in (self.seeds, self.runs)
        )
        return Plan(kept(self.shared), seeds, runs, kept(self.together))

    def of_one(self, run: str) -> "Plan":
        """The stages of one run, and those before them."""
        seed = run.rpartition("-")[2]
        seeds, runs = (
            {name: of[name] for name in [key] if name in of}
            for key, of in ((seed, self.seeds), (run, self.runs))
        )
        return Plan(self.shared, seeds, runs, [])


def plan(pipeline: Mapping[str, Any], params: Mapping[str, Any]) -> Plan:
    """The stages of dvc.yaml by run, named as DVC names the members of a matrix:
    ``stage@value-value``. BadInput if an axis of a matrix has no values."""
    made = Plan([], {}, {}, [])
    for name, entry in (pipeline.get("stages") or {}).items():
        if "matrix" not in entry:
            (made.together if made.runs else made.shared).append(name)
            continue
        members = made.seeds if [*entry["matrix"]] == [SEED] else made.runs
        axes = [_values(name, axis, given, params) for axis, given in entry["matrix"].items()]
        for values in itertools.product(*axes):
            key = "-".join(map(str, values))
            members.setdefault(key, []).append(f"{name}@{key}")
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

    before = [*wanted.shared, *itertools.chain(*wanted.seeds.values())]
    return Cluster(before, wanted.runs).start


def main(jobs: Jobs = None, run: OneRun = None) -> None:
    """Run all stages that are not up to date."""
    wanted = plan(read_yaml(Path("dvc.yaml")), read_yaml(Path("params.yaml")))
    if run is not None and run not in wanted.runs:
        raise BadInput(f"RUN {run}: expected one of {', '.join(wanted.runs)}.")
    start = engine(wanted)
    for said in leftovers.mend():
        console.print(said, highlight=False)
    todo = needed()  # after `make pull`
    if todo is not None and CODE in todo.stages:  # whose digests decide what else has changed
        run_now([CODE])
        todo = needed()
    if todo is not None:
        wanted = wanted.only(todo.stages)
    if run:
        wanted = wanted.of_one(run)
        # ``dvc repro`` fails on a stage whose outs are being read by another call's training;
        # ``dvc status`` does not.
        before = [*wanted.shared, *itertools.chain(*wanted.seeds.values())]
        if before and is_up_to_date(before):
            wanted = Plan([], {}, wanted.runs, [])
    at_once = jobs or (cores() if start is start_here else max(1, len(wanted.runs)))
    steps = [
        [Job(SHARED, wanted.shared)] if wanted.shared else [],
        [Job(f"{SEED}-{seed}", stages) for seed, stages in wanted.seeds.items()],
        [Job(name, stages) for name, stages in wanted.runs.items()],
        [Job(TOGETHER, wanted.together, whole=True, allow_missing=todo is not None)]
        if wanted.together
        else [],
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
        if todo is not None and todo.missing:
            display.say(
                f"Not here, since nothing needs them: {', '.join(todo.missing)}. `dvc repro` makes "
                "them."
            )
    display.show_times(is_well)
    if not is_well:
        raise typer.Exit(1)
    if not run:
        claims_table.main()


if __name__ == "__main__":
    command(main)()
