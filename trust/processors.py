"""What a processor changes: the claims of the same runs, made by the same code on two processors.
``python -m trust.processors THERE/claims.json HERE/claims.json --there WORDS`` writes
trust/results/processors.yaml, and a row for each claim.

A processor with other instructions rounds sums in another order, and thousands of training steps
make of that other weights, as another seed would. The intervals of one run know nothing of this, as
they know nothing of seeds; so for every claim it is counted whether each value lies within the
interval of the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mazewm.io import program
from mazewm.io.errors import BadInput
from mazewm.io.files import read_json
from trust import records

UNMEASURED = "unmeasured"
END = ("value", "low", "high")


@dataclass(frozen=True)
class Claimed:
    """One claim of one run, as made on either processor."""

    run: str
    claim: str
    verdict_there: str
    verdict_here: str
    there: float
    low_there: float
    high_there: float
    here: float
    low_here: float
    high_here: float

    @property
    def agrees(self) -> bool:
        """Whether each value lies within the interval of the other."""
        return (
            self.low_there <= self.here <= self.high_there
            and self.low_here <= self.there <= self.high_here
        )


def compared(there: Path, here: Path) -> Iterator[Claimed]:
    """Every claim that was measured on both; BadInput if the runs or claims are not the same."""
    runs = [
        read_json(path, "the claims that stage compare writes")["runs"] for path in (there, here)
    ]
    names = [{(run, id) for run, claims in each.items() for id in claims} for each in runs]
    if strangers := sorted(names[0] ^ names[1]):
        run, id = strangers[0]
        raise BadInput(f"{here}: expected the runs and claims of {there}; {id} of {run} is in one.")
    for run, claims in runs[0].items():
        for id, one in claims.items():
            other = runs[1][run][id]
            if UNMEASURED not in (one["verdict"], other["verdict"]):
                ends = [float(each[end]) for each in (one, other) for end in END]
                yield Claimed(run, id, one["verdict"], other["verdict"], *ends)


def summary(rows: list[Claimed]) -> dict[str, Any]:
    """Counts, and the claims whose verdicts differ."""
    return {
        "n": len(rows),
        "same_verdict": sum(one.verdict_there == one.verdict_here for one in rows),
        "agree": sum(one.agrees for one in rows),
        "differ": [
            {
                "run": one.run,
                "claim": one.claim,
                "there": f"{one.verdict_there}, {one.there:.3f}",
                "here": f"{one.verdict_here}, {one.here:.3f}",
            }
            for one in rows
            if one.verdict_there != one.verdict_here
        ],
    }


def main(
    there: Annotated[Path, typer.Argument(help="claims.json that another processor made.")],
    here: Annotated[Path, typer.Argument(help="claims.json that this one made.")],
    there_words: Annotated[str, typer.Option("--there", help="That processor, in words.")],
) -> None:
    """Compare the claims that two processors made, and write down how many agree."""
    rows = list(compared(there, here))
    content = {"commit": records.commit(), "there": there_words} | summary(rows)
    records.write("processors", content, rows)
    typer.echo(
        f"{content['same_verdict']} of {content['n']} verdicts are the same, and "
        f"{content['agree']} values lie in one another's intervals"
    )


if __name__ == "__main__":
    program.run(lambda: typer.run(main))
