"""The figures of README.md and docs/claims.md, counted again from the tables in ``artifacts/``:
``python -m trust.recount`` writes trust/results/recount.yaml, and a row for each figure; with
``--results metrics/study``, recount_study.yaml. A study's runs may be made in several clones: with
``--more`` those whose tables the clone has are counted, and added to those that are written down
and still published so.

Whoever knows docs/science.md and the tables can do this; so the modules beside this one import
nothing of the project but its one exception.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from trust.recount.published import Figures, Row, checked, compared, is_published, read_json
from trust.recount.tables import Counted, Found, Tables

METRICS = Path("metrics")
COUNTS = (questions, singles, twins, answers, corridors)


def counted(folder: Path, run: str) -> Iterator[Found]:
    """All that is counted of one run of a clone."""
    for count in COUNTS:
        yield from count(Tables(folder, run))


@dataclass(frozen=True)
class Recounted:
    """One run: every figure beside the published one, and the checks beside them."""

    run: str
    about: Mapping[str, Any]  # when, and on what
    commit: str  # of the clone
    n_checks: int
    wrong: list[str]  # what is wrong with those checks that fail
    rows: list[Row]


def recount(folder: Path, results: Path, run: str) -> Recounted:
    """Every figure of one run of a clone, beside the one that is published in its folder
    ``results``."""
    rows, n_checks, wrong = list[Row](), 0, list[str]()
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
    return Recounted(run, records.about(), records.commit(folder), n_checks, wrong, rows)


def summary(runs: Sequence[Recounted]) -> dict[str, Any]:
    """Counts, and by how much the ends of intervals differ at most."""
    rows = [row for one in runs for row in one.rows]
    return {
        "n": len(rows),
        "agree": sum(row.agrees for row in rows),
        "apart": round(max((row.apart for row in rows), default=0.0), 6),
        "n_checks": sum(one.n_checks for one in runs),
        "wrong": [said for one in runs for said in one.wrong],
        "runs": {
            one.run: {name: getattr(one, name) for name in ("about", "commit", "n_checks", "wrong")}
            for one in runs
        },
    }


def recorded(part: str) -> list[Recounted]:
    """What an earlier call has written down; nothing if there was none. BadInput if it does not say
    what it is of."""
    content, rows = records.read(part), records.rows(part, Row)
    if content and "runs" not in content:
        raise BadInput(f"{records.RESULTS / part}.yaml: runs: expected counts by run, found none.")
    return [
        Recounted(run, **about, rows=[row for row in rows if row.run == run])
        for run, about in content.get("runs", {}).items()
    ]


def still_published(part: str, results: Path, names: Collection[str]) -> Iterator[Recounted]:
    """Of these runs, the figures that are written down as they are published now. Says how many are
    left out, which must be counted again; the run's other checks are left out with them."""
    for one in recorded(part):
        if one.run not in names:
            continue
        figures = Figures.read(results, one.run)
        rows = [row for row in one.rows if is_published(row, figures)]
        if n := len(one.rows) - len(rows):
            typer.echo(f"{one.run}: figures published anew since they were counted, left out: {n}")
            one = replace(one, rows=rows, n_checks=0, wrong=[])
        if rows:
            yield one


def main(
    clone: Annotated[Path, typer.Option(help="A clone with results, of this project.")] = ROOT,
    results: Annotated[Path, typer.Option(help="The folder of its metrics.")] = METRICS,
    more: Annotated[
        bool,
        typer.Option("--more", help="Runs that are there; keep others as long as published."),
    ] = False,
) -> None:
    """Count the figures of the documents again, and write down how many agree. Exit code 1 if one
    does not, or if a choice or a table is not what it should be."""
    every = names = list(read_json(clone / results / "summary.json"))
    if more:
        tables = clone / "artifacts" / "interventions"
        names = [name for name in names if (tables / name).is_dir()]
        if not names:
            raise BadInput(f"{tables}: expected tables of runs of {results}, found none.")
    runs = [recount(clone, results, name) for name in names]
    for row in (row for one in runs for row in one.rows):
        typer.echo(line(row))
    place = (clone / results).resolve()
    part = "recount" if place == (clone / METRICS).resolve() else f"recount_{place.name}"
    kept = list(still_published(part, clone / results, set(every) - set(names))) if more else []
    found = summary([*kept, *runs])
    records.write(part, found, [row for one in (*kept, *runs) for row in one.rows])
    say(summary(runs), runs)
    if kept:
        typer.echo(f"with {len(kept)} runs of before: {found['agree']} of {found['n']} figures")
    if found["wrong"] or found["agree"] < found["n"]:
        raise typer.Exit(1)


def say(found: Mapping[str, Any], runs: Sequence[Recounted]) -> None:
    """Say what does not agree, and how much does."""
    for row in (row for one in runs for row in one.rows if not row.agrees):
        typer.echo(
            f"{row.run}: {row.figure}: published {row.shown} ({row.published}), counted "
            f"{row.recomputed}"
        )
    for said in found["wrong"]:
        typer.echo(said)
    right = found["n_checks"] - len(found["wrong"])
    typer.echo(
        f"{found['agree']} of {found['n']} figures agree; the ends of intervals differ by at most "
        f"{found['apart']}; {right} of {found['n_checks']} checks are right"
    )


def line(row: Row) -> str:
    """A figure in one line."""
    ends = [(row.low, row.high), (row.low_recomputed, row.high_recomputed)]
    both = ["" if low is None else f"[{low:.4f}, {high:.4f}]" for low, high in ends]
    numbers = f"{row.published:9.6f} {row.recomputed:9.6f} {both[0]:>17} {both[1]:>17}"
    told = "agrees " if row.agrees else "DIFFERS"
    return f"{row.run} {row.shown:>7} {numbers} {told} {row.figure}"


if __name__ == "__main__":
    program.run(lambda: typer.run(main))
