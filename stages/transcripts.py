"""What the commands of docs/experiments.md print: ``python -m stages.transcripts``.

The commands run in a clone of the last commit, at scale tiny with one transformer. What they print
goes to ``docs/templates/transcripts/``, which the template of the document includes.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.io.params import read_yaml
from mazewm.io.progress import console
from stages.command import command
from stages.fill_docs import TEMPLATES
from stages.imports import ROOT
from stages.live import CURVES
from stages.plain_script import as_yaml, with_settings

FOLDER = TEMPLATES / "transcripts"
TINY = ["scale=tiny", "encodings=[learned]", "objectives=[all]", "seeds=[0]"]
MOST_LINES, MOST_COLUMNS = 12, 132
PATIENCE = 1800.0  # seconds, for a queue or for the first points of a training
NOT_THE_SAME_TWICE = {
    r"file://\S*/dvc_plots": "file:///…/dvc_plots",
    r"\d\d:\d\d [AP]M": "…",
    r"\b[0-9a-f]{7}\b": "…",
}
LIVE_PLOT = "Live, held-out mazes solved"  # in dvc.yaml
SLOWER = (
    "dvc exp run -n slower --temp -S training.muon_lr=0.0003 -S scales.tiny.training.n_steps=500 "
    "-S scales.tiny.training.n_observations=20 train_transformer"
)
WATCH = "dvc plots diff --json"  # as DVC's extension for VS Code does


# By the name of the transcript, in their order. The experiments need but two stages to run again.
COMMANDS: dict[str, list[str]] = {
    "queue": [
        "dvc exp run -n accepted --queue -S behaviour.accepted=0.1 "
        "-S 'scales.tiny.behaviour.n_state_pairs=range(1,3,1)' score",
        "dvc queue start -j 2",
        "dvc queue status",
    ],
    "show": [
        "dvc exp show --md --hide-workspace --drop '.*' --keep 'Experiment|behaviour.accepted|"
        "scales.tiny.behaviour.n_state_pairs|states.trained.spelling.right.value'"
    ],
    "params": ["dvc params diff HEAD accepted-2 --md"],
    "metrics": [
        "dvc metrics diff accepted-1 accepted-2 --md --all "
        "--targets metrics/runs/learned-all-0.json"
        " | grep -E 'Metric|---|states.trained.(connection|spelling).right[.]'"
    ],
    "live": [f"{SLOWER} &", WATCH],
    "plots": [
        "dvc plots diff HEAD slower --targets artifacts/models/learned-all-0/history.csv "
        "-x step -y solved --title solved",
        'grep -o \'"title": "[^"]*"\' dvc_plots/index.html | sort -u',
    ],
}


class Recorder:
    """Runs commands in a repository whose results are up to date and committed, and keeps what
    they print."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder, self.environment = folder, dict(environment)

    def record(self) -> Iterator[tuple[str, str]]:
        """The transcripts with their names. BadInput for a command that fails or never ends."""
        try:
            for name, commands in COMMANDS.items():
                said = self._live() if name == "live" else [self._said(one) for one in commands]
                shown = zip(commands, said, strict=True)
                yield name, "\n".join(f"$ {one}\n{text}" for one, text in shown)
        finally:
            with suppress(BadInput):  # workers outlive their last task by a while
                self.run("dvc queue stop --kill")

    def run(self, words: str) -> str:
        """What a command prints to stdout; BadInput if it fails."""
        # Files and no pipes: the workers of a queue inherit them, and go on.
        with TemporaryFile("w+") as out, TemporaryFile("w+") as errors:
            done = subprocess.run(
                words, shell=True, cwd=self.folder, env=self.environment, stdout=out, stderr=errors
            )
            out.seek(0)
            errors.seek(0)
            if done.returncode:
                last = (errors.read().strip().splitlines() or ["no word of why"])[-1]
                raise BadInput(f"{words}: expected exit code 0, found {done.returncode} ({last}).")
            return out.read()

    def _said(self, words: str) -> str:
        return shortened(self._queue_at_its_end() if "queue status" in words else self.run(words))

    def _queue_at_its_end(self) -> str:
        """The table of tasks when all are done, by their names, without the line on workers."""
        late = time.monotonic() + PATIENCE
        while re.search(r"\b(Queued|Running)$", table := self._tasks(), re.MULTILINE):
            if time.monotonic() > late:
                raise BadInput(f"dvc queue: expected its end in {PATIENCE:.0f} s, found\n{table}")
            time.sleep(10)  # to ask takes a second or two by itself
        if re.search(r"\bFailed$", table, re.MULTILINE):
            raise BadInput(f"dvc queue: expected no failure, found\n{table}")
        return table

    def _tasks(self) -> str:
        head, *tasks = self.run("dvc queue status").split("\n\n")[0].splitlines()
        return "\n".join([head, *sorted(tasks, key=lambda task: task.split()[1:2])])

    def _live(self) -> list[str]:
        """The curve of a training in the background, as it is before the training has ended; and
        that training's experiment, which is then complete."""
        with TemporaryFile("w+") as heard:
            training = subprocess.Popen(
                SLOWER,
                shell=True,
                cwd=self.folder,
                env=self.environment,
                stdout=heard,
                stderr=heard,
                start_new_session=True,
            )
            try:
                points = self._points_of(training)
                with suppress(subprocess.TimeoutExpired):
                    training.wait(PATIENCE)
                if training.poll() != 0:
                    heard.seek(0)
                    last = (heard.read().strip().splitlines() or ["no word of why"])[-1]
                    raise BadInput(f"{SLOWER}: expected its end with exit code 0, found: {last}")
            finally:
                if training.poll() is None:
                    os.killpg(training.pid, signal.SIGINT)
                    training.wait()
        kept = [{key: point[key] for key in ("run", "step", "solved")} for point in points[:3]]
        shown = "".join(f"  {json.dumps(point)[:-1]}, …}},\n" for point in kept)
        return ["", f'… "{LIVE_PLOT}": …\n{shown}  …\n']

    def _points_of(self, training: subprocess.Popen[bytes]) -> list[dict[str, Any]]:
        """At least two points of a training that has not ended; BadInput if it gives none."""
        late = time.monotonic() + PATIENCE
        curves = self.folder / CURVES
        while training.poll() is None and time.monotonic() < late:
            # Looked at first, because DVC takes long to begin.
            if curves.exists() and curves.read_text().count(",slower ") >= 2:
                points = live_points(json.loads(self.run(WATCH)), "slower")
                if len(points) >= 2:
                    return points
            time.sleep(0.2)
        raise BadInput(f"{SLOWER}: expected two points in {CURVES} while it runs, found none.")


