"""The engine ``ray``: runs spread over a Ray cluster, one actor for each.

Ray decides which node takes a run, and tells when a node is lost; another then takes the run up.
DVC carries what stages read and write: each node has a folder of its own for a run, and gives and
takes results through the DVC remote ``shared``. Stages that are not a run's go on this machine, the
head. A run that a node has finished is restored there from the remote, by DVC's run-cache.
"""

import asyncio
import hashlib
import importlib.util
import logging
import os
import re
import socket
import tomllib
from collections.abc import AsyncIterator, Mapping, Sequence, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from mazewm.io.errors import BadInput
from mazewm.io.params import read_yaml
from stages import local, node, remote
from stages.display import Job
from stages.given import Links, files_in
from stages.imports import ROOT
from stages.node import Node, Order, own_versions

LOSSES = 3  # of nodes of one run, after each of which another takes it up; a fourth ends it


class Cluster:
    """A Ray cluster that this machine is the head of."""

    def __init__(self, shared: Sequence[str], runs: Mapping[str, list[str]]) -> None:
        """Connect, with the names of the stages that all runs share and of each run's. BadInput if
        Ray, the cluster or the remote is missing."""
        self.shared, self.runs = list(shared), runs
        self.needs = {"num_cpus": amount("CPUS", "1"), "num_gpus": amount("GPUS", "0")}
        if importlib.util.find_spec("ray") is None:
            raise BadInput("ENGINE=ray: expected the package ray (mazewm[ray]), found none.")
        self.config = remote.config()
        self.ray = connect()
        # DVC reads the whole dvc.lock in every call: as many calls as there are cores
        self.restoring = asyncio.Semaphore(local.cores())
        self.sent: asyncio.Task[dict[str, bytes]] | None = None
        self.links: asyncio.Task[Links] | None = None
        self.pushes = set[local.Process]()  # while they run

    async def start(self, job: Job, progress: Path) -> local.Work:
        """Start a job: a run on a node, the others on this machine."""
        if job.name not in self.runs:
            return await local.start(job, progress)
        return Far(self, job, progress)

    async def files(self) -> dict[str, bytes]:
        """All that a node is sent, once the shared stages are in the remote."""
        if self.sent is None:
            self.sent = asyncio.create_task(self._send())
        return await asyncio.shield(self.sent)

    async def _send(self) -> dict[str, bytes]:
        await self._push(["--run-cache", *self.shared])
        return files_to_send(self.shared)

    async def _push(self, what: Sequence[str]) -> None:
        push = await local.dvc(["push", "--remote", remote.NAME, *what], {})
        self.pushes.add(push)
        said = [line async for line in push.lines()]
        code = await push.wait()
        self.pushes.discard(push)
        if code:
            raise BadInput(f"the remote {remote.NAME}: dvc push failed: {said[-1] if said else ''}")

    async def files_of(self, job: Job) -> dict[str, bytes]:
        """All that the node of a run is sent, once what the run's stages read is in the remote. If
        the node does not do all of them, that includes results of the others."""
        files = await self.files()
        if set(job.stages) == set(self.runs[job.name]):
            return files
        if self.links is None:
            self.links = asyncio.create_task(asyncio.to_thread(Links))
        given = (await asyncio.shield(self.links)).given(job.stages, self.shared)
        cached = [out.path for out in given if out.is_cached]
        if cached:
            async with self.restoring:
                await self._push(cached)
        known = {*self.shared, *(out.stage for out in given)}
        by_git = files_in([out for out in given if not out.is_cached])
        return files | by_git | {"dvc.lock": lock_of(known)}


def amount(name: str, default: str) -> float:
    """A number of the environment, of cores or GPUs."""
    given = os.environ.get(name, default)
    try:
        value = float(given)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf") or (value > 1 and value != int(value)):
        raise BadInput(f"{name}={given}: expected a whole number or a share of one, such as 0.25.")
    return value


