"""Which machine measures, and with which libraries: the key and head of a part of results.json."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

import torch

LIBRARIES = ("torch", "numpy", "pyarrow")


def processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def kind() -> str:
    """Processor and the widest instructions that torch uses; ATEN_CPU_CAPABILITY lowers them."""
    return f"{processor()}, {torch.backends.cpu.get_cpu_capability()}"


def description() -> dict[str, Any]:
    """What the rows of this kind of processor were measured with."""
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
