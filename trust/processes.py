"""Start commands, find all that they have started, and end them as a failing machine would."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

MARK = "MAZEWM_TRUST"  # an environment variable that all processes of a clone inherit
POLL = 0.02  # seconds
# For processes that the launcher starts in sessions of their own, parents and groups do not tell.
LAST_TRY = 20


def start(
    command: Sequence[str], folder: Path, environment: dict[str, str], log: Path
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own; what it prints goes to ``log``."""
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def alive(mark: str, variable: str = MARK) -> list[psutil.Process]:
    """All processes that carry a mark in an environment variable, in whatever session, but
    zombies."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            is_marked = process.environ().get(variable) == mark
            if is_marked and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to the process group of a command; what has a session of its own lives on."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kill_all(mark: str) -> None:
    """SIGKILL to all processes that carry a mark, until none is left. RuntimeError if one stays."""
    for _ in range(LAST_TRY):
        processes = alive(mark)
        if not processes:
            return
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(processes, timeout=1)
    raise RuntimeError(f"could not be killed: {alive(mark)}")


def wait_until_none(mark: str, seconds: float) -> bool:
    """Wait for all processes with a mark to end by themselves; returns whether they did."""
    late = time.monotonic() + seconds
    while alive(mark):
        if time.monotonic() > late:
            return False
        time.sleep(0.2)
    return True


def stages_of(processes: Sequence[psutil.Process]) -> list[str]:
    """The stages whose commands are among some processes, by the variable that DVC sets."""
    found = set()
    for process in processes:
        with suppress(psutil.Error, OSError):
            name = process.environ().get("DVC_STAGE")
            found |= {name} if name else set()
    return sorted(found)


def pinned(command: Sequence[str], n_cores: int) -> list[str]:
    """A command that may use so many of the cores that this process may use."""
    if not hasattr(os, "sched_setaffinity"):
        return list(command)
    cores = sorted(os.sched_getaffinity(0))[:n_cores]
    set_and_go = f"import os, sys; os.sched_setaffinity(0, {cores}); "
    return [sys.executable, "-c", set_and_go + "os.execvp(sys.argv[1], sys.argv[1:])", *command]
