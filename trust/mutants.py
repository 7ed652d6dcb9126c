"""How many small changes of the code its tests notice: ``python -m trust.mutants``
(``make mutants``), for the rooms that decide what is said.

mutmut changes one operator, number, word or argument of a function at a time (a mutant) in a copy
of the project, and runs the tests of these rooms that call the function. A mutant is killed if one
of them fails. There are thousands, so a seeded sample of each room is tried.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mazewm.claims.statistics import wilson
from mazewm.io import program
from mazewm.io.errors import BadInput
from stages.imports import ROOT
from trust import records

# The files of each room, by the beginning of a mutant's name; statistics are counted by themselves.
ROOMS = {
    "statistics": "mazewm.claims.statistics.",
    "claims": "mazewm.claims.",
    "features": "mazewm.features.",
    "interventions": "mazewm.interventions.",
}
TESTED = ("claims", "features", "interventions")
MUTMUT = (sys.executable, "-m", "mutmut")
KILLED = ("killed", "timeout")  # a change that makes a test endless is noticed, too


@dataclass(frozen=True)
class Mutant:
    """One change of the code, and what the tests made of it."""

    room: str
    name: str
    outcome: str  # killed, timeout, survived, or no tests (none calls the function)
    old: str
    new: str


def clone(folder: Path) -> str:
    """Clone the last commit, with mutmut's settings; returns the commit."""
    subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
    others = {path.name for path in folder.iterdir()} - {"mazewm", "tests", "released", ".git"}
    settings = {
        "source_paths": ["mazewm"],
        "only_mutate": [f"mazewm/{room}/*" for room in TESTED],
        "also_copy": sorted(others),
        "pytest_add_cli_args_test_selection": [f"tests/{room}" for room in TESTED],
        # Shapes are not checked, since the check has to be there before the code is imported.
        "pytest_add_cli_args": [
            *("-p", "no:xdist", "-p", "no:jaxtyping"),
            *("-o", "addopts=--import-mode=importlib --strict-markers"),
        ],
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    with (folder / "pyproject.toml").open("a") as file:
        file.write("\n[tool.mutmut]\n" + "\n".join(lines) + "\n")
    return records.commit(folder)


def mutmut(folder: Path, *words: str) -> str:
    """What a command of mutmut prints; BadInput if it fails."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [*MUTMUT, *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise BadInput(f"mutmut {words[0]} in {folder}: {lines[-1] if lines else 'no output'}")
    return done.stdout


def outcomes(folder: Path) -> dict[str, str]:
    """The outcome of every mutant, by name; "not checked" where there is none."""
    lines = mutmut(folder, "results", "--all", "true").splitlines()
    return dict(line.strip().rsplit(": ", 1) for line in lines if "__mutmut_" in line)


def room_of(name: str) -> str:
    """The first of ROOMS that a mutant belongs to."""
    return next(room for room, prefix in ROOMS.items() if name.startswith(prefix))


def change(folder: Path, name: str) -> tuple[str, str]:
    """The lines that a mutant replaces, and those that it puts there."""
    lines = mutmut(folder, "show", name).splitlines()
    old = [line[1:].strip() for line in lines if line.startswith("-") and line[:3] != "---"]
    new = [line[1:].strip() for line in lines if line.startswith("+") and line[:3] != "+++"]
    return " ".join(old), " ".join(new)


def tried(folder: Path, n: int, seed: int, at_once: int) -> tuple[dict[str, int], list[Mutant]]:
    """How many mutants each room has, and a sample of ``n`` of each room, tried."""
    first = "mazewm.claims.statistics.*__mutmut_1"
    mutmut(folder, "run", first, "--max-children", str(at_once))  # makes all mutants
    by_room: dict[str, list[str]] = {room: [] for room in ROOMS}
    for name in sorted(outcomes(folder)):
        by_room[room_of(name)].append(name)
    drawn = [
        name
        for room, names in by_room.items()
        for name in random.Random(f"{seed} {room}").sample(names, min(n, len(names)))
    ]
    mutmut(folder, "run", *drawn, "--max-children", str(at_once))
    known = outcomes(folder)
    found = [Mutant(room_of(name), name, known[name], *change(folder, name)) for name in drawn]
    return {room: len(names) for room, names in by_room.items()}, found


def counted(mutants: Sequence[Mutant], n_all: Mapping[str, int]) -> dict[str, Any]:
    """For each room how many mutants there are, how many were tried and killed, with Wilson's
    interval."""
    found = dict[str, Any]()
    for room, n_room in n_all.items():
        mine = [one for one in mutants if one.room == room]
        n_killed = sum(one.outcome in KILLED for one in mine)
        interval = wilson(n_killed, len(mine))
        found[room] = {
            "n_all": n_room,
            "n": len(mine),
            "killed": n_killed,
            "low": round(interval.low, 3),
            "high": round(interval.high, 3),
        }
    return found


def main(
    sample: Annotated[int, typer.Option(min=1, help="How many mutants of each room.")] = 150,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    at_once: Annotated[int, typer.Option(min=1, help="Processes at once.")] = 2,
) -> None:
    """Try mutants of the rooms claims, features and interventions on their tests, and write to
    trust/results how many are killed, and every one that survives."""
    since = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "mazewm"
        commit = clone(folder)
        n_all, mutants = tried(folder, sample, seed, at_once)
    rooms = counted(mutants, n_all)
    content = {"commit": commit, "seed": seed, "rooms": rooms}
    records.write("mutants", content, mutants, (time.monotonic() - since) / 60)
    for room, one in rooms.items():
        typer.echo(f"{room}: {one['killed']} of {one['n']} killed ({one['n_all']} in all)")


if __name__ == "__main__":
    program.run(lambda: typer.run(main))
