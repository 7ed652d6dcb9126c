"""What a node of a cluster is given of a run that it does a part of. The node is in this process,
so that no cluster is needed.
"""

import asyncio
import importlib.util

import pytest
from clusters import pulled, with_remote

from stages import cluster
from stages.display import Job
from stages.needed import needed
from stages.node import Node

pytestmark = [
    pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="ray is not installed"),
    # of a library that dvc uses
    pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning"),
]


async def done(node: Node, head: cluster.Cluster, job: Job) -> list:
    """What a node tells that does a job."""
    begun = await node.begin(await cluster.Far(head, job, None)._order())
    assert not begun.refused
    told = []
    while new := await node.heard():
        told += new
    return told


@pytest.mark.slow
def test_a_node_does_a_part_of_a_run_with_what_the_head_has(tmp_path, monkeypatch):
    project = pulled(tmp_path / "größere Welt")
    with_remote(project, tmp_path / "remote")
    monkeypatch.chdir(project.folder)
    for name, value in (project.environment | {"EVENTS": str(tmp_path / "events")}).items():
        monkeypatch.setenv(name, value)
    todo = needed()
    assert todo is not None
    assert todo.stages == {"record@a-0", "record@b-0", "probe@a-0", "probe@b-0", "compare"}
    monkeypatch.setattr(cluster, "connect", lambda: None)
    monkeypatch.setenv("MAZEWM_NODE", str(tmp_path / "node"))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "elsewhere"))
    whole = ["train@a-0", "record@a-0", "note@a-0", "probe@a-0"]
    head = cluster.Cluster(["first"], {"a-0": whole})
    told = asyncio.run(done(Node(), head, Job("a-0", ["record@a-0", "probe@a-0"])))
    assert told[-1] == {"code": 0}, told
    ran = [line.split()[1] for line in (tmp_path / "events").read_text().splitlines()]
    assert ran == ["record", "record", "probe", "probe"], "begin and end of each, and no other"
