"""The engine ``ray``, on two nodes of one core each: results are those of the engine ``local``; a
node that is lost, one that has other code, Ctrl-C.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import yaml
from launched import Project

from mazewm.io.errors import BadInput
from stages import cluster
from stages.imports import ROOT
from stages.node import Node, Order

try:
    import ray
except ImportError:
    ray = None
with_ray = pytest.mark.skipif(ray is None, reason="ray, an extra, is not installed")
# the library warns of its own deprecations, and leaves sockets to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::Warning")


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
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("MAZEWM_NODE") == str(own):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def at_work(self) -> list[str]:
        """The commands of DVC and of stages that run on the nodes."""
        lines = [" ".join(p.cmdline()) for own in self.nodes for p in self.processes(own)]
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


def lock_of(folder: Path) -> dict:
    return yaml.safe_load((folder / "dvc.lock").read_text())


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path / "größere Welt")


@with_ray
def test_results_are_those_of_one_machine_also_when_a_node_is_lost(project, machines, tmp_path):
    alone = Project(tmp_path / "alone")
    alone.launch()
    on_cluster(project, machines)
    mark = machines.slow("probe b-0")
    process = project.start()
    remote = machines.folder / "remote"
    wait_until(
        lambda: (
            machines.ran("end probe a-0") == machines.ran("begin probe b-0") == 1
            # records of four stages that have ended
            and len([p for p in (remote / "runs").rglob("*") if p.is_file()]) == 4
        ),
        "all but one stage have ended and are in the remote",
    )
    mark.unlink()
    (lost,) = [own for own in machines.nodes if list(own.glob("b-0-*"))]
    machines.lose(lost)
    said = process.communicate(timeout=300)[0]
    machines.add(lost)
    assert process.returncode == 0, said
    assert "b-0: its node was lost (the 1. time)" in said
    assert machines.ran("begin train b-0") == 1, "a stage that had ended ran again"
    assert machines.ran("begin probe b-0") == 2 and machines.ran("end probe b-0") == 1
    assert machines.ran("begin train a-0") == machines.ran("begin compare all") == 1
    assert lock_of(project.folder) == lock_of(alone.folder)
    for name in ("train-a-0", "probe-b-0", "metrics/claims.json"):
        assert (project.folder / name).read_bytes() == (alone.folder / name).read_bytes()
    assert "b-0: probe: " in said and "b-0: train took " in said
    (kept,) = [own for own in machines.nodes if own != lost]
    assert not machines.at_work() and not list(kept.glob("*-0-*"))
    assert "Nothing to do" in project.launch()


@with_ray
def test_a_node_with_other_code_or_parameters_is_refused(project, machines):
    on_cluster(project, machines).behave({"train a-0": "bad", "train b-0": "bad"})
    assert "a-0: train failed: params.yaml: behaviour: expected good" in project.launch(code=1)
    for run, name in (("a-0", "toy.py"), ("b-0", "params.yaml")):
        (file,) = machines.folder.glob(f"*/{run}-*/{name}")
        file.write_text(file.read_text() + "# another\n")
        for own in machines.nodes:  # whichever node takes it up
            if own != file.parent.parent:
                shutil.copytree(file.parent, own / file.parent.name, dirs_exist_ok=True)
    said = project.launch(code=1)
    for run, name in (("a-0", "toy.py"), ("b-0", "params.yaml")):
        pattern = rf"error: {run}: node \S+: \S+/{name}: expected the head's, found another"
        assert len(re.findall(pattern, said)) == 1, said
    assert machines.ran("begin train a-0") == 1


@with_ray
def test_what_runs_on_nodes_ends_with_the_call(project, machines):
    on_cluster(project, machines)
    marks = [machines.slow("train a-0"), machines.slow("train b-0")]
    for number in (signal.SIGINT, signal.SIGKILL):
        machines.events.write_text("")
        process = project.start()
        wait_until(
            lambda: machines.ran("begin train a-0") == machines.ran("begin train b-0") == 1,
            "both trainings have begun",
        )
        assert len([line for line in machines.at_work() if "-m toy train" in line]) >= 2
        process.send_signal(number)
        said = process.communicate(timeout=300)[0]
        if number == signal.SIGINT:
            assert process.returncode == 128 + number and "goes on from here" in said, said
            assert not machines.at_work(), "Ctrl-C returned before the stages had ended"
        wait_until(lambda: not machines.at_work(), "nothing is left on the nodes")
    for mark in marks:
        mark.unlink()
    assert "failed" not in project.launch("a-0")
    assert machines.ran("end train a-0") == 1


@with_ray
def test_a_call_that_waits_for_nodes_says_so_and_can_be_stopped(project, machines):
    on_cluster(project, machines).environment["CPUS"] = "2"
    process = project.start("a-0")
    assert process.stdout is not None
    waits = next(line for line in process.stdout if "waits" in line)
    assert "a-0: waits for a node with 2 cores and 0 GPUs free: after" in waits
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT


def order(versions: dict[str, str]) -> Order:
    return Order("a-0-1", ["train@a-0"], {}, "", versions)


def test_a_node_with_other_packages_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("MAZEWM_NODE", str(tmp_path))
    own = cluster.versions()
    assert {"python", "torch", "dvc", "scikit-learn"} <= set(own) and "none" not in own.values()
    begun = asyncio.run(Node().begin(order(own | {"torch": "0.1", "nowhere": "3"})))
    assert f": expected torch 0.1, nowhere 3 as at the head, found torch {own['torch']}, " in (
        begun.refused
    )
    assert begun.refused.endswith("nowhere none.") and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"ENGINE": "slurm"}, "ENGINE=slurm: expected one of local, ray."),
        ({"CPUS": "two"}, "CPUS=two: expected a whole number or a share of one, such as 0.25."),
        ({"GPUS": "1.5"}, "GPUS=1.5: expected a whole number or a share of one, such as 0.25."),
    ],
)
def test_what_the_environment_says_is_checked_before_anything_starts(project, environment, told):
    project.environment |= {"ENGINE": "ray"} | environment
    assert project.launch(code=1) == f"error: {told}\n"
    assert project.events() == []


def test_without_ray_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BadInput, match=r"ENGINE=ray: expected the package ray \(mazewm\[ray\]\)"):
        cluster.Cluster([], {})


@with_ray
def test_without_a_remote_or_a_cluster_nothing_starts(project, tmp_path):
    project.environment |= {"ENGINE": "ray", "RAY_ADDRESS": "127.0.0.1:1"}
    said = project.launch(code=1)
    assert said.count("\n") == 1 and "expected a remote shared that is the default" in said, said
    (tmp_path / "file").write_text("")
    with_remote(project, tmp_path / "file" / "inside")
    said = project.launch(code=1)
    assert said.count("\n") == 1 and "expected a remote shared that can be written" in said, said
    with_remote(project, tmp_path / "remote")
    said = project.launch(code=1)
    assert "RAY_ADDRESS=127.0.0.1:1: expected a Ray cluster (`ray start --head`)" in said, said
    assert project.events() == [] and not list((tmp_path / "remote").rglob("mazewm-*"))
