"""Compare whatever runs a folder of results has, such as five seeds of some encodings and three of
others: ``python -m stages.compare_there --results FOLDER``. Writes what stage compare writes.
"""

from pathlib import Path

from mazewm.io.errors import BadInput
from mazewm.run import ENCODINGS, OBJECTIVES, Run
from stages.command import Folder, command
from stages.compare import compare_runs, study_of


def runs_there(results: Path) -> list[Run]:
    """The runs whose metrics are in ``RESULTS/runs``, in the order in which encodings and
    objectives are listed; BadInput if there are none, or a file has the name of no run."""
    found = [Run.named(path.stem) for path in (results / "runs").glob("*.json")]
    if not found:
        raise BadInput(f"{results / 'runs'}: expected the metrics of runs, found none.")

    def place(run: Run) -> tuple[int, int, int]:
        return ENCODINGS.index(run.encoding), OBJECTIVES.index(run.objective), run.seed

    return sorted(found, key=place)


def main(results: Folder) -> None:
    """Compare all runs in ``RESULTS/runs``, which are of the scale that params.yaml has."""
    scale = study_of(Path("params.yaml")).scale
    compare_runs(runs_there(results), scale, results, "compare_there")


if __name__ == "__main__":
    command(main)()