def live_points(plots: Mapping[str, Any], experiment: str) -> list[dict[str, Any]]:
    """The points of an experiment in the plot of the share of solved mazes that a training writes
    while it runs, from what ``dvc plots diff --json`` prints."""
    every = (
        one for name, some in plots.get("data", {}).items() if LIVE_PLOT in name for one in some
    )
    values = (value for one in every for value in one["content"]["data"]["values"])
    return [value for value in values if value["run"].startswith(f"{experiment} ")]


def shortened(said: str) -> str:
    """The first lines and columns, with … for what is left out or differs each time.

    >>> shortened("Task     12:05 PM\\n")
    'Task     …\\n'
    """
    for pattern, instead in NOT_THE_SAME_TWICE.items():
        said = re.sub(pattern, instead, said)
    lines = aligned([line.rstrip() for line in said.strip().splitlines()])
    lines = [line if len(line) <= MOST_COLUMNS else line[:MOST_COLUMNS] + " …" for line in lines]
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], "…"]
    return "".join(f"{line}\n" for line in lines)


def aligned(lines: list[str]) -> list[str]:
    """A Markdown table with columns no wider than what they hold; other lines as they are.

    >>> aligned(["| a    | b |", "|------|---|", "| 1    | 2 |"])
    ['| a | b |', '|---|---|', '| 1 | 2 |']
    """
    rows = {
        nth: [cell.strip() for cell in line.strip("|").split("|")]
        for nth, line in enumerate(lines)
        if line.startswith("|")
    }
    if len({len(row) for row in rows.values()}) != 1:
        return lines
    cells = [row for row in rows.values() if set("".join(row)) != {"-"}]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    made = list(lines)
    for nth, row in rows.items():
        if row in cells:
            padded = (f" {cell:{width}} " for cell, width in zip(row, widths, strict=True))
        else:
            padded = ("-" * (width + 2) for width in widths)
        made[nth] = f"|{'|'.join(padded)}|"
    return made


def environment(site: Path) -> dict[str, str]:
    """That of this process without its settings of DVC, git and Python; this interpreter first."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DVC_", "GIT_", "PYTHON"))}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "DVC_SITE_CACHE_DIR": str(site)}


def prepared(folder: Path) -> Recorder:
    """A clone of the last commit in ``folder``, with results at scale tiny up to stage score."""
    clone = folder / "mazewm"
    Recorder(ROOT, environment(folder / "site")).run(f"git clone -q . '{clone}'")
    recorder = Recorder(clone, environment(folder / "site"))
    recorder.run("git checkout -q -B main")  # whichever branch this is
    params = with_settings(read_yaml(clone / "params.yaml"), TINY)
    files.write_text(clone / "params.yaml", as_yaml(params))
    recorder.run("dvc repro -q score")
    recorder.run("git add -A")
    recorder.run("git -c user.name=mazewm -c user.email=mazewm@example.org commit -qm results")
    return recorder


def main() -> None:
    """Record all transcripts, in a clone of the last commit. Takes some minutes."""
    with TemporaryDirectory() as folder:
        console.print("the pipeline at scale tiny")
        recorder = prepared(Path(folder))
        console.print("experiments")
        recorded = dict(recorder.record())
        recorded["when"] = f"{date.today()}, with DVC {recorder.run('dvc --version')}"
    for name, text in recorded.items():  # all or none
        files.write_text(ROOT / FOLDER / f"{name}.txt", text)
    console.print(f"{FOLDER} is written; python -m stages.fill_docs puts it into the documents")


if __name__ == "__main__":
    command(main)()
