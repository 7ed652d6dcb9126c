"""What a node of a cluster does for one run, as a Ray actor: refuse what it cannot do as the head
would, lay out the head's code and parameters in a folder of the node's own, and start
``stages.errand`` there.

A node needs nothing but the packages: this class is sent to it by value. So this module imports
only what comes with Python.
"""

import asyncio
import json
import os
import shutil
import socket
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = "MAZEWM_NODE"  # environment of a node: where its folders of runs are
DEFAULT_FOLDER = "~/.cache/mazewm/runs"


class Order(NamedTuple):
    """A run to be done, as the head sees it."""

    name: str  # of its folder: the run, and a digest of all that the node is sent
    stages: list[str]
    files: dict[str, bytes]  # code, parameters and the lock of shared stages, by path
    config: str  # of DVC: the remote, which may hold credentials
    versions: dict[str, str]  # of Python and of packages at the head


class Begun(NamedTuple):
    """What became of an order."""

    node: str  # its name
    refused: str = ""  # why the node does not take the run, as a sentence


class Refused(Exception):
    """Why a node does not take a run, as a sentence."""


def version(package: str) -> str:
    """The installed version of a package without its build (``+cpu``), or "none"."""
    try:
        return metadata.version(package).partition("+")[0]
    except metadata.PackageNotFoundError:
        return "none"


def own_versions(names: list[str]) -> dict[str, str]:
    """The versions of packages, and of Python without its last part, on this machine."""
    python = ".".join(map(str, sys.version_info[:2]))
    return {"python": python} | {name: version(name) for name in names if name != "python"}


class Node:
    """Does one run on the machine that it is started on."""

    def __init__(self) -> None:
        self.name = socket.gethostname()
        self.process: asyncio.subprocess.Process | None = None
        self.told = asyncio.Queue[dict[str, Any] | None]()  # None: it has ended
        self.folder = Path()

    async def begin(self, order: Order) -> Begun:
        """Start the run, or refuse it, if this node is not as the head is."""
        self.folder = Path(os.environ.get(FOLDER, DEFAULT_FOLDER)).expanduser() / order.name
        try:
            self._compare(order)
            self._lay_out(order)
        except (Refused, OSError) as error:
            return Begun(self.name, f"node {self.name}: {error}")
        await self._start(order)
        return Begun(self.name)

    def _compare(self, order: Order) -> None:
        """Refused if this node's packages are not the head's."""
        own = own_versions(list(order.versions))
        differ = [name for name, other in order.versions.items() if own[name] != other]
        if differ:
            expected = ", ".join(f"{name} {order.versions[name]}" for name in differ)
            found = ", ".join(f"{name} {own[name]}" for name in differ)
            raise Refused(f"expected {expected} as at the head, found {found}.")

    async def _start(self, order: Order) -> None:
        paths = [str(self.folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(paths),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "stages.errand", *order.stages),
            cwd=self.folder,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**24,
        )
        self.reading = asyncio.create_task(self._read(self.process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for raw in process.stdout:
            self.told.put_nowait(_told(raw))
        self.told.put_nowait(None)

    def _lay_out(self, order: Order) -> None:
        """Write what is not there; Refused if something is there and is not the head's."""
        for path, content in order.files.items():
            file = self.folder / path
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                beside = file.with_name(f"{file.name}.{os.getpid()}")
                beside.write_bytes(content)
                os.replace(beside, file)
            elif file.name != "dvc.lock" and file.read_bytes() != content:
                raise Refused(
                    f"{file}: expected the head's, found another; remove {self.folder} there."
                )
        here = {p.relative_to(self.folder).as_posix() for p in self.folder.rglob("*.py")}
        further = sorted(here - set(order.files))
        if further:
            raise Refused(
                f"expected the head's code, found {further[0]} besides; remove {self.folder} there."
            )
        config = self.folder / ".dvc" / "config"
        config.parent.mkdir(exist_ok=True)
        config.touch(mode=0o600)
        config.write_text(order.config)

    async def heard(self) -> list[dict[str, Any]]:
        """What the errand has told since the last call, at least one thing; empty at its end."""
        told = [await self.told.get()]
        while told[-1] is not None and not self.told.empty():
            told.append(self.told.get_nowait())
        if told[-1] is None:
            self.told.put_nowait(None)  # for the next call
        return [one for one in told if one is not None]

    async def stop(self) -> None:
        """End the run; returns when its processes have ended."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            await self.reading

    async def clear(self) -> None:
        """Remove the folder of a run that has succeeded: the remote has all of it."""
        await asyncio.to_thread(shutil.rmtree, self.folder, ignore_errors=True)


def _told(raw: bytes) -> dict[str, Any]:
    text = raw.decode(errors="replace").rstrip()
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    return told if isinstance(told, dict) else {"line": text}
