"""A Ray cluster of two nodes of one core each, that share no folder, for tests of the engine
``ray``."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml
from launched import Project

from stages.imports import ROOT
from stages.released import LABEL
from trust.processes import alive

try:
    import ray
except ImportError:
    ray = None
with_ray = pytest.mark.skipif(ray is None, reason="ray, an extra, is not installed")


class Machines:
    """A cluster: a head without work, and two nodes that share no folder."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.folder, self.nodes = folder, dict[Path, object]()
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        self.environment = {"EVENTS": str(folder / "events"), "PYTHONPATH": str(ROOT)}
        quick = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
        self.cluster = Cluster()
        self.cluster.add_node(
            num_cpus=0, include_dashboard=False, _system_config=quick, object_store_memory=10**8
        )
        for name in ("one", "two"):
            self.add(folder / name)

    @property
    def events(self) -> Path:
        return self.folder / "events"

    def ran(self, event: str) -> int:
        """How often something has happened, such as "begin train a-0"."""
        return sum(line.startswith(f"{event} ") for line in self.events.read_text().splitlines())

    def slow(self, stage: str) -> Path:
        """Let a stage of a run take a minute, until the file is removed."""
        mark = Path(f"{self.events}.slow-{stage.replace(' ', '-')}")
        mark.touch()
        return mark

    def add(self, own: Path) -> None:
        more = {"MAZEWM_NODE": str(own), "DVC_SITE_CACHE_DIR": str(own / "site")}
        self.nodes[own] = self.cluster.add_node(
            num_cpus=1, env_vars=self.environment | more, object_store_memory=10**8
        )

    def lose(self, own: Path) -> None:
        """As if the plug were pulled: all that runs on a node ends at once."""
        mine = self.processes(own)
        for process in mine:
            process.kill()
        psutil.wait_procs(mine, 10)
        self.cluster.remove_node(self.nodes.pop(own), allow_graceful=False)

    def processes(self, own: Path) -> list[psutil.Process]:
        return alive(str(own), "MAZEWM_NODE")

    def at_work(self) -> list[str]:
        """The commands of DVC and of stages that run on the nodes."""
        lines = list[str]()
        for process in (p for own in self.nodes for p in self.processes(own)):
            with suppress(psutil.Error):  # it has just ended
                lines.append(" ".join(process.cmdline()))
        return [line for line in lines if re.search(r"-m (dvc|toy|stages)", line)]


@pytest.fixture(scope="module")
def machines(tmp_path_factory) -> Iterator[Machines]:
    made = Machines(tmp_path_factory.mktemp("machines"))
    yield made
    made.cluster.shutdown()


def on_cluster(project: Project, machines: Machines) -> Project:
    """The project with a remote that is empty, for the engine ray."""
    for left in [machines.folder / "remote", *machines.folder.glob("*/*-0-*")]:
        shutil.rmtree(left, ignore_errors=True)
    with_remote(project, machines.folder / "remote")
    project.environment |= machines.environment | {
        "ENGINE": "ray",
        "RAY_ADDRESS": machines.cluster.address,
    }
    machines.events.write_text("")
    return project


def with_remote(project: Project, url: Path) -> None:
    words = ["remote", "add", "--force", "--quiet", "--local", "--default", "shared", str(url)]
    subprocess.run(
        [sys.executable, "-m", "dvc", *words],
        cwd=project.folder,
        env=project.environment,
        check=True,
    )


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    late = time.monotonic() + 300
    while not is_so():
        assert time.monotonic() < late, f"waited until {what}"
        time.sleep(0.1)


def extended(project: Project) -> None:
    """Between training and probe a stage whose results, unlike theirs, are not released, and one
    whose results git carries; the probe has a parameter."""
    pipeline = yaml.safe_load((project.folder / "dvc.yaml").read_text())
    stages = pipeline["stages"]
    for name in ("train", "probe"):
        stages[name]["outs"] = [{f"{name}-${{key}}": {"labels": [LABEL]}}]
    for name, out in (("record", "record-${key}"), ("note", {"note-${key}": {"cache": False}})):
        stages[name] = stages["train"] | {
            "cmd": f"python -m toy {name} ${{key}} {name}-${{key}}",
            "deps": ["toy.py", "train-${key}"],
            "outs": [out],
        }
    stages["probe"] |= {"params": ["probing"]}
    stages["probe"]["deps"] = ["toy.py", "record-${key}", "note-${key}"]
    order = ("first", "train", "record", "note", "probe", "compare")
    pipeline["stages"] = {name: stages[name] for name in order}
    (project.folder / "dvc.yaml").write_text(yaml.safe_dump(pipeline, sort_keys=False))


def probing(project: Project, value: int) -> None:
    project.behave({})
    with (project.folder / "params.yaml").open("a") as file:
        yaml.safe_dump({"probing": {"value": value}}, file)


def pulled(folder: Path) -> Project:
    """A project as after ``make pull``: only what is released is there, and DVC remembers no run.
    The parameter of the probe has changed since."""
    project = Project(folder)
    extended(project)
    probing(project, 1)
    project.launch()
    for path in (*folder.glob("record-*"), folder / ".dvc" / "cache" / "runs"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    probing(project, 2)
    return project
