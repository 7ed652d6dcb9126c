"""``python -m trust`` (``make torture``): see docs/trust.md."""

import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from mazewm.io import program
from mazewm.io.errors import BadInput
from trust import again, interrupts, kills, loads, records, trainings
from trust.clone import Clone

TINY = {"scale": "tiny", "encodings": ["learned", "rotary"]}
PARTS = ("kills", "trainings", "interrupts", "again", "loads", "memory")
LIMIT = 4.0  # GiB, on a laptop

Parts = Annotated[list[str] | None, typer.Argument(help=f"Of {', '.join(PARTS)}; else all.")]
Kills = Annotated[int, typer.Option("--kills", min=1, help="How many commands are killed.")]
Stops = Annotated[int, typer.Option("--interrupts", min=1, help="How many are stopped by Ctrl-C.")]
Seed = Annotated[int, typer.Option(help="Of stages and moments.")]
Folder = Annotated[
    Path | None, typer.Option(help="Where clones are made, or were by an earlier call.")
]
More = Annotated[bool, typer.Option("--more", help="Add kills to those that are written down.")]
Full = Annotated[bool, typer.Option("--full", help="The laptop's training in full length.")]
Given = Annotated[
    Path | None, typer.Option("--clone", help="For memory: a clone of its own, of any scale.")
]


@dataclass(frozen=True)
class Trials:
    """What all parts share: where, how many, which moments."""

    folder: Path
    seed: int
    n_kills: int
    n_interrupts: int
    more: bool
    full: bool
    given: Path | None

    def tiny(self) -> Clone:
        """The finished clone at scale tiny, its folder's name with a blank and an accent; made if
        it is not there."""
        folder = self.folder / "blank é" / "mazewm"
        if folder.exists():
            return Clone.at(folder)
        tell(f"the clone {folder} runs once")
        one = Clone.make(folder, TINY)
        one.run_once()
        return one

    def plain(self) -> Clone:
        """A copy whose path is plain: experiments in folders of their own (``--temp``, a queue)
        bear no others."""
        folder = self.folder / "plain" / "mazewm"
        return Clone.at(folder) if folder.exists() else self.tiny().copy(folder)


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def told(rows: Iterable[Any]) -> list[Any]:
    """The rows of a part, each shown as soon as it is there. Ctrl-C ends the part; what it has
    found by then counts."""
    found = []
    try:
        for row in rows:
            tell(str(row))
            found.append(row)
    except KeyboardInterrupt:
        if not found:
            raise
        tell("Stopped: the part ends here.")
    return found


def run(part: str, trials: Trials) -> tuple[dict[str, Any], list[Any]]:
    """One part: what docs/trust.md needs, and a row for each trial."""
    if part == "kills":
        clone = trials.tiny()
        found = told(kills.kills(clone, trials.plain(), trials.n_kills, trials.seed))
        if trials.more:
            found = records.rows("kills", kills.Kill) + found
        return kills.summary(found), found
    if part == "trainings":
        clone = trainings.make(trials.folder / "training é" / "mazewm", trials.full)
        one = trainings.trained(clone, 5, trials.seed)
        bad = len(one.differ) + sum(kill.lost > one.checkpoint_every for kill in one.kills)
        return {"commit": clone.origin, "bad": bad, "full": trials.full} | asdict(one), one.kills
    if part == "interrupts":
        clone = trials.tiny()
        rows = told(interrupts.interrupts(clone, trials.n_interrupts, trials.seed))
        return {"commit": clone.origin} | interrupts.summary(rows), rows
    if part == "again":
        first = trials.tiny()
        runs = told(again.again(first, name) for name in again.CONDITIONS)
        # a processor may round otherwise; verdicts are to be the same
        bad = sum(
            len(one.verdicts_differ if again.CONDITIONS[one.condition].environment else one.differ)
            for one in runs
        )
        return {"commit": first.origin, "bad": bad, "runs": [again.record(one) for one in runs]}, []
    if part == "loads":
        plain = trials.plain()
        stages = plain.members("map_features")
        pairs = told(one(plain, stages) for one in (loads.two_at_once, loads.two_workers))
        bad = sum(bool(one.differences or one.once_more) for one in pairs)
        return {"commit": plain.origin, "bad": bad, "loads": [asdict(one) for one in pairs]}, []
    clone = Clone(trials.given.resolve()) if trials.given else trials.tiny()
    peaks = loads.peaks(clone)
    most = max(peaks.values())
    bad = sum(peak > LIMIT for peak in peaks.values())
    content = {"scale": clone.scale, "limit": LIMIT, "peaks": peaks, "most": most}
    return {"commit": clone.origin, "bad": bad} | content, []


def main(
    parts: Parts = None,
    n_kills: Kills = 100,
    n_interrupts: Stops = 8,
    seed: Seed = 0,
    folder: Folder = None,
    more: More = False,
    full: Full = False,
    given: Given = None,
) -> None:
    """Try to break the pipeline, at scale tiny in clones of the last commit, and write down what
    was found in trust/results/. Exit code 1 if anything broke."""
    for part in parts or []:
        if part not in PARTS:
            raise BadInput(f"{part}: expected one of {', '.join(PARTS)}.")
    # so that nothing is left running when this program is told to end, either
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if folder and (not str(folder.resolve()).isascii() or " " in str(folder.resolve())):
        raise BadInput(
            f"--folder {folder}: expected a path without blanks and accents, which clones in it "
            "have."
        )
    if given and not (given / "dvc.yaml").exists():
        raise BadInput(f"--clone {given}: expected a clone of this project, found no dvc.yaml.")
    with tempfile.TemporaryDirectory() as made:
        where = (folder or Path(made)).resolve()
        trials = Trials(where, seed, n_kills, n_interrupts, more, full, given)
        bad = 0
        for part in parts or PARTS:
            tell(f"# {part}")
            begun = time.monotonic()
            content, rows = run(part, trials)
            records.write(part, content, rows, (time.monotonic() - begun) / 60)
            tell(f"{part}: {records.RESULTS / part}.yaml is written; {content['bad']} broken")
            bad += content["bad"]
    if bad:
        raise typer.Exit(1)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    program.run(app)
