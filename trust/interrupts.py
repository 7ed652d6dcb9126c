"""Ctrl-C on a terminal: the key is pressed on a pseudo-terminal while a stage runs, so that the
kernel sends SIGINT to the foreground process group, as a person's terminal does.
"""

import os
import pty
import random
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from trust.clone import Clone
from trust.kills import COMMANDS, TEMP
from trust.processes import POLL, alive, kill_all

CTRL_C = b"\x03"
SHOW, HIDE = b"\x1b[?25h", b"\x1b[?25l"  # of the cursor
PATIENCE = 90.0  # seconds that a command may need to put its things away
# The terminal becomes that of the command's session, and Ctrl-C ends it even where a caller ignores
# SIGINT, as shells do for what they start in the background.
AT_TERMINAL = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@dataclass(frozen=True)
class Interrupt:
    """One command that was stopped with Ctrl-C, and what it left."""

    command: str
    stage: str
    seconds: float  # after DVC had said that the stage runs
    code: int  # with which the command ended; negative: the signal that ended it
    ended: float  # seconds from the key to the end
    wrong: str  # what was not as it should be; empty: all is well
    differences: str  # of the same command afterwards, from an undisturbed run


def interrupts(clone: Clone, n: int, seed: int) -> Iterator[Interrupt]:
    """``n`` commands stopped, in turn by command, each in a stage and at a moment of its own."""
    drawn = random.Random(seed)
    commands = [name for name in COMMANDS if name != TEMP]
    stages = list(clone.lengths)
    drawn.shuffle(stages)
    pristine = clone.copy(clone.folder.parent / "pristine-interrupts")
    for nth in range(n):
        stage = stages[nth % len(stages)]
        one = interrupt(clone, commands[nth % len(commands)], stage, drawn)
        if one.differences or one.wrong:
            kill_all(clone.mark)
            clone.restore(pristine)
        yield one


def interrupt(clone: Clone, command: str, stage: str, drawn: random.Random) -> Interrupt:
    """Stop a command in a stage, look around, and call it again."""
    longest = clone.lengths[stage]
    while True:
        clone.forget([stage])
        seconds = drawn.uniform(0.0, longest)
        terminal = Terminal(clone, COMMANDS[command])
        pressed = terminal.press_in(stage, seconds)
        if pressed:
            break
        terminal.close()
        longest *= 0.7  # it had ended before the key was pressed
        clone.undo()
    params = clone.must("git", "show", "HEAD:params.yaml")
    begun = time.monotonic()
    code = terminal.wait()
    ended = time.monotonic() - begun
    wrong = list[str]()
    if code == 0:
        wrong.append("exit code 0")
    if code is None:
        wrong.append(f"still there after {PATIENCE:.0f} s")
    wrong += terminal.changed()
    if clone.is_detached:
        wrong.append("git is not on its branch")
    if (clone.folder / "params.yaml").read_text() != params:
        wrong.append("params.yaml is another")
    left = [" ".join(process.cmdline()[:4]) for process in alive(clone.mark)]
    wrong += [f"alive: {line}" for line in left]
    kill_all(clone.mark)
    wrong += [f"git: {line}" for line in _strange(clone, stage)]
    terminal.close()
    again = clone.call(*COMMANDS[command])
    differences = clone.differences() if not again.code else [f"again: {again.why}"]
    return Interrupt(
        command,
        stage,
        round(seconds, 2),
        -999 if code is None else code,
        round(ended, 2),
        "; ".join(wrong[:5]),
        "; ".join(differences[:5]),
    )


def summary(found: Sequence[Interrupt]) -> dict[str, Any]:
    """Counts by command, for docs/trust.md."""
    names = list(dict.fromkeys(one.command for one in found))
    by_command = {
        name: {
            "n": len(its := [one for one in found if one.command == name]),
            "clean": sum(not one.wrong for one in its),
            "same": sum(not one.differences for one in its),
            "codes": sorted({one.code for one in its}),
            "longest": max(one.ended for one in its),
        }
        for name in names
    }
    bad = sum(bool(one.wrong or one.differences) for one in found)
    return {
        "bad": bad,
        "by_command": by_command,
        "wrong": sorted({o.wrong for o in found if o.wrong}),
    }


def _strange(clone: Clone, stage: str) -> list[str]:
    """What git sees beside what a finished stage writes: its outs in metrics/, and dvc.lock."""
    outs = [out["path"] for out in clone.lock[stage]["outs"]]
    lines = clone.must("git", "status", "--porcelain", "-uall").splitlines()
    return [
        line
        for line in lines
        if line[3:] != "dvc.lock" and not any(line[3:].startswith(out) for out in outs)
    ]


class Terminal:
    """A pseudo-terminal with a command in its foreground."""

    def __init__(self, clone: Clone, command: Sequence[str]) -> None:
        self.clone, self.shown = clone, b""
        clone.quiet()
        self.ours, self.theirs = pty.openpty()
        termios.tcsetwinsize(self.theirs, (40, 120))
        self.before = termios.tcgetattr(self.theirs)
        self.process = subprocess.Popen(
            [sys.executable, "-c", AT_TERMINAL, *command],
            cwd=clone.folder,
            env=clone.environment | {"TERM": "xterm-256color"},
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        with suppress(OSError):
            while text := os.read(self.ours, 65536):
                self.shown += text
                self.clone.log.write_bytes(self.shown)

    def press_in(self, stage: str, seconds: float) -> bool:
        """Press Ctrl-C so many seconds after a stage has begun; returns whether the command was
        still there."""
        at = None
        while self.process.poll() is None and (at is None or time.monotonic() < at):
            time.sleep(POLL)
            if at is None and stage in self.clone.begun():
                at = time.monotonic() + seconds
        if self.process.poll() is not None:
            return False
        os.write(self.ours, CTRL_C)
        return True

    def wait(self) -> int | None:
        """The exit code; None if the command is still there after a while."""
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(PATIENCE)
        return None

    def changed(self) -> list[str]:
        """What the command has left of the terminal's state."""
        found = []
        if termios.tcgetattr(self.theirs) != self.before:
            found.append("the terminal's attributes differ")
        time.sleep(0.1)  # until what was written last is read
        if self.shown.rfind(HIDE) > self.shown.rfind(SHOW):
            found.append("the cursor is hidden")
        if b"Traceback" in self.shown:
            found.append("a traceback")
        return found

    def close(self) -> None:
        os.close(self.theirs)
        self.reader.join(5)
        os.close(self.ours)