def connect() -> Any:
    """Ray's module, connected to the cluster that RAY_ADDRESS names or that this machine is part
    of. BadInput if there is none."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    import ray

    address = os.environ.get("RAY_ADDRESS", "auto")
    host, _, port = address.rpartition(":")
    try:
        if host and port.isdigit():  # Ray itself would try for minutes
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        why = " ".join(str(error).split()).rstrip(".")
        raise BadInput(
            f"RAY_ADDRESS={address}: expected a Ray cluster (`ray start --head`), found: {why}."
        ) from None
    # a node's Python does not have the project's modules
    ours: Any = ray
    ours.cloudpickle.register_pickle_by_value(node)
    return ours


def files_to_send(shared: Sequence[str]) -> dict[str, bytes]:
    """The pipeline, parameters and code as they are, and the lock of the shared stages, by path.

    On a node, every out is cached: those that git carries on this machine travel through the remote
    as well. DVC knows a stage by its command, deps and paths of outs, so it is the same stage."""
    pipeline = read_yaml(Path("dvc.yaml"))
    for stage in pipeline["stages"].values():
        for kind in ("outs", "metrics", "plots"):
            if kind in stage:
                stage[kind] = [next(iter(o)) if isinstance(o, dict) else o for o in stage[kind]]
    made = [out for entry in pipeline["stages"].values() for out in entry.get("outs", [])]
    found = {
        "dvc.yaml": yaml.safe_dump(pipeline, sort_keys=False).encode(),
        "dvc.lock": lock_of(set(shared)),
        "params.yaml": Path("params.yaml").read_bytes(),
    }
    if Path(".dvcignore").exists():
        found[".dvcignore"] = Path(".dvcignore").read_bytes()
    deps = {dep for entry in pipeline["stages"].values() for dep in entry.get("deps", [])}
    for dep in sorted(deps):
        if not any(f"{dep}/".startswith(f"{out}/") for out in made):
            top = Path(dep)
            for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
                if path.is_file() and path.suffix != ".pyc":
                    found[path.as_posix()] = path.read_bytes()
    return found


def lock_of(stages: Set[str]) -> bytes:
    """dvc.lock with some of its stages only."""
    lock = read_yaml(Path("dvc.lock"))
    lock["stages"] = {name: entry for name, entry in lock["stages"].items() if name in stages}
    return yaml.safe_dump(lock, sort_keys=False).encode()


def versions() -> dict[str, str]:
    """The versions, on this machine, of what the project depends on."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.split(r"[^\w.-]", wanted)[0] for wanted in project["dependencies"]]
    return own_versions(names)


class Far:
    """A run that a node does, and that is then restored on this machine."""

    def __init__(self, cluster: Cluster, job: Job, progress: Path) -> None:
        self.cluster, self.job, self.progress = cluster, job, progress
        self.node: Any = None  # the actor
        self.has_begun = False  # it, and not only been asked for
        self.process: local.Process | None = None
        self.code = 0

    async def lines(self) -> AsyncIterator[str]:
        try:
            async with self.cluster.restoring:
                if await asyncio.to_thread(local.is_up_to_date, self.job.stages):
                    return
            async for line in self._from_nodes(await self._order()):
                yield line
            if not self.code:
                async with self.cluster.restoring:
                    async for line in self._restored():
                        yield line
            if not self.code:
                with suppress(self.cluster.ray.exceptions.RayActorError):
                    await self.node.clear.remote()
        except BadInput:
            self._drop()
            raise
        self._drop()

    async def _from_nodes(self, order: Order) -> AsyncIterator[str]:
        """What the node tells, and if it is lost another."""
        for loss in range(LOSSES + 1):
            try:
                async for line in self._from_node(order):
                    yield line
                return
            except self.cluster.ray.exceptions.RayActorError:
                self._drop()
                lost = f"{self.job.name}: its node was lost (the {loss + 1}. time)"
                if loss == LOSSES:
                    raise BadInput(f"{lost}; expected one that lasts.") from None
                yield f"{lost}; its finished stages are in the remote, another node goes on."
                self.job.begin("")  # the stage that was lost has not ended

    async def _order(self) -> Order:
        files = await self.cluster.files_of(self.job)
        digest = hashlib.sha256()
        for path, content in sorted(files.items()):
            digest.update(f"{path} {len(content)}\n".encode() + content)
        name = f"{self.job.name}-{digest.hexdigest()[:16]}"
        return Order(name, self.job.stages, files, self.cluster.config, versions())

    async def _from_node(self, order: Order) -> AsyncIterator[str]:
        actor = self.cluster.ray.remote(Node).options(
            scheduling_strategy="SPREAD", **self.cluster.needs
        )
        self.node = actor.remote()
        self.job.what = (
            "waits for a node with {num_cpus:g} cores and {num_gpus:g} GPUs free".format(
                **self.cluster.needs
            )
        )
        begun = await self.node.begin.remote(order)
        if begun.refused:
            raise BadInput(begun.refused.rstrip("."))
        self.job.what, self.has_begun = "", True
        yield f"on node {begun.node}"
        self.code = 1
        while told := await self.node.heard.remote():
            for one in told:
                if "line" in one:
                    yield one["line"]
                elif "progress" in one:
                    self.progress.write_text(one["progress"])
                elif "code" in one:
                    self.code = one["code"]

    async def _restored(self) -> AsyncIterator[str]:
        words = ["repro", "--pull", "--single-item", *self.job.stages]
        self.process = await local.dvc(words, {})
        async for line in self.process.lines():
            yield line
            runs = local.RUNS.match(line)
            if runs:
                await self.process.end()
                raise BadInput(
                    f"{runs[1]} ran on a node; expected its results in the remote {remote.NAME}, "
                    "found none that are the head's (was the code changed meanwhile?)."
                )
        self.code = await self.process.wait()

    async def wait(self) -> int:
        return self.code

    async def end(self) -> None:
        if self.process is not None:
            await self.process.end()
        for push in list(self.cluster.pushes):
            await push.end()
        if self.has_begun:
            with suppress(self.cluster.ray.exceptions.RayError, asyncio.CancelledError):
                await self.node.stop.remote()
        self._drop()

    def _drop(self) -> None:
        if self.node is not None:
            self.cluster.ray.kill(self.node)
        self.node, self.has_begun = None, False
