"""Stage compare: the metrics of all runs in params.yaml -> their summary, claims, curves, figures,
and a page with all of these.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.io.params import Distinct, Params, check, read_yaml
from mazewm.io.progress import console, progress
from mazewm.run import Run
from stages.command import Folder, command


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


def study_of(params: Path) -> StudyParams:
    """The scale and the runs of params.yaml; BadInput if it names them wrongly."""
    content = read_yaml(params)
    asked = {name: content[name] for name in StudyParams.model_fields if name in content}
    return check(StudyParams, asked, str(params))


def compare_runs(runs: Sequence[Run], scale: str, results: Path, by: str) -> None:
    """Compare runs of one scale whose metrics are in ``RESULTS/runs`` and ``RESULTS/tables``, and
    write what is found beside them; ``by`` is the name of the stage."""
    from mazewm.claims import compare
    from mazewm.figures import draw_comparison
    from mazewm.report import render

    progress("comparing runs", 1, share=0.6)
    compared = compare(runs, results)
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
    files.write_text(results / "report.html", render(results, scale, by))
    console.print(f"{len(runs)} runs compared; the page is {results / 'report.html'}")


def main(results: Folder) -> None:
    """Compare the runs of params.yaml, read from ``RESULTS/runs`` and ``RESULTS/tables``; ignore
    other runs in these folders."""
    study = study_of(Path("params.yaml"))
    for run in study.runs():
        if not (path := results / "runs" / f"{run.name}.json").exists():
            raise BadInput(
                f"{path}: the file is missing; expected the metrics of every run that params.yaml "
                "asks for."
            )
    compare_runs(study.runs(), study.scale, results, "compare")


if __name__ == "__main__":
    command(main)()
