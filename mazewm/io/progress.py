"""Progress reports of a pipeline stage: a bar in a terminal, lines in a log, or a file that the
launcher's display reads.
"""

import gc
import json
import os
import sys
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

console = Console(stderr=True, soft_wrap=True)

LINE_EVERY = 15.0  # seconds between lines when the output is not a terminal
WRITE_EVERY = 0.5  # least seconds between two writes of the launcher's file

# Thresholds of Python's garbage collector (allocations between two collections). Imports create
# about a million objects and almost no garbage; with the default threshold a small stage would
# spend a tenth of its time on collections that find nothing.
GARBAGE, GARBAGE_WHILE_IMPORTING = gc.get_threshold(), 100_000


class Progress:
    """Progress of one part of a stage, as a number of steps done out of ``total``."""

    def __init__(self, what: str, total: int, begun: float, share: float) -> None:
        self.what, self.note = what, ""
        self.done, self.total = 0, max(total, 1)
        self.begun, self.share = begun, share

    def advance(self) -> None:
        """Report that one more step is done."""
        self.update(self.done + 1)

    def update(self, done: int, note: str = "") -> None:
        """Report that ``done`` steps are done. ``note`` is further text to show, such as the loss;
        it stays until the next note."""
        self.done, self.note = done, note or self.note
        report.tell()

    @property
    def of_stage(self) -> float:
        """The share of the whole stage that is done, 0 to 1."""
        return self.begun + self.share * min(self.done / self.total, 1.0)


def progress(what: str, total: int, share: float = 1.0) -> Progress:
    """Start the stage's next part, of ``total`` steps. ``share`` is the estimated share of the
    stage's time that the part takes (0 to 1)."""
    # In the first part: imported objects stay for good, so exclude them from later collections.
    if gc.get_threshold() != GARBAGE:
        gc.freeze()
        gc.set_threshold(*GARBAGE)
    return report.next(what, total, share)


class _Report:
    """Where progress is reported: in the file named by the environment variable MAZEWM_PROGRESS if
    it is set (the launcher's display reads it); else as a bar if the output is a terminal; else as
    a plain line every LINE_EVERY seconds, even while a long step is running."""

    def __init__(self) -> None:
        self.part = Progress("", 1, 0.0, 0.0)
        self.since = self.written = time.monotonic()
        # when the first step was done, and the share of the stage that was done by then
        self.first: tuple[float, float] | None = None
        self.file = os.environ.get("MAZEWM_PROGRESS")
        self.bars: Bars | None = None
        self.ended = threading.Event()

    def start(self) -> None:
        if not self.file and not console.is_terminal:
            threading.Thread(target=self._lines, daemon=True).start()

    def stop(self) -> None:
        self.ended.set()
        if self.bars is not None:
            self.bars.stop()

    def next(self, what: str, total: int, share: float) -> Progress:
        begun = self.part.begun + self.part.share
        self.part = Progress(what, total, begun, min(share, 1.0 - begun))
        if self.bars is None and not self.file and console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.percentage:.0f}%"),
            )
            self.bars = Bars(*columns, TimeRemainingColumn(), console=console)
            self.bars.add_task("", total=1.0)
            self.bars.start()
        self.tell(now=True)
        return self.part

    def tell(self, now: bool = False) -> None:
        part = self.part
        if self.first is None and part.done:
            self.first = time.monotonic(), part.of_stage
        if self.bars is not None:
            text = ": ".join(filter(None, (part.what, part.note)))
            self.bars.update(self.bars.task_ids[0], completed=part.of_stage, description=text)
        if self.file and (now or time.monotonic() > self.written + WRITE_EVERY):
            self.written = time.monotonic()
            known = {
                "stage": os.environ.get("DVC_STAGE", ""),
                "what": part.what,
                "note": part.note,
                "share": part.of_stage,
            }
            known |= {"left": self.left()}
            beside = f"{self.file}.part"
            Path(beside).write_text(json.dumps(known))
            os.replace(beside, self.file)

    def left(self) -> str:
        """The estimated time left, from the speed since this process finished its first step (a
        resumed training may start far from zero). Empty while there is nothing to estimate from."""
        at, before = self.first or (0.0, 1.0)
        done = self.part.of_stage
        return (
            f"{duration((time.monotonic() - at) * (1 - done) / (done - before))} left"
            if before < done < 1
            else ""
        )

    def _lines(self) -> None:
        while not self.ended.wait(LINE_EVERY):
            if not self.part.what:
                continue
            parts = [
                f"{self.part.of_stage:.0%}",
                self.part.what,
                self.part.note,
                f"after {duration(time.monotonic() - self.since)}",
            ]
            parts.append(self.left())
            name = os.environ.get("DVC_STAGE") or Path(sys.argv[0]).stem
            console.print(
                f"{name}: {', '.join(filter(None, parts))}", highlight=False, markup=False
            )


def duration(seconds: float) -> str:
    """A time in readable form.

    >>> [duration(seconds) for seconds in (12.0, 200.0, 7500.0)]
    ['12 s', '3 min 20 s', '2 h 5 min']
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


report = _Report()
