"""Stage compare: the metrics of all runs in params.yaml -> their summary, claims, curves, figures,
and a page with all of these. By hand it also compares whatever runs a folder has, such as five
seeds of some encodings and three of others: ``python -m stages.compare --results FOLDER --there``.
"""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field

from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.io.params import Distinct, Params, check, read_yaml
from mazewm.io.progress import console, progress
from mazewm.run import ENCODINGS, OBJECTIVES, Run
from stages.command import Folder, command

There = Annotated[
    bool, typer.Option("--there", help="The runs that RESULTS has, not those of params.yaml.")
]


class StudyParams(Params):
    """The scale of params.yaml, and the encodings, objectives and seeds whose combinations are the
    runs."""

    scale: str
    encodings: Annotated[list[str], Field(min_length=1), Distinct]
    objectives: Annotated[list[str], Field(min_length=1), Distinct]
    seeds: Annotated[list[int], Field(min_length=1), Distinct]

    def runs(self) -> list[Run]:
        """Every encoding with every objective and seed."""
        axes = [(e, o, s) for e in self.encodings for o in self.objectives for s in self.seeds]
        return [Run.named(f"{encoding}-{objective}-{seed}") for encoding, objective, seed in axes]


def runs_there(results: Path) -> list[Run]:
    """The runs whose metrics are in ``RESULTS/runs``, in the order in which encodings and
    objectives are listed; BadInput if there are none, or a file has the name of no run."""
    found = [Run.named(path.stem) for path in (results / "runs").glob("*.json")]
    if not found:
        raise BadInput(f"{results / 'runs'}: expected the metrics of runs, found none.")

    def place(run: Run) -> tuple[int, int, int]:
        return ENCODINGS.index(run.encoding), OBJECTIVES.index(run.objective), run.seed

    return sorted(found, key=place)


def main(results: Folder, there: There = False) -> None:
    """Compare the runs of params.yaml, read from ``RESULTS/runs`` and ``RESULTS/tables``; ignore
    other runs in these folders."""
    from mazewm.claims import compare
    from mazewm.figures import draw_comparison
    from mazewm.report import render

    content = read_yaml(Path("params.yaml"))
    study = check(
        StudyParams,
        {name: content[name] for name in StudyParams.model_fields if name in content},
        "params.yaml",
    )
    wanted = runs_there(results) if there else study.runs()
    for run in wanted:
        if not (path := results / "runs" / f"{run.name}.json").exists():
            raise BadInput(
                f"{path}: the file is missing; expected the metrics of every run that params.yaml "
                "asks for."
            )
    progress("comparing runs", 1, share=0.6)
    compared = compare(wanted, results)
    between = {"code": compared.code, "similarities": compared.similarities}
    with files.replacing(results / "curves") as folder:
        for name, frame in (compared.curves | between).items():
            frame.to_csv(folder / f"{name}.csv", index=False)
    progress("pictures", 1, share=0.3)
    with files.replacing(results / "figures" / "comparison") as folder:
        draw_comparison(folder, compared)
    files.write_json(results / "claims.json", compared.claims)
    files.write_json(results / "summary.json", compared.summary)
    progress("page", 1)
    files.write_text(results / "report.html", render(results, study.scale))
    console.print(f"{len(wanted)} runs compared; the page is {results / 'report.html'}")


if __name__ == "__main__":
    command(main)()
