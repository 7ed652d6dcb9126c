"""What the head of a cluster does for each run as the number of runs grows:
``python -m benchmarks.head`` (minutes; no run is computed).

A folder gets the project's dvc.yaml, params.yaml with more seeds, and the dvc.lock that as many
finished runs leave: the committed one, repeated. A remote, which is a folder, has as many records
of the run-cache. Times are of a core (user and system), so other work beside it changes them
little; where a remote is far away, the time of a request for every record is added.
"""

import hashlib
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from mazewm.io.params import read_yaml
from stages.imports import ROOT

N_RUNS = (2, 50, 500)
RUNS_OF_LOCK = ("learned-all-0", "rotary-all-0")  # of the committed dvc.lock
COMMANDS = {
    "dvc stage list": ["stage", "list", "--name-only"],
    "dvc status of one stage": ["status", "--quiet", "score@learned-all-0"],
    "records of the run-cache": ["fetch", "--run-cache", "digest_code"],
}


def folder_of(n_runs: int, folder: Path) -> Path:
    """A DVC project with ``n_runs`` runs that have finished, without their artifacts."""
    folder.mkdir()
    subprocess.run([*DVC, "init", "-q", "--no-scm"], cwd=folder, check=True)
    (folder / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    params = read_yaml(ROOT / "params.yaml")
    params["seeds"] = list(range(n_runs // len(params["encodings"])))
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    head, *entries = (ROOT / "dvc.lock").read_text().split("\n  ")
    (folder / "dvc.lock").write_text("\n  ".join([head, *repeated(entries, len(params["seeds"]))]))
    remote = folder / "remote"
    subprocess.run([*DVC, "remote", "add", "-q", "-d", "shared", str(remote)], cwd=folder)
    stages = read_yaml(folder / "dvc.yaml")["stages"].values()
    n_stages = sum("matrix" in stage for stage in stages)
    text = "\n".join(entries)
    for nth in range(n_runs * n_stages):
        key = hashlib.sha256(str(nth).encode()).hexdigest()
        record = remote / "runs" / key[:2] / key / key
        record.parent.mkdir(parents=True)
        record.write_text(text[: len(text) // (len(RUNS_OF_LOCK) * n_stages)])
    return folder


def repeated(lines: list[str], n_seeds: int) -> list[str]:
    """The entries of a lock (without two spaces before each line) for more seeds."""
    entries: list[list[str]] = []
    for line in lines:
        if not line.startswith(" "):
            entries.append([])
        entries[-1].append(line)
    for entry in [entry for entry in entries if "-0:" in entry[0]]:
        for seed in range(1, n_seeds):
            entries.append([line.replace("all-0", f"all-{seed}") for line in entry])
    return [line.rstrip("\n") for entry in entries for line in entry]


DVC = [sys.executable, "-m", "dvc"]


def seconds(words: list[str], folder: Path) -> float:
    """The time of a core that a command of DVC takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*DVC, *words], cwd=folder, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    print("| runs | dvc.lock | " + " | ".join(COMMANDS) + " |")
    print("|---|---|" + "---|" * len(COMMANDS))
    with tempfile.TemporaryDirectory() as name:
        for n_runs in N_RUNS:
            folder = folder_of(n_runs, Path(name) / str(n_runs))
            size = (folder / "dvc.lock").stat().st_size / 1e6
            times = [f"{seconds(words, folder):.1f} s" for words in COMMANDS.values()]
            print(f"| {n_runs} | {size:.1f} MB | " + " | ".join(times) + " |", flush=True)


if __name__ == "__main__":
    main()
