"""Jobs in parallel, ended cleanly when the user stops them; and how a job is done on this machine:
by a ``dvc repro`` process of its own.

DVC holds its lock on the repository only while it checks and writes, not while a stage's command
runs, so parallel processes wait for each other only briefly (``--wait-for-lock``). Each process has
a session of its own, so that only this module sends it signals, and they reach both DVC and its
stage.
"""

import asyncio
import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TextIO

from mazewm.io.errors import BadInput
from stages.display import Display, Job

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# How to end a process: signals, and seconds to wait after each. First SIGINT (Ctrl-C), on which DVC
# and a stage clean up; SIGKILL last.
ENDINGS = ((signal.SIGINT, 60.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
TICK = 0.5  # seconds

RUNS = re.compile(r"Running stage '([^']+)'")
SKIPS = re.compile(r"Stage '[^']+' (didn't change|is cached)")
FAILS = re.compile(r"ERROR: failed to reproduce '([^']+)'")
BUSY = " is busy, it is being blocked by:"
# Lines of DVC that are not shown.
CHATTER = re.compile(
    r"(|> .*|Updating lock file .*|Generating lock file .*|Use `dvc push`.*"
    r"|To (track|enable) .*|\tgit add.*|\tdvc .*)$"
)


class Stopped(Exception):
    """The user or the system has sent a signal to stop."""

    def __init__(self, number: int) -> None:
        self.signal = number


class Work(Protocol):
    """A job that has been started, here or elsewhere."""

    def lines(self) -> AsyncIterator[str]:
        """The output of DVC and its stages, line by line, to its end. BadInput if the job cannot be
        done where it was to be done."""

    async def wait(self) -> int:
        """The exit code, once the lines have ended."""

    async def end(self) -> None:
        """End the work and all that it started; a second Ctrl-C makes it quicker."""


# An engine: starts a job, whose stage is to report its progress to a file.
Start = Callable[[Job, Path], Awaitable[Work]]


def cores() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_up_to_date(stages: Sequence[str]) -> bool:
    """Whether DVC reports that these stages are up to date."""
    return subprocess.run([*DVC, "status", "--quiet", *stages], capture_output=True).returncode == 0


def run_now(stages: Sequence[str]) -> None:
    """Bring stages that take seconds up to date, silently; whether they fail is found out later."""
    command = [*DVC, "repro", "--quiet", "--single-item", *stages]
    subprocess.run(command, capture_output=True, env=os.environ | {"PATH": _path()})


def _path() -> str:
    """PATH with this interpreter first, which the commands of the stages find as ``python``."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))


def run_steps(
    steps: Sequence[Sequence[Job]], start: Start, at_once: int, logs: Path, display: Display
) -> bool:
    """Run the jobs of each step in parallel, ``at_once`` at a time and started by an engine, step
    after step until a job has failed; returns whether none has.

    Raises Stopped after a signal (Ctrl-C, SIGTERM or SIGHUP), once all processes have ended.
    """
    return asyncio.run(_run_steps(steps, start, at_once, logs, display))


async def _run_steps(
    steps: Sequence[Sequence[Job]], start: Start, at_once: int, logs: Path, display: Display
) -> bool:
    loop, tasks, received = asyncio.get_running_loop(), set[asyncio.Task[Any]](), list[int]()

    def stop(number: int) -> None:
        received.append(number)
        display.say("Stopping: what runs puts its things away (Ctrl-C once more: at once).")
        for task in tasks:
            task.cancel()

    for number in SIGNALS:
        loop.add_signal_handler(number, stop, number)
    gate = asyncio.Semaphore(at_once)
    with tempfile.TemporaryDirectory() as folder:

        def started(job: Job) -> Awaitable[Work]:
            return start(job, Path(folder) / job.name)

        ticks = asyncio.create_task(_tick(steps, Path(folder), display))
        try:
            for jobs in steps:
                tasks = {
                    asyncio.create_task(_run(job, started, gate, logs, display)) for job in jobs
                }
                done = await asyncio.gather(*tasks, return_exceptions=True)
                if received:
                    raise Stopped(received[0])
                for one in done:
                    if isinstance(one, BaseException):
                        raise one
                if not all(done):
                    return False
        finally:
            ticks.cancel()
    return True


async def _tick(steps: Sequence[Sequence[Job]], folder: Path, display: Display) -> None:
    while True:
        await asyncio.sleep(TICK)
        for jobs in steps:
            for job in jobs:
                job.read_progress(folder / job.name)
        display.tick()


async def _run(
    job: Job,
    start: Callable[[Job], Awaitable[Work]],
    gate: asyncio.Semaphore,
    logs: Path,
    display: Display,
) -> bool:
    """Bring a job's stages up to date; returns whether this succeeded."""
    async with gate:
        path = logs / f"{job.name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as log:
            try:
                # this lock is released with the process, however it ends
                fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return _failed(
                    job, f"error: {job.name}: another call is at it; its log: {path}", display
                )
            log.truncate(0)
            job.state = "running"
            job.begin("")
            work: Work | None = None
            try:
                work = await start(job)
                last = await _listen(job, work.lines(), log, display)
                code = await work.wait()
            except BadInput as error:
                return _failed(job, f"error: {job.name}: {error}", display)
            except asyncio.CancelledError:
                if work is not None:
                    await work.end()
                job.state = "stopped"
                raise
        stage = job.stage
        job.begin("")
        if code:
            return _failed(job, f"error: {job.name}: {_why(stage, last)}; its log: {path}", display)
        if stage:
            display.ended(job, stage)
        job.state = "done"
        return True


def _failed(job: Job, sentence: str, display: Display) -> bool:
    job.state = "failed"
    display.say(sentence, style="red")
    return False


class Process:
    """A process of DVC on this machine, in a session of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def lines(self) -> AsyncIterator[str]:
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            yield raw.decode(errors="replace").rstrip()

    async def wait(self) -> int:
        return await self.process.wait()

    async def end(self) -> None:
        for number, seconds in ENDINGS:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, number)
            with suppress(TimeoutError, asyncio.CancelledError):
                await asyncio.wait_for(self.process.wait(), seconds)
                break
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # processes that outlived DVC


async def start(job: Job, progress: Path) -> Process:
    """The engine ``local``: a process of DVC on this machine."""
    missing = ["--allow-missing"] if job.allow_missing else []
    what = missing if job.whole else ["--single-item", *job.stages]
    return await dvc(["repro", *what], {"MAZEWM_PROGRESS": str(progress)})


async def dvc(words: Sequence[str], more: Mapping[str, str]) -> Process:
    """Start DVC with this interpreter. ``more`` is added to the environment."""
    process = await asyncio.create_subprocess_exec(
        *DVC,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PATH": _path(), "PYTHONUNBUFFERED": "1"} | dict(more),
        start_new_session=True,
        limit=2**24,
    )
    return Process(process)


async def _listen(
    job: Job, lines: AsyncIterator[str], log: TextIO, display: Display
) -> Sequence[str]:
    """Read the output of DVC and its stages to the end, log and show it; returns its last lines."""
    last: deque[str] = deque(maxlen=200)
    async for line in lines:
        log.write(f"{line}\n")
        log.flush()
        runs = RUNS.match(line)
        if runs or SKIPS.match(line):
            if job.stage:
                ended = job.stage
                job.begin("")
                display.ended(job, ended)
            last.clear()
        if runs:
            job.begin(runs[1])
            display.heard(job, f"{job.stage} begins")
        elif not CHATTER.match(line) and not SKIPS.match(line):
            last.append(line)
            if job.stage:
                display.heard(job, line)
    return last


def _why(stage: str, last: Sequence[str]) -> str:
    """Which stage failed and why: the sentence of its BadInput if there is one, else the last line
    of its output or of DVC's."""
    told = [line.removeprefix("error: ") for line in last if line.startswith("error: ")]
    theirs = [line for line in last if line.startswith("ERROR: ")]
    own = [line for line in last if line and not line.startswith("ERROR: ")]
    if any(BUSY in line for line in theirs):
        return "another call of dvc is at the same files"
    failed = next(
        (found[1].split("@")[0] for line in theirs if (found := FAILS.match(line))), stage
    )
    said = (told or (own if stage else theirs) or theirs or ["no word of why"])[-1]
    return f"{failed or 'dvc repro'} failed: {said.rstrip('.')}"
