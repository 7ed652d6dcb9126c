"""What is seen while runs go side by side: one live table in a terminal, plain lines anywhere else,
and the times at the end.
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
    """Stages that one process brings up to date in order, and how far it is."""

    name: str
    stages: list[str]
    whole: bool = False  # the whole pipeline is looked at, and not these stages only
    state: str = "waiting"  # then running, then done or failed
    stage: str = ""  # without the run's name; empty while DVC looks at what is up to date
    since: float = 0.0  # when the stage began, by time.monotonic()
    said: float = 0.0  # when a line of it was last printed
    what: str = ""  # the stage's own word for what it does
    note: str = ""
    share: float = 0.0  # of the stage that is done
    left: str = ""  # the time that the stage still takes
    seconds: dict[str, float] = field(default_factory=dict)  # that each stage took, by the clock

    def begin(self, stage: str) -> None:
        """Another stage runs from here on; "" for none."""
        if self.stage:
            self.seconds[self.stage] = round(time.monotonic() - self.since, 1)
        self.stage, self.since = stage.split("@")[0], time.monotonic()
        self.said = self.since
        self.what, self.note, self.share, self.left = "", "", 0.0, ""

    def read_progress(self, file: Path) -> None:
        """Take what the stage reports (``mazewm.io.progress``); nothing if it has not reported
        yet."""
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
        """How far it is, in one line."""
        parts = [f"{self.share:.0%}" if self.share else "", self.what, self.note]
        told = ", ".join(
            filter(None, (*parts, f"after {duration(time.monotonic() - self.since)}", self.left))
        )
        return f"{self.stage or 'DVC looks at what is up to date'}: {told}"


class Display:
    """Shows jobs until it is closed."""

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
        """A line that stays."""
        self.console.print(text, style=style)

    def heard(self, job: Job, text: str) -> None:
        """A line that a job's stage printed; in a terminal the table says as much, and the log has
        it."""
        if not self.console.is_terminal:
            job.said = time.monotonic()
            self.say(f"{job.name}: {text}")

    def tick(self) -> None:
        """Where there is no table, a line of every job that has been silent for long."""
        now = time.monotonic()
        for job in self.jobs:
            if (
                job.state == "running"
                and not self.console.is_terminal
                and now - job.said >= LINE_EVERY
            ):
                self.heard(job, job.line())

    def ended(self, job: Job, stage: str) -> None:
        """A stage is at its end."""
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
        """How long each stage took, also as ``times.json`` beside the logs; stages that did not run
        keep the time of the call that ran them there, and have none here."""
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
