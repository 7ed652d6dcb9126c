"""A DVC project with four quick stages and two runs, for tests of the launcher."""

import os
import subprocess
import sys
import time
from pathlib import Path

import yaml

from stages.imports import ROOT

TOY = {
    "stages": {
        "first": {"cmd": "python -m toy first all first", "deps": ["toy.py"], "outs": ["first"]},
        "train": {
            "matrix": (runs := {"encoding": "${encodings}", "seed": "${seeds}"}),
            "cmd": "python -m toy train ${key} train-${key}",
            "deps": ["toy.py", "first"],
            "params": ["behaviour"],
            "outs": ["train-${key}"],
        },
        "probe": {
            "matrix": runs,
            "cmd": "python -m toy probe ${key} probe-${key}",
            "deps": ["toy.py", "train-${key}"],
            "outs": ["probe-${key}"],
        },
        "compare": {
            "cmd": "python -m toy compare all metrics/claims.json",
            "deps": ["toy.py", "probe-a-0", "probe-b-0"],
            "outs": ["metrics/claims.json"],
        },
    }
}
# A stage that notes when it begins and ends, and behaves as params.yaml says for it.
TOY_STAGE = """
import os, pathlib, sys, time, yaml
from mazewm.io.errors import BadInput
from mazewm.io.progress import progress
from stages.command import command
name, run, out = sys.argv[1:]
EVENTS = os.environ.get("EVENTS", "events")

def note(what):
    with open(EVENTS, "a") as file: file.write(f"{what} {name} {run} {time.time()}\\n")

def main():
    note("begin")
    bar = progress("steps", 10)
    behaviour = yaml.safe_load(open("params.yaml"))["behaviour"].get(f"{name} {run}", "")
    if behaviour == "bad":
        raise BadInput("params.yaml: behaviour: expected good, found bad.")
    if behaviour == "crash":
        raise ValueError("a bug")
    if behaviour == "slow" or os.path.exists(f"{EVENTS}.slow-{name}-{run}"):
        bar.update(2)
        time.sleep(0.6)
        bar.update(3, "loss 0.5")
        time.sleep(60)
    if behaviour == "meet":  # waits for the other run, which must be there at the same time
        late = time.monotonic() + 200
        while sum(line.startswith(f"begin {name}") for line in open(EVENTS)) < 2:
            if time.monotonic() > late: raise BadInput("the other run did not come.")
            time.sleep(0.05)
    pathlib.Path(out).parent.mkdir(exist_ok=True)
    pathlib.Path(out).write_text('{"runs": {}, "encodings": {}, "comparison": {}}')
    note("end")

sys.argv[1:] = []
command(main)()
"""
# The launcher with plain lines more often than people need them.
LAUNCH = "import stages.display, stages.launch, stages.local; stages.display.LINE_EVERY = 0.4"
LAUNCH += "; stages.local.TICK = 0.1"
LAUNCH += "; from stages.command import command; command(stages.launch.main)()"


class Project:
    """A DVC project with four quick stages and two runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "dvc.yaml").write_text(yaml.safe_dump(TOY, sort_keys=False))
        (folder / "toy.py").write_text(TOY_STAGE)
        self.behave({})
        names = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("DVC_", "MAZEWM_PROGRESS", "JOBS", "ENGINE", "RAY_"))
        }
        self.environment = names | {
            "PYTHONPATH": str(ROOT),
            "DVC_SITE_CACHE_DIR": str(folder.parent / "site"),
            "DVC_NO_ANALYTICS": "1",
        }
        subprocess.run(
            [sys.executable, "-m", "dvc", "init", "-q", "--no-scm"],
            cwd=folder,
            env=self.environment,
            check=True,
        )

    def behave(self, behaviour: dict[str, str]) -> None:
        (self.folder / "params.yaml").write_text(
            yaml.safe_dump({"encodings": ["a", "b"], "seeds": [0], "behaviour": behaviour})
        )

    def start(self, *words: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *words],
            cwd=self.folder,
            env=self.environment,
            stderr=subprocess.STDOUT,
            stdout=subprocess.PIPE,
            text=True,
        )

    def launch(self, *words: str, code: int = 0) -> str:
        """What a call prints; it must end with this exit code."""
        process = self.start(*words)
        said = process.communicate(timeout=300)[0]
        assert process.returncode == code, said
        assert "Traceback" not in said
        return said

    def events(self) -> list[str]:
        """``begin`` or ``end``, stage and run of what ran since the last question, in order."""
        path = self.folder / "events"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return [line.rsplit(" ", 1)[0] for line in lines]


def wait_for(project: Project, events: list[str]) -> None:
    late = time.monotonic() + 300
    path = project.folder / "events"
    while not path.exists() or not all(event in path.read_text() for event in events):
        assert time.monotonic() < late, f"waited for {events}"
        time.sleep(0.05)
