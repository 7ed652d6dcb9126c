"""The machine and the library versions of a measurement, as they are recorded in results.json."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

LIBRARIES = ("torch", "numpy", "pyarrow")


def processor() -> str:
    """The processor's name, as reported by the system."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def kind() -> str:
    """The processor and the widest instruction set that torch uses on it, which can be restricted
    by ATEN_CPU_CAPABILITY. Results are recorded by this kind."""
    return f"{processor()}, {torch.backends.cpu.get_cpu_capability()}"


def description() -> dict[str, Any]:
    """The machine and the versions with which rows are measured."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return {
        "processor": processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "has_avx2": " avx2" in flags,
        "has_avx512": " avx512f" in flags,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }
