"""How much faster two runs are on two nodes of one core each than on one such node:
``python -m benchmarks.scaling`` (with mazewm[ray], on a machine with two cores; minutes).

A copy of the project in a temporary folder is the head, with scale tiny, a longer training, and
runs that cost the same. Mazes and what else runs share are made before time counts. Each number of
nodes begins with this head, an empty remote and empty nodes. The head works on the same two cores.
"""

import copy
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

from mazewm.io.files import read_json
from stages.imports import ROOT

N_STEPS = 2000  # of a training; most of the rest of a run does not depend on what is learned


class Head:
    """A copy of the tracked files, with what two runs share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "PYTHONPATH": str(folder),
            "DVC_SITE_CACHE_DIR": str(folder.parent / "site"),
        }
        needed = "mazewm stages dvc.yaml params.yaml pyproject.toml .dvcignore"
        listed = subprocess.run(
            ["git", "ls-files", *needed.split()],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in listed.stdout.splitlines():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        params = yaml.safe_load((folder / "params.yaml").read_text())
        params |= {"scale": "tiny", "encodings": ["learned"], "seeds": [0, 1]}
        params["scales"]["tiny"]["training"]["n_steps"] = N_STEPS
        (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        self.call("dvc", "init", "-q", "--no-scm")
        before = ("digest_code", "generate_mazes", "probe_inputs")
        self.call("dvc", "repro", "-q", "--single-item", *before)

    def copied(self, folder: Path) -> "Head":
        """The same, in another folder, with an empty remote beside it."""
        other = copy.copy(self)
        other.folder = Path(shutil.copytree(self.folder, folder))
        other.environment = self.environment | {"PYTHONPATH": str(folder)}
        other.call("dvc", "remote", "add", "-q", "--default", "shared", f"{folder}-remote")
        return other

    def call(self, *words: str, **more: str) -> None:
        command = [sys.executable, "-m", *words]
        subprocess.run(command, cwd=self.folder, env=self.environment | more, check=True)


def seconds(head: Head, n_nodes: int) -> tuple[float, float]:
    """The time of ``stages.launch`` for two runs on a number of nodes, and how much of it the
    comparison at its end takes, which the head makes."""
    from ray.cluster_utils import Cluster

    # nodes inherit this environment
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": str(head.folder)}
    cluster = Cluster()
    try:
        cluster.add_node(num_cpus=0, include_dashboard=False)
        for nth in range(n_nodes):
            own = {"MAZEWM_NODE": f"{head.folder}-node-{nth}"}
            known = set(psutil.Process().children(recursive=True))
            cluster.add_node(num_cpus=1, env_vars=own)
            for process in set(psutil.Process().children(recursive=True)) - known:
                process.cpu_affinity([sorted(os.sched_getaffinity(0))[nth]])
        since = time.monotonic()
        head.call("stages.launch", ENGINE="ray", RAY_ADDRESS=cluster.address)
        taken = time.monotonic() - since
        times = read_json(head.folder / "artifacts/logs/times.json", "times of stages")
        return taken, times["together"]["compare"]
    finally:
        cluster.shutdown()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        head = Head(Path(name) / "head")
        one, two = (seconds(head.copied(Path(name) / f"{n}"), n) for n in (1, 2))
    for name, (taken, comparing) in (("one node", one), ("two nodes", two)):
        print(f"{name}: {taken:.0f} s, of which the head compares for {comparing:.0f} s")
    runs = (one[0] - one[1]) / (two[0] - two[1])
    print(f"{one[0] / two[0]:.2f} times as fast; {runs:.2f} times without the comparison")


if __name__ == "__main__":
    main()
