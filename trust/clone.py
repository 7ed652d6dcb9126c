"""A clone of this repository at scale tiny whose pipeline has run once, to be damaged and mended.

How a stage is made to run again, and not restored: what it wrote is deleted, in the folder and in
DVC's cache, together with its entry in dvc.lock and with DVC's run-cache, and this is committed. So
DVC finds no result of it anywhere, as before its first run, while all others are up to date.
"""

import atexit
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mazewm.io.errors import BadInput
from mazewm.io.files import read_json, write_json
from mazewm.io.params import parse_yaml, read_yaml
from stages import leftovers
from stages.imports import ROOT
from stages.local import RUNS
from stages.plain_script import as_yaml, with_settings
from trust.processes import MARK, alive, kill_all, start

PYTHON = Path(sys.executable)
DVC = (str(PYTHON), "-m", "dvc")
NO_OUTS = ("logs", "live", "live.csv", "paper")  # in artifacts/, and no results
CACHE = Path(".dvc/cache/files/md5")
NOBODY = "trust@invalid"
KNOWN, _KNOWN = Path(".git/trust.json"), ("lengths", "commit", "files")  # of a first run
# Variables of the caller that would reach the commands under test.
NOT_HANDED_ON = re.compile(r"DVC_|MAZEWM_PROGRESS|JOBS$|RUN$|ENGINE$|RAY_|MAKE|MFLAGS")


