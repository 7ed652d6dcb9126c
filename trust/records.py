"""What was found, in files from which docs/trust.md is filled: one YAML for each part, with the
date and the machine, and a CSV with a row for each trial.
"""

import csv
import datetime
import io
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML

from mazewm.io import files
from mazewm.io.errors import BadInput
from mazewm.io.params import read_yaml
from stages.imports import ROOT
from stages.local import cores

RESULTS = Path("trust/results")
# how a value of a row is read again from its text
READ: dict[Any, Callable[[str], Any]] = {
    int: int,
    float: float,
    bool: "True".__eq__,
    str: str,
    float | None: lambda text: float(text) if text else None,
}
T = TypeVar("T")


def write(
    part: str, content: Mapping[str, Any], rows: Sequence[Any], minutes: float | None = None
) -> None:
    """Replace what is known of a part. ``rows`` are dataclasses of one class, or none; ``minutes``
    is how long the trials took, if that says anything."""
    text = io.StringIO()
    YAML().dump({"about": about(minutes), **content}, text)
    files.write_text(ROOT / RESULTS / f"{part}.yaml", text.getvalue())
    if rows:
        table = io.StringIO()
        lines = [asdict(row) for row in rows]
        writer = csv.DictWriter(table, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        files.write_text(ROOT / RESULTS / f"{part}.csv", table.getvalue())


def read(part: str) -> dict[str, Any]:
    """What is known of a part; nothing if there is no file."""
    path = ROOT / RESULTS / f"{part}.yaml"
    return read_yaml(path) if path.exists() else {}


def rows(part: str, of: type[T]) -> list[T]:
    """The rows of a part, which are dataclasses of one class; none if there is no file."""
    path = ROOT / RESULTS / f"{part}.csv"
    if not path.exists():
        return []
    columns = {one.name: READ[one.type] for one in fields(of)}  # type: ignore[arg-type]
    with path.open(newline="", encoding="utf-8") as lines:
        table = csv.DictReader(lines)
        if set(table.fieldnames or ()) != set(columns):
            found = ", ".join(table.fieldnames or ())
            raise BadInput(f"{path}: expected columns {', '.join(columns)}, found {found}.")
        return [of(**{name: columns[name](row[name]) for name in columns}) for row in table]


def about(minutes: float | None = None) -> dict[str, Any]:
    """When, and on what."""
    return {
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        **processor(),
        "cores": cores(),
        "load": round(os.getloadavg()[0], 1),  # at the end
        **({} if minutes is None else {"minutes": round(minutes, 1)}),
    }


def commit(folder: Path = ROOT) -> str:
    """The last commit, by its short name."""
    words = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True).stdout.strip()


def processor() -> dict[str, Any]:
    """The processor's name, and whether it has AVX-512 (None if the system does not tell)."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return {"processor": platform.processor() or platform.machine(), "avx512": None}
    lines = dict(line.partition(":")[::2] for line in path.read_text().splitlines() if ":" in line)
    told = {name.strip(): value.strip() for name, value in lines.items()}
    return {
        "processor": told.get("model name", platform.machine()),
        "avx512": "avx512f" in told["flags"].split() if "flags" in told else None,
    }
