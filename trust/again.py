"""The whole pipeline again from nothing, under other conditions, compared byte by byte."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any, NamedTuple

from mazewm.io.files import read_json
from trust.clone import DVC, PYTHON, Clone
from trust.processes import pinned

LAUNCH = (str(PYTHON), "-m", "stages.launch", "--jobs", "2")
# Keeps a core busy, with sums as the stages compute them, until it is killed.
BUSY = "import numpy\na = numpy.ones((400, 400))\nwhile True: a @ a"
# A processor with AVX2 and no AVX-512, as far as libraries can be told: torch's own kernels, MKL,
# oneDNN, OpenBLAS (of numpy and scipy), and numpy's own (names of numpy 2.4).
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
}


class Condition(NamedTuple):
    """What is different in a run."""

    command: tuple[str, ...]
    n_cores: int
    n_busy: int  # processes beside it
    environment: dict[str, str]


CONDITIONS = {
    "one core, with two busy processes beside it": Condition((*DVC, "repro"), 1, 2, {}),
    "two cores, two runs at once": Condition(LAUNCH, 2, 0, {}),
    "without AVX-512": Condition((*DVC, "repro"), 2, 0, AVX2),
}


@dataclass(frozen=True)
class Again:
    """One run from nothing, beside the reference."""

    condition: str
    seconds: float
    n_files: int
    differ: list[str]  # paths of files that are other ones, or missing, or new
    verdicts_differ: list[str]


def again(first: Clone, name: str) -> Again:
    """Run everything from nothing under one of CONDITIONS, in another clone beside the first."""
    how = CONDITIONS[name]
    nth = list(CONDITIONS).index(name)
    other = first.emptied(first.folder.parent.parent / f"again é {nth}" / first.folder.name)
    other.environment |= how.environment
    with busy(how.n_busy):
        done = other.call(*pinned(how.command, how.n_cores))
    if done.code:
        raise RuntimeError(f"{name}: exit code {done.code}\n{done.said[-2000:]}")
    now = other.hashes()
    differ = [
        path
        for path in sorted(now.keys() | first.reference.keys())
        if now.get(path) != first.reference.get(path)
    ]
    ours, theirs = (verdicts(one.folder / "metrics/claims.json") for one in (first, other))
    others = [
        key for key in sorted(ours.keys() | theirs.keys()) if ours.get(key) != theirs.get(key)
    ]
    return Again(name, done.seconds, len(first.reference), differ, others)


@contextmanager
def busy(n: int) -> Iterator[None]:
    """So many processes that only compute, while the block runs."""
    processes = [Popen([sys.executable, "-c", BUSY]) for _ in range(n)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def verdicts(path: Path) -> dict[str, str]:
    """Every verdict in a claims.json, by its place there."""

    def found(tree: Any, at: str) -> Iterator[tuple[str, str]]:
        if isinstance(tree, dict):
            for key, value in tree.items():
                if key == "verdict":
                    yield at, str(value)
                else:
                    yield from found(value, f"{at}/{key}")

    return dict(found(read_json(path, "the claims that stage compare writes"), ""))


def record(one: Again) -> dict[str, Any]:
    """For docs/trust.md: counts by folder, and the paths."""
    kinds = [path.split("/")[1] for path in one.differ]
    return asdict(one) | {
        "n_differ": len(one.differ),
        "folders": {kind: kinds.count(kind) for kind in sorted(set(kinds))},
    }
