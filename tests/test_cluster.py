"""The engine ``ray``, on two nodes of one core each: results are those of the engine ``local``; a
node that is lost, one that has other code, one that does a part of a run; Ctrl-C.
"""

import asyncio
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest
import yaml
from clusters import machines, on_cluster, pulled, wait_until, with_ray, with_remote
from launched import Project

from mazewm.io.errors import BadInput
from stages import cluster
from stages.node import Node, Order

__all__ = ["machines"]  # a fixture
# the library warns of its own deprecations, and leaves sockets to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::Warning")


def lock_of(folder: Path) -> dict:
    return yaml.safe_load((folder / "dvc.lock").read_text())


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path / "größere Welt")


@with_ray
@pytest.mark.slow
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
@pytest.mark.slow
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
@pytest.mark.slow
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


@with_ray
@pytest.mark.slow
def test_a_node_that_does_a_part_is_given_what_it_reads(tmp_path, machines):
    project = pulled(tmp_path / "größere Welt")
    on_cluster(project, machines)
    said = project.launch()
    for run in ("a-0", "b-0"):
        assert [machines.ran(f"end {name} {run}") for name in ("train", "note")] == [0, 0], said
        assert [machines.ran(f"end {name} {run}") for name in ("record", "probe")] == [1, 1], said
        assert (project.folder / f"record-{run}").exists()
    assert machines.ran("end compare all") == 0, "probes wrote the same bytes"
    assert not list(machines.folder.glob("*/*-0-*")), "nothing is left on the nodes"
    assert "Nothing to do" in project.launch()
