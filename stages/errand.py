"""One run on a node of a cluster: ``python -m stages.errand STAGE...`` in the run's folder there.

The stages are brought up to date as on one machine, by one process of DVC. What is missing comes
from DVC's default remote; every stage is pushed there as soon as it has ended, while the next one
runs, so that a node that is lost takes no finished stage with it. What happens is printed as one
JSON object a line: ``{"line": text}`` of DVC and the stages, ``{"progress": text}`` of the stage's
progress file, and ``{"code": number}`` at the end.

The process ends, and ends DVC and the stage, when its input is closed: when it is told to stop, and
when whoever started it is gone, however that ended.
"""

import asyncio
import fcntl
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from stages.local import FAILS, RUNS, SKIPS, TICK, Process, dvc

PROGRESS = Path("progress.json")
LOCK = Path("errand.lock")


class Errand:
    """Brings the stages of a run up to date and pushes them."""

    def __init__(self, stages: Sequence[str]) -> None:
        self.stages = list(stages)
        self.unpushed: list[str] = []  # have ended, and are not known to be in the remote
        self.running = ""  # the stage that runs
        self.now: list[Process] = []

    async def go(self) -> int:
        """Returns DVC's exit code."""
        with LOCK.open("w") as lock:
            # an earlier errand on this run, whose starter is gone, may still be ending
            await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
            PROGRESS.unlink(missing_ok=True)
            ticks = asyncio.create_task(self._tick())
            pushes = asyncio.create_task(self._push_as_they_end())
            try:
                words = ["repro", "--pull", "--single-item", *self.stages]
                code = await self._do(words, {"MAZEWM_PROGRESS": str(PROGRESS.absolute())})
                if code:
                    return code
                pushes.cancel()
                with suppress(asyncio.CancelledError):
                    await pushes
                # all of them: an errand that was stopped may have pushed less than it ran
                failed = await self._push(self.stages)
                if failed:
                    tell(line=f"error: expected a remote that takes what is pushed, found {failed}")
                return 1 if failed else 0
            finally:
                ticks.cancel()
                pushes.cancel()
                for process in list(self.now):
                    await process.end()

    async def _do(self, words: Sequence[str], more: dict[str, str]) -> int:
        process = await dvc(words, more)
        self.now.append(process)
        async for line in process.lines():
            tell(line=line)
            runs = RUNS.match(line)
            if (runs or SKIPS.match(line) or FAILS.match(line)) and self.running:
                if not FAILS.match(line):
                    self.unpushed.append(self.running)
                self.running = ""
            if runs:
                self.running = runs[1]
        code = await process.wait()
        self.now.remove(process)
        return code

    async def _push_as_they_end(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            if self.unpushed:
                ended, self.unpushed = self.unpushed, []
                # shielded, so that the last push waits for this one to end
                await asyncio.shield(self._push(ended))

    async def _push(self, stages: Sequence[str]) -> str:
        """Returns why this failed, or an empty text."""
        process = await dvc(["push", "--run-cache", *stages], {})
        self.now.append(process)
        said = [line async for line in process.lines()]
        code = await process.wait()
        if process in self.now:
            self.now.remove(process)
        errors = [line for line in said if line.startswith("ERROR")]
        return [f"exit code {code} of dvc push", *errors][-1] if code else ""

    async def _tick(self) -> None:
        known = ""
        while True:
            await asyncio.sleep(TICK)
            with suppress(OSError):
                now = PROGRESS.read_text()
                if now != known:
                    known = now
                    tell(progress=now)


def tell(**what: str | int) -> None:
    """Print one JSON object; nobody may be left to read it."""
    with suppress(BrokenPipeError):
        print(json.dumps(what), flush=True)


async def until_left(stages: Sequence[str]) -> int:
    """Do the errand, or as much of it as can be done until the input is closed."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    left = asyncio.create_task(reader.read())
    errand = asyncio.create_task(Errand(stages).go())
    await asyncio.wait([left, errand], return_when=asyncio.FIRST_COMPLETED)
    if not errand.done():
        errand.cancel()
        with suppress(asyncio.CancelledError):
            await errand
        return 1
    return errand.result()


if __name__ == "__main__":
    # Ray kills the children of a process that it ends, at once; a child's child can still end DVC
    # and the stage as they should be ended.
    if os.fork():
        os._exit(0)
    os.setsid()
    tell(code=asyncio.run(until_left(sys.argv[1:])))
