"""What is shown while runs go in parallel: a live table in a terminal, plain lines elsewhere, and
the times at the end.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from mazewm.io import files
from mazewm.io.progress import LINE_EVERY, duration


@dataclass
class Job:
    """Stages that one process brings up to date in order, and its progress."""

    name: str
    stages: list[str]
    whole: bool = False  # bring the whole pipeline up to date, and not only these stages
    allow_missing: bool = (
        False  # with ``whole``: outs that are missing are no reason to run a stage
    )
    state: str = "waiting"  # then running, then done, failed or stopped
    stage: str = ""  # without the run's name; empty while DVC checks what is up to date
    since: float = 0.0  # when the stage began, by time.monotonic()
    said: float = 0.0  # when its last line was printed, by time.monotonic()
    what: str = ""  # what the stage does, in its own words; or what a job without a stage waits for
    note: str = ""
    share: float = 0.0  # the part of the stage that is done, from 0 to 1
    left: str = ""  # the time that the stage will still take, as text
    seconds: dict[str, float] = field(default_factory=dict)  # wall-clock time of each stage

    def begin(self, stage: str) -> None:
        """Note that a stage begins now ("" for none), and how long the one before it took."""
        if self.stage:
            self.seconds[self.stage] = round(time.monotonic() - self.since, 1)
        self.stage, self.since = stage.split("@")[0], time.monotonic()
        self.said = self.since
        self.what, self.note, self.share, self.left = "", "", 0.0, ""

    def read_progress(self, file: Path) -> None:
        """Take over the progress that the stage has reported to ``file`` (``mazewm.io.progress``),
        if any."""
        try:
            told = json.loads(file.read_text())
        except (OSError, ValueError):
            return
        if self.stage and told["stage"].split("@")[0] == self.stage:
            self.what, self.note, self.share, self.left = (
                told["what"],
                told["note"],
                told["share"],
                told["left"],
            )

    def line(self) -> str:
        """The stage and its progress, in one line."""
        what = self.what if self.stage else ""
        parts = [f"{self.share:.0%}" if self.share else "", what, self.note]
        told = ", ".join(
            filter(None, (*parts, f"after {duration(time.monotonic() - self.since)}", self.left))
        )
        return f"{self.stage or self.what or 'DVC looks at what is up to date'}: {told}"


class Display:
    """Shows the progress of jobs, as a context manager."""

    def __init__(self, jobs: Sequence[Job], logs: Path) -> None:
        self.jobs, self.logs = jobs, logs
        self.console = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
        self.live = Live(
            console=self.console, get_renderable=self._table, refresh_per_second=2, transient=True
        )

    def __enter__(self) -> "Display":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.live.stop()

    def say(self, text: str, style: str = "") -> None:
        """Print a line that stays."""
        self.console.print(text, style=style)

    def heard(self, job: Job, text: str) -> None:
        """Print a line that a job's stage printed; not in a terminal, where the table shows the
        progress (the line is in the log)."""
        if not self.console.is_terminal:
            job.said = time.monotonic()
            self.say(f"{job.name}: {text}")

    def tick(self) -> None:
        """Outside a terminal, print a line for every running job that has been silent for long."""
        now = time.monotonic()
        for job in self.jobs:
            if (
                job.state == "running"
                and not self.console.is_terminal
                and now - job.said >= LINE_EVERY
            ):
                self.heard(job, job.line())

    def ended(self, job: Job, stage: str) -> None:
        """Print how long a stage took, when it has ended."""
        self.say(f"{job.name}: {stage} took {duration(job.seconds[stage])}")

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for job in self.jobs:
            names = list(dict.fromkeys(stage.split("@")[0] for stage in job.stages))
            nth = f"{names.index(job.stage) + 1} of {len(names)}" if job.stage in names else ""
            if job.state != "running":
                table.add_row(job.name, job.state)
                continue
            stage = f"{job.stage} ({nth})" if nth else job.stage or "DVC"
            bar = ProgressBar(total=1.0, completed=job.share, width=16) if job.share else ""
            after = duration(time.monotonic() - job.since)
            table.add_row(
                job.name, stage, bar, ": ".join(filter(None, (job.what, job.note))), after, job.left
            )
        return table

    def show_times(self, is_well: bool) -> None:
        """Print how long each stage took, and write it to ``times.json`` beside the logs, where
        stages that did not run keep the times of earlier calls."""
        ran = [job for job in self.jobs if job.seconds]
        if not ran:
            if is_well:
                self.say("Nothing to do: every stage is up to date.")
            return
        table = Table("time by the clock", *(job.name for job in ran))
        for stage in dict.fromkeys(stage for job in ran for stage in job.seconds):
            table.add_row(
                stage,
                *(duration(job.seconds[stage]) if stage in job.seconds else "" for job in ran),
            )
        table.add_row("all", *(duration(sum(job.seconds.values())) for job in ran))
        width = None if self.console.is_terminal else max(80, 24 + 16 * len(ran))
        Console(stderr=True, width=width).print(table)
        path = self.logs / "times.json"
        try:
            known = json.loads(path.read_text())
        except (OSError, ValueError):
            known = {}
        files.write_json(
            path, known | {job.name: known.get(job.name, {}) | job.seconds for job in ran}
        )
