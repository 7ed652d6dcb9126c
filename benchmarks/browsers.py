"""A served explorer and a Chromium that is installed, for ``benchmarks.clicks`` and for the tests
of the page.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
ROOT = Path(__file__).parents[1]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def command(artifacts: Path, port: int) -> list[str]:
    """The explorer, without opening a browser."""
    return [
        sys.executable, "-m", "mazewm.explore", "--artifacts", str(artifacts),
        "--port", str(port), "--no-browser",
    ]  # fmt: skip


def environment() -> dict[str, str]:
    """That of a user: NiceGUI serves nothing of its own to a test run."""
    rest = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    return rest | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MAZEWM_DEVICE": "cpu"}


@contextmanager
def served(artifacts: Path, folder: Path, cores: Set[int] | None = None) -> Iterator[int]:
    """The explorer of a folder, from another folder, until it answers; gives its port. Its process
    may use these cores only, or all that this one may."""
    port, log = free_port(), folder / "served.txt"
    with log.open("w") as out:
        process = subprocess.Popen(
            command(artifacts, port),
            cwd=folder,
            env=environment(),
            stdout=out,
            stderr=out,
            preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
        )
    try:
        for _ in range(600):
            assert process.poll() is None, log.read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)
    assert "Traceback" not in log.read_text(), log.read_text()
