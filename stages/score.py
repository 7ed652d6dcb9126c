"""Stage score: all tables of one run -> metrics with intervals, claims, curves and figures."""

from mazewm.io import files
from mazewm.io.params import load
from mazewm.io.progress import console, progress
from mazewm.run import Run
from stages.command import Folder, RunName, command


def main(run: RunName, results: Folder) -> None:
    """Score one run: write ``RESULTS/runs/RUN.json``, ``RESULTS/tables/RUN/`` and
    ``RESULTS/figures/RUN/``."""

    from mazewm.circuits import CircuitParams
    from mazewm.claims import RunTables, score_run
    from mazewm.figures import draw_run

    progress("scores", 1, share=0.6)
    one = Run.named(run)
    tables = RunTables.of(one)
    scored = score_run(tables, load(CircuitParams, "circuits").connectivity_threshold)
    with files.replacing(results / "tables" / one.name) as folder:
        scored.write(folder)
    progress("pictures", 1)
    with files.replacing(results / "figures" / one.name) as folder:
        draw_run(folder, one, tables, scored)
    files.write_json(results / "runs" / f"{one.name}.json", scored.metrics)
    for claim in scored.claims:
        console.print(f"{claim.id} {claim.verdict}: {claim.as_text()}")


if __name__ == "__main__":
    command(main)()
