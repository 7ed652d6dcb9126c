"""Kill the pipeline at random moments, call it again, and compare every byte with a run that nobody
disturbed.

Before each kill a stage is forgotten (``trust.clone``), so that the command has it to do. Three in
four commands are killed while DVC does that stage (a moment of its usual length, drawn after DVC
has said that it runs), the others at any moment, the start of DVC included. Half of them are killed
as a process group, half with all processes that they have started, in whatever session: a machine
that fails. The same command must then end well and leave the same bytes.
"""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mazewm.io.errors import BadInput
from stages import leftovers
from trust.clone import DVC, PYTHON, Clone, Done
from trust.processes import POLL, alive, kill_all, kill_group, stages_of, start, wait_until_none

COMMANDS: dict[str, tuple[str, ...]] = {
    "make repro": ("make", "repro"),
    "dvc repro": (*DVC, "repro"),
    "dvc exp run": (*DVC, "exp", "run"),
    "dvc exp run --temp": (*DVC, "exp", "run", "--temp"),
    "stages.launch": (str(PYTHON), "-m", "stages.launch", "--jobs", "2"),
}
TEMP = "dvc exp run --temp"  # which cannot work in a folder with an accent
IN_PARALLEL = ("make repro", "stages.launch")
STARTING = 4.0  # seconds, about, until a command does its first stage
ORPHANS = 120.0  # seconds that what has survived the kill may need to end


@dataclass(frozen=True)
class Kill:
    """One command that was killed, and what the same command left afterwards."""

    commit: str  # of the clone
    seed: int  # of the stages and moments
    command: str
    stage: str  # forgotten before
    killed: str  # group, or all
    since: str  # stage or command: what the seconds are counted from
    seconds: float
    during: str  # stages whose commands were running, or dvc
    survivors: int  # processes that lived on, in sessions of their own
    found: str  # what was on disk
    calls: int  # of the command, until it ended well
    refused: str  # what it said if that took more than one
    redone: str  # what it did with the stage: ran, restored, nothing
    detached: bool  # in the end git is not on its branch
    differences: str  # what is not as in the undisturbed run; empty: all is well
    whole: float  # seconds that the trial took


def kills(spaced: Clone, plain: Clone, n: int, seed: int) -> Iterator[Kill]:
    """``n`` commands killed, in turn by command, each with a stage and a moment of its own."""
    drawn = random.Random(seed)
    stages = list(spaced.lengths)
    order = list[str]()
    while len(order) < n:
        drawn.shuffle(stages)
        order += stages
    pristine = {id(one): one.copy(one.folder.parent / "pristine") for one in (spaced, plain)}
    for nth, stage in enumerate(order[:n]):
        command = list(COMMANDS)[nth % len(COMMANDS)]
        clone = plain if command == TEMP else spaced
        trial = Trial(clone, command, stage, drawn, seed)
        try:
            one = trial.go()
        except (RuntimeError, BadInput) as error:  # git, dvc or dvc.lock could not even be asked
            one = trial.broken(str(error))
        if one.differences or one.calls > 1:
            kill_all(clone.mark)
            clone.restore(pristine[id(clone)])
        yield one


