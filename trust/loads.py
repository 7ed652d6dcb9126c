"""Several calls at once, and the memory that each stage needs."""

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from trust.clone import DVC, Clone, Done
from trust.processes import alive, kill_all, start, wait_until_none

GIB = 2**30
PATIENCE = 900.0  # seconds for all of a queue
SAMPLE = 0.05  # seconds between two looks at the processes


@dataclass(frozen=True)
class Load:
    """Calls beside each other, and what they left."""

    what: str
    codes: list[int]  # exit codes of the calls
    said: list[str]  # the last lines of those that did not end well
    differences: list[str]  # from the reference, after the calls have ended
    once_more: str  # of one further call, if a call did not end well: what differs then
    seconds: float


def two_at_once(clone: Clone, stages: Sequence[str]) -> Load:
    """Two ``dvc repro`` started together with the same stages to do."""
    clone.forget(stages)
    clone.quiet()
    begun = time.monotonic()
    logs = [clone.log.with_suffix(f".{nth}") for nth in range(2)]
    calls = [start([*DVC, "repro"], clone.folder, clone.environment, log) for log in logs]
    codes = [call.wait() for call in calls]
    seconds = round(time.monotonic() - begun, 1)
    ends = [Done(code, log.read_text(), seconds) for code, log in zip(codes, logs, strict=True)]
    said = [one.why for one in ends if one.code]
    differences = clone.differences()
    once_more = ""
    if any(codes):
        clone.forget(stages)
        done = clone.call(*DVC, "repro")
        once_more = "; ".join(clone.differences()) if not done.code else done.why
    return Load("two dvc repro", codes, said, differences, once_more, seconds)


def two_workers(clone: Clone, stages: Sequence[str]) -> Load:
    """Two queued experiments, each with a stage to do, and two workers of DVC's queue."""
    clone.forget(stages)
    begun = time.monotonic()
    names = [f"queued-{clone.mark[:6]}-{nth}" for nth in range(len(stages))]
    for name in names:
        clone.must(*DVC, "exp", "run", "--queue", "--name", name)
    clone.must(*DVC, "queue", "start", "-j", "2")
    states = dict.fromkeys(names, "")
    while time.monotonic() < begun + PATIENCE:
        table = clone.must(*DVC, "queue", "status").splitlines()
        states = {name: state_of(table, name) for name in names}
        if all(state in ("Success", "Failed") for state in states.values()):
            break
        time.sleep(5.0)  # each question costs a second of a core
    seconds = round(time.monotonic() - begun, 1)
    clone.must(*DVC, "queue", "stop")
    wait_until_none(clone.mark, 60)
    kill_all(clone.mark)  # workers wait for more for a while
    found, said = list[str](), [f"{name}: {state}" for name, state in states.items()]
    head = clone.must("git", "rev-parse", "HEAD").strip()
    for name in names:
        if states[name] == "Success":
            clone.must("git", "reset", "-q", "--hard", head)
            clone.must(*DVC, "exp", "apply", name)
            found += [f"{name}: {one}" for one in clone.differences()]
    codes = [int(state != "Success") for state in states.values()]
    return Load("two workers of dvc queue", codes, said if any(codes) else [], found, "", seconds)


def state_of(table: Sequence[str], name: str) -> str:
    """An experiment's state in what ``dvc queue status`` prints: the last word of its row."""
    return next((line.split()[-1] for line in table if name in line.split()), "")


def peaks(clone: Clone, *words: str) -> dict[str, float]:
    """The most memory of each stage in GiB, while ``dvc repro --force`` runs them, all or as
    further words for it say: of a stage's processes together at one moment, or the highest that the
    system notes for one of them. RuntimeError if a stage fails."""
    clone.quiet()
    call = start([*DVC, "repro", "--force", *words], clone.folder, clone.environment, clone.log)
    most = dict[str, int]()
    while call.poll() is None:
        now = dict[str, int]()
        for process in alive(clone.mark):
            with suppress(psutil.Error, OSError):
                stage = process.environ().get("DVC_STAGE")
                if stage:
                    size = process.memory_info().rss
                    now[stage] = now.get(stage, 0) + size
                    most[stage] = max(most.get(stage, 0), _highest(process.pid))
        for stage, size in now.items():
            most[stage] = max(most[stage], size)
        time.sleep(SAMPLE)
    if call.returncode:
        raise RuntimeError(clone.log.read_text()[-2000:])
    return {stage: round(size / GIB, 2) for stage, size in most.items()}


def _highest(pid: int) -> int:
    """The most that a process has had so far, in bytes, where the system notes it (Linux)."""
    path = Path(f"/proc/{pid}/status")
    if os.name == "posix" and path.exists():
        for line in path.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    return 0
