"""The figures of README.md and docs/claims.md, counted again from the tables in ``artifacts/``:
``python -m trust.recount`` writes trust/results/recount.yaml, and a row for each figure; with
``--results metrics/study``, recount_study.yaml.

Whoever knows docs/science.md and the tables can do this; so the modules beside this one import
nothing of the project but its one exception.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from mazewm.io import program
from mazewm.io.errors import BadInput
from stages.imports import ROOT
from trust import records
from trust.recount.answers import answers
from trust.recount.behaviour import questions, singles
from trust.recount.corridors import corridors
from trust.recount.edits import twins
from trust.recount.published import Figures, Row, checked, compared, read_json
from trust.recount.tables import Counted, Found, Tables

METRICS = Path("metrics")
COUNTS = (questions, singles, twins, answers, corridors)


def counted(folder: Path, run: str) -> Iterator[Found]:
    """All that is counted of one run of a clone."""
    for count in COUNTS:
        yield from count(Tables(folder, run))


def recount(folder: Path, results: Path = METRICS) -> tuple[list[Row], int, list[str]]:
    """Every figure of every run of a clone, beside the one that is published in its folder
    ``results``; the number of further checks, and what is wrong with those that fail."""
    rows: list[Row] = []
    n_checks, wrong = 0, []
    for run in read_json(folder / results / "summary.json"):
        try:
            figures = Figures.read(folder / results, run)
            for one in filter(figures.has, counted(folder, run)):
                if isinstance(one, Counted):
                    rows.append(compared(one, figures))
                    continue
                n_checks += 1
                if said := checked(one, figures):
                    wrong.append(f"{run}: {said}")
        except (LookupError, TypeError, ValueError) as error:
            raise BadInput(
                f"{folder}: the tables or metrics of {run} are not those of one study "
                f"({type(error).__name__}: {error})."
            ) from error
    return rows, n_checks, wrong


def summary(rows: list[Row], n_checks: int, wrong: list[str]) -> dict[str, Any]:
    """Counts, and by how much the ends of intervals differ at most."""
    return {
        "n": len(rows),
        "agree": sum(row.agrees for row in rows),
        "apart": round(max((row.apart for row in rows), default=0.0), 6),
        "n_checks": n_checks,
        "wrong": wrong,
    }


def main(
    clone: Annotated[Path, typer.Option(help="A clone with results, of this project.")] = ROOT,
    results: Annotated[Path, typer.Option(help="The folder of its metrics.")] = METRICS,
) -> None:
    """Count the figures of the documents again, and write down how many agree. Exit code 1 if one
    does not, or if a choice or a table is not what it should be."""
    rows, n_checks, wrong = recount(clone, results)
    for row in rows:
        typer.echo(line(row))
    found = summary(rows, n_checks, wrong)
    place = (clone / results).resolve()
    part = "recount" if place == (clone / METRICS).resolve() else f"recount_{place.name}"
    records.write(part, {"commit": records.commit(clone)} | found, rows)
    for row in rows:
        if not row.agrees:
            typer.echo(
                f"{row.run}: {row.figure}: published {row.shown} ({row.published}), counted "
                f"{row.recomputed}"
            )
    for said in wrong:
        typer.echo(said)
    typer.echo(
        f"{found['agree']} of {found['n']} figures agree; the ends of intervals differ by at most "
        f"{found['apart']}; {n_checks - len(wrong)} of {n_checks} checks are right"
    )
    if wrong or found["agree"] < found["n"]:
        raise typer.Exit(1)


def line(row: Row) -> str:
    """A figure in one line."""
    ends = [(row.low, row.high), (row.low_recomputed, row.high_recomputed)]
    both = ["" if low is None else f"[{low:.4f}, {high:.4f}]" for low, high in ends]
    numbers = f"{row.published:9.6f} {row.recomputed:9.6f} {both[0]:>17} {both[1]:>17}"
    told = "agrees " if row.agrees else "DIFFERS"
    return f"{row.run} {row.shown:>7} {numbers} {told} {row.figure}"


if __name__ == "__main__":
    program.run(lambda: typer.run(main))