class Trial:
    """One kill, and what comes after it."""

    def __init__(
        self, clone: Clone, command: str, stage: str, drawn: random.Random, seed: int
    ) -> None:
        self.clone, self.command, self.drawn, self.seed = clone, command, drawn, seed
        # both runs at once where there are two jobs
        self.stages = clone.members(stage) if command in IN_PARALLEL else [stage]
        self.begun = time.monotonic()
        self.killed = drawn.choice(("group", "all"))
        self.since = drawn.choice(("stage", "stage", "stage", "command"))

    def go(self) -> Kill:
        """Forget, kill, call again, compare."""
        self.clone.forget(self.stages)
        seconds, during = self._kill()
        survivors = len(alive(self.clone.mark))
        found = self._on_disk()
        calls, last, refused = self._again()
        is_detached, redone = self.clone.is_detached, self._redone(last)
        if last.code:
            differences = [f"exit code {last.code}: {last.why}"]
        else:
            differences = self._applied(last) + self.clone.differences()
        return Kill(
            self.clone.origin,
            self.seed,
            self.command,
            " ".join(self.stages),
            self.killed,
            self.since,
            round(seconds, 2),
            " ".join(during),
            survivors,
            found,
            calls,
            refused,
            redone,
            is_detached,
            "; ".join(differences[:5]),
            round(time.monotonic() - self.begun, 1),
        )

    def broken(self, why: str) -> Kill:
        """The row of a trial that could not be brought to its end."""
        seconds = round(time.monotonic() - self.begun, 1)
        stages = " ".join(self.stages)
        given = (self.clone.origin, self.seed, self.command, stages, self.killed, self.since)
        return Kill(*given, 0.0, "", 0, "", 0, "", "", False, why, seconds)

    def _kill(self) -> tuple[float, list[str]]:
        """Start the command and kill it; drawn anew if it has ended before. Returns the seconds,
        and what was running."""
        longest = max(self.clone.lengths[stage] for stage in self.stages)
        while True:
            longest_now = longest + (STARTING if self.since == "command" else 0.0)
            seconds = self.drawn.uniform(0.0, longest_now)
            self.clone.quiet()
            process = start(
                COMMANDS[self.command],
                self.clone.folder,
                self.clone.environment,
                self.clone.log,
            )
            begun = time.monotonic() if self.since == "command" else None
            while process.poll() is None and (begun is None or time.monotonic() < begun + seconds):
                time.sleep(POLL)
                if begun is None and set(self.stages) & set(self.clone.begun()):
                    begun = time.monotonic()
            code = process.poll()
            if code is None:
                during = stages_of(alive(self.clone.mark)) or ["dvc"]
                kill_group(process)
                if self.killed == "all":
                    kill_all(self.clone.mark)
                return seconds, during
            if code:
                done = Done(code, self.clone.log.read_text(errors="replace"), seconds)
                raise RuntimeError(f"exit code {code} without a kill: {done.why}")
            if begun is None:  # the launcher runs it without a word
                self.since = "command"
            longest *= 0.7  # it has ended: this machine is faster than it was
            self.clone.undo()
            self.clone.forget(self.stages)

    def _again(self) -> tuple[int, Done, str]:
        """The same command, at once; and once more if the first call met what had survived, which
        has ended then, or a torn file, which only `make repro` mends by itself. Returns the number
        of calls, the last, and the first's words."""
        command = COMMANDS[self.command]
        mends = self.command not in IN_PARALLEL
        in_the_way = bool(alive(self.clone.mark)) or (mends and bool(self.clone.torn()))
        done = self.clone.call(*command)
        wait_until_none(self.clone.mark, ORPHANS)
        if mends:
            self.clone.mend()
        if not done.code or not in_the_way:
            return 1, done, ""
        return 2, self.clone.call(*command), done.why

    def _redone(self, last: Done) -> str:
        """What the last call did with the stage that had been forgotten."""
        if set(self.stages) & set(self.clone.begun()):
            return "ran"
        return "restored" if "is cached" in last.said else "nothing"

    def _applied(self, last: Done) -> list[str]:
        """Bring the results of an experiment that ran elsewhere into the clone; returns what is
        wrong with that."""
        if self.command != TEMP:
            return []
        names = experiments(last.said)
        if not names:
            return [f"no experiment: {last.why}"]
        done = self.clone.call(*DVC, "exp", "apply", names[-1])
        return [f"dvc exp apply: {done.why}"] if done.code else []

    def _on_disk(self) -> str:
        """What the kill has left: of the stage's outs, of files half written, of DVC's locks."""
        roots = [self.clone.folder]
        if self.command == TEMP:
            roots = sorted((self.clone.folder / ".dvc/tmp/exps/standalone").glob("tmp*"))
        found = list[str]()
        outs = [out["path"] for stage in self.stages for out in self.clone.lock[stage]["outs"]]
        for root in roots:
            there = sum((root / out).exists() for out in outs)
            found.append(f"{there} of {len(outs)} outs")
            beside = [
                path for out in outs for path in (root / out).parent.glob(f"{Path(out).name}.*")
            ]
            found += [path.name for path in beside if path.suffix in (".part", ".old")]
        if self.clone.is_detached:
            found.append("detached HEAD")
        if list((self.clone.folder / ".checkpoints").glob("*/*")):
            found.append("checkpoint")
        # what survivors are just writing is not torn
        torn = [] if alive(self.clone.mark) else self.clone.torn()
        found += [f"torn {name}" for name in torn]
        in_use = self.clone.folder / leftovers.IN_USE
        if in_use.exists() and '"pid"' in in_use.read_text():
            found.append("rwlock")
        if leftovers.LOCK.name not in torn and set(self.stages) & set(self.clone.read_lock()):
            found.append("dvc.lock knows it")
        return ", ".join(found)


def experiments(said: str) -> list[str]:
    """The experiments that a call of ``dvc exp run`` names at its end; one that was killed before
    it began runs with the next.

    >>> experiments("Ran experiment(s): boozy-eyot, mesic-akes"), experiments("error: no")
    (['boozy-eyot', 'mesic-akes'], [])
    """
    _, named, rest = said.rpartition("Ran experiment(s): ")
    return rest.partition("\n")[0].strip().split(", ") if named else []


def summary(found: Sequence[Kill]) -> dict[str, Any]:
    """Counts by command, by stage and by what was killed, for docs/trust.md."""

    def counts(of: Sequence[Kill]) -> dict[str, int]:
        return {
            "n": len(of),
            "same": sum(not one.differences for one in of),
            "ran": sum(one.redone == "ran" for one in of),
            "detached": sum(one.detached for one in of),
            "twice": sum(one.calls > 1 for one in of),
            "torn": sum("torn" in one.found for one in of),
        }

    def by(name: str) -> dict[str, dict[str, int]]:
        keys = [getattr(one, name).split(" ")[0].split("@")[0] for one in found]
        return {
            key: counts([one for one, its in zip(found, keys, strict=True) if its == key])
            for key in sorted(set(keys))
        }

    commands = {name: counts([one for one in found if one.command == name]) for name in COMMANDS}
    return {
        "commits": list(dict.fromkeys(one.commit for one in found)),
        "seeds": list(dict.fromkeys(one.seed for one in found)),
        "bad": sum(bool(one.differences) for one in found),
        "all": counts(found),
        "by_command": {name: one for name, one in commands.items() if one["n"]},
        "by_stage": by("stage"),
        "by_killed": by("killed"),
        "during": by("during"),
        "longest": max(one.whole for one in found),
        "refusals": sorted({one.refused for one in found if one.refused}),
    }