class Done(NamedTuple):
    """A command that has ended."""

    code: int
    said: str
    seconds: float

    @property
    def why(self) -> str:
        """The first line that says what is wrong, else the last one that says something."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        return next(
            (line for line in lines if line.lower().startswith("error")), (lines or [""])[-1]
        )


class Clone:
    """The clone, and the bytes of everything that its pipeline wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        atexit.register(kill_all, self.mark)
        self.log = folder.parent / f"{folder.name}.log"
        handed_on = {k: v for k, v in os.environ.items() if not NOT_HANDED_ON.match(k)}
        self.environment = handed_on | {
            "PATH": os.pathsep.join((str(PYTHON.parent), os.environ.get("PATH", os.defpath))),
            "PYTHONPATH": "",
            "PYTHONUNBUFFERED": "1",  # so that a line is read when it is said
            "DVC_SITE_CACHE_DIR": str(folder.parent / "site"),
            "DVC_NO_ANALYTICS": "1",
            "JOBS": "2",
            MARK: self.mark,
        }
        for role in ("AUTHOR", "COMMITTER"):
            self.environment |= {f"GIT_{role}_NAME": "trust", f"GIT_{role}_EMAIL": NOBODY}
        self.reference: dict[str, str] = {}
        self.lock: dict[str, Any] = {}
        self.lengths: dict[str, float] = {}  # seconds, by stage
        self.commit, self.branch = "", ""

    @classmethod
    def make(cls, folder: Path, changes: dict[str, Any]) -> "Clone":
        """Clone the last commit, with some parameters changed (``a.b.c``: value) and committed, and
        nothing run. BadInput if this project has no environment of its own."""
        if not (PYTHON.parent.parent / "installed").exists():
            raise BadInput(
                f"{PYTHON}: expected the Python of the environment that `make env` makes, so that "
                "`make repro` finds it installed in a clone."
            )
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "-q", str(ROOT), str(folder)], check=True)
        one = cls(folder)
        one.prepare(changes)
        return one

    def prepare(self, changes: dict[str, Any]) -> None:
        """Change some parameters, take this environment for the folder's own, and commit."""
        settings = [f"{name}={json.dumps(value)}" for name, value in changes.items()]
        params = with_settings(read_yaml(self.folder / "params.yaml"), settings)
        (self.folder / "params.yaml").write_text(as_yaml(params), encoding="utf-8")
        (self.folder / ".venv").symlink_to(PYTHON.parent.parent)
        # older than the environment, so that make takes it for installed
        for path in self.folder.glob("*.lock"):
            os.utime(path, (0, 0))
        os.utime(self.folder / "pyproject.toml", (0, 0))
        (self.folder / ".git/info/exclude").write_text(".venv\n")
        self.must("git", "commit", "-qam", "Other parameters")

    @classmethod
    def at(cls, folder: Path) -> "Clone":
        """One that an earlier call has made and run. BadInput if it is not as its first run left
        it, since it would be a bad reference."""
        one = cls(folder)
        known = read_json(folder / KNOWN, "what the first run of a clone ends with; delete it")
        one.lengths, one.commit, one.reference = (known[name] for name in _KNOWN)
        one.branch = (folder / ".git/HEAD").read_text().strip()
        one.lock = parse_yaml(one.must("git", "show", f"{one.commit}:dvc.lock"))["stages"]
        found = one.differences()
        if found:
            raise BadInput(
                f"{folder}: expected the clone as its first run left it, found {found[0]}; delete "
                "it, and it is made anew."
            )
        return one

    def run_once(self) -> None:
        """Run everything with ``dvc repro``, time each stage, commit, and take the results for the
        reference. A stage lasts until the next one begins, what DVC does for it included."""
        process = start([*DVC, "repro"], self.folder, self.environment, self.log)
        begun = list[tuple[str, float]]()
        while process.poll() is None:
            for stage in self.begun()[len(begun) :]:
                begun.append((stage, time.monotonic()))
            time.sleep(0.05)
        if process.returncode:
            raise RuntimeError(f"the first run failed:\n{self.log.read_text()[-3000:]}")
        ends = [at for _, at in begun[1:]] + [time.monotonic()]
        self.lengths = {
            stage: round(end - at, 2) for (stage, at), end in zip(begun, ends, strict=True)
        }
        self.must("git", "add", "-A")
        self.must("git", "commit", "-qm", "All results")
        self.know()
        known = (self.lengths, self.commit, self.reference)
        write_json(self.folder / KNOWN, dict(zip(_KNOWN, known, strict=True)))

    @property
    def scale(self) -> str:
        """The scale in its params.yaml."""
        return str(read_yaml(self.folder / "params.yaml")["scale"])

    @property
    def is_detached(self) -> bool:
        """Whether git has another commit checked out than that of the branch, as it has while DVC
        runs an experiment."""
        return (self.folder / ".git/HEAD").read_text().strip() != self.branch

    def torn(self) -> list[str]:
        """The files that a kill has left torn: git's lock on its index, which is only there while
        git writes it, DVC's list of files in use, and dvc.lock."""
        index = Path(".git/index.lock")
        found = {
            index: (self.folder / index).exists(),
            leftovers.IN_USE: leftovers.is_torn_list(self.folder / leftovers.IN_USE),
            leftovers.LOCK: leftovers.is_torn_lock(self.folder / leftovers.LOCK),
        }
        return [path.as_posix() for path, is_torn in found.items() if is_torn]

    def mend(self) -> None:
        """Do what docs/trust.md tells users of DVC to do about these."""
        for name in self.torn():
            (self.folder / name).unlink()
            if name == leftovers.LOCK.name:
                self.must("git", "checkout", "-q", "--", name)

    @property
    def origin(self) -> str:
        """The project's commit of which this is a clone: the last that was not made here."""
        log = self.must("git", "log", "-n", "1000", "--format=%h %ae").splitlines()
        return next(line.split()[0] for line in log if not line.endswith(NOBODY))

    def know(self) -> None:
        """Take the present state for the reference."""
        self.reference, self.lock = self.hashes(), self.read_lock()
        self.commit = self.must("git", "rev-parse", "HEAD").strip()
        self.branch = (self.folder / ".git/HEAD").read_text().strip()

    def copy(self, folder: Path) -> "Clone":
        """The same clone in another folder, its site cache beside it."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.folder), str(folder)], check=True)
        other = Clone(folder)
        other.lengths, other.lock = self.lengths, self.lock
        other.reference, other.commit, other.branch = self.reference, self.commit, self.branch
        return other

    def emptied(self, folder: Path) -> "Clone":
        """The same code and parameters in another folder, with no result and no cache."""
        other = self.copy(folder)
        other.forget(list(self.lock))
        shutil.rmtree(folder / "artifacts")
        shutil.rmtree(folder / ".dvc/cache")
        return other

    def begun(self) -> list[str]:
        """The stages of which DVC has said that they run, in order, since ``quiet``."""
        logs = sorted((self.folder / "artifacts/logs").glob("*.log"))
        texts = [path.read_text(errors="replace") for path in (self.log, *logs) if path.exists()]
        return list(dict.fromkeys(RUNS.findall("\n".join(texts))))

    def quiet(self) -> None:
        """Forget what was said so far."""
        self.log.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "artifacts/logs", ignore_errors=True)

    def call(self, *command: str) -> Done:
        """Run a command in the clone to its end."""
        begun = time.monotonic()
        self.quiet()
        process = start(command, self.folder, self.environment, self.log)
        process.wait()
        return Done(
            process.returncode,
            self.log.read_text(errors="replace"),
            round(time.monotonic() - begun, 2),
        )

    def must(self, *command: str) -> str:
        """The output of a command that is no part of the trial. RuntimeError if it fails."""
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def read_lock(self) -> dict[str, Any]:
        """The stages of dvc.lock."""
        return dict(read_yaml(self.folder / "dvc.lock")["stages"])

    def hashes(self) -> dict[str, str]:
        """MD5 of every file in artifacts/ and metrics/, by its path."""
        return {
            path.relative_to(self.folder).as_posix(): hashlib.md5(path.read_bytes()).hexdigest()
            for top in ("artifacts", "metrics")
            for path in sorted((self.folder / top).rglob("*"))
            if path.is_file() and path.relative_to(self.folder / top).parts[0] not in NO_OUTS
        }

    def members(self, stage: str) -> list[str]:
        """All stages of the same name, one for each run or seed."""
        return [one for one in self.lengths if one.split("@")[0] == stage.split("@")[0]]

    def forget(self, stages: Sequence[str]) -> None:
        """Take away all that is known of some stages, as if they had never run, and commit this."""
        lock = read_yaml(self.folder / "dvc.lock")
        for stage in stages:
            for out in lock["stages"].pop(stage)["outs"]:
                path = self.folder / out["path"]
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        (self.folder / "dvc.lock").write_text(as_yaml(lock), encoding="utf-8")
        gone = set().union(*(self._objects(self.lock[stage]) for stage in stages))
        for entry in lock["stages"].values():
            gone -= self._objects(entry)
        for name in gone:
            (self.folder / CACHE / name[:2] / name[2:]).unlink(missing_ok=True)
        shutil.rmtree(self.folder / ".dvc/cache/runs", ignore_errors=True)
        self.must("git", "commit", "-qam", f"Without {', '.join(stages)}")

    def undo(self) -> None:
        """Put the branch and dvc.lock back to the reference's commit, without touching results."""
        self.must("git", "reset", "-q", self.commit)
        self.must("git", "checkout", "-q", "--", "dvc.lock")

    def _objects(self, entry: dict[str, Any]) -> set[str]:
        """The names of the objects in DVC's cache that are a stage's outs."""
        found = {out["md5"] for out in entry["outs"]}
        for name in [name for name in found if name.endswith(".dir")]:
            path = self.folder / CACHE / name[:2] / name[2:]
            if path.exists():
                found |= {file["md5"] for file in json.loads(path.read_text())}
        return found

    def differences(self) -> list[str]:
        """What is not as in the reference: files, dvc.lock, what git sees, and what is left over.
        Puts the branch back to the reference's commit."""
        now, found = self.hashes(), list[str]()
        for path in sorted(now.keys() | self.reference.keys()):
            if now.get(path) != self.reference.get(path):
                known = "new" if path not in self.reference else "differs"
                found.append(f"{path} {'missing' if path not in now else known}")
        if self.read_lock() != self.lock:
            found.append("dvc.lock differs")
        if self.is_detached:
            self.must("git", "symbolic-ref", "HEAD", self.branch.removeprefix("ref: "))
        self.must("git", "reset", "-q", self.commit)
        status = self.must("git", "status", "--porcelain")
        # dvc.lock is compared by what it says; DVC may write its stages in another order
        found += [f"git: {line}" for line in status.splitlines() if line[3:] != "dvc.lock"]
        kept = [path.name for path in (self.folder / ".checkpoints").glob("*/*")]
        found += [f"checkpoint left: {name}" for name in kept]
        self.must("git", "checkout", "-q", "--", "dvc.lock")
        return found

    def restore(self, pristine: "Clone") -> None:
        """Replace everything by another clone, after a trial that failed."""
        assert not alive(self.mark)
        shutil.rmtree(self.folder)
        subprocess.run(["cp", "-a", str(pristine.folder), str(self.folder)], check=True)
