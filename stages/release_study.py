"""Put one model of each recipe of a study into the repository: ``python -m stages.release_study``.

Only what it takes to let it solve mazes and to edit its latents, in a folder (``--to``) that
``mazewm.load(name, artifacts="released/study")`` reads: of each finished run of the first seed its
weights, the SAE of its writing site, what was chosen and tried, and that seed's test mazes.
``stages/release.py`` releases all results of the runs that the repository's params.yaml has.
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.io.progress import console
from mazewm.loaded import LoadedRun
from mazewm.results import table_file
from mazewm.run import Run
from stages.command import Folder, command
from stages.compare import study_of
from stages.needed import out_of_date
from stages.released import FOLDER, size, too_large

STUDY = FOLDER / "study"
LAST = "run_interventions"  # the last stage of those whose results are copied


def files_of(run: LoadedRun) -> Iterator[Path]:
    """The files that a loaded run reads as it solves mazes with edits of its latents."""
    yield run.maze_file("test")
    yield run.weights
    yield from sorted(run.folder("locations").glob("*.json"))
    yield run.folder("saes") / f"{run.locations.writing.place}.safetensors"
    yield from (table_file(run, name) for name in ("ledger", "units"))


def copied(runs: Sequence[Run], to: Path) -> int:
    """Replace the folder ``to`` by one with the files of these runs; returns their bytes. BadInput
    if one is missing, or if they are too large."""
    wanted = [LoadedRun(run.encoding, run.objective, run.seed, run.artifacts) for run in runs]
    paths = {path: run.artifacts for run in wanted for path in files_of(run)}
    for path in paths:
        if not path.is_file():
            raise BadInput(f"{path}: the file is missing; `make repro` makes it.")
    n_bytes = size(paths)
    for fault in too_large(n_bytes, "of one model of each recipe"):
        raise BadInput(fault)
    with files.replacing(to) as folder:
        for path, artifacts in paths.items():
            there = folder / path.relative_to(artifacts)
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, there)
    return n_bytes


def main(to: Folder = STUDY) -> None:
    """Release the finished runs of the first seed of params.yaml, if they are up to date."""
    study = study_of(Path("params.yaml"))
    of_seed = [run for run in study.runs() if run.seed == study.seeds[0]]
    runs = [run for run in of_seed if table_file(run, "ledger").exists()]
    if not runs:
        raise BadInput(f"{of_seed[0].artifacts}: expected results of a run, found none.")
    stale = out_of_date([f"{LAST}@{run.name}" for run in runs])
    if stale:
        raise BadInput(
            f"dvc status: expected finished runs to be up to date, found {len(stale)} stages that "
            f"are not ({stale[0]} first); `make repro` makes them."
        )
    n_bytes = copied(runs, to)
    names = ", ".join(run.name for run in runs)
    console.print(f"{to}: {n_bytes / 1e6:.1f} MB, of {names}", highlight=False)


if __name__ == "__main__":
    command(main)()
