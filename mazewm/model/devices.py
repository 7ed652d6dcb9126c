"""The device that tensors are on: the best one available, or the one that the environment variable
MAZEWM_DEVICE names.

The device is not a parameter of the study: it changes how long a run takes, not what is computed.
(Devices add up sums in different orders, so weights differ in their last digits, as they do between
thread counts.)
"""

import os

import torch

from mazewm.io.errors import BadInput

VARIABLE = "MAZEWM_DEVICE"
NAMES = ("auto", "cpu", "cuda", "mps")


def best() -> torch.device:
    """The device that MAZEWM_DEVICE names (one of NAMES). If it is unset or ``auto``: CUDA if
    available, else MPS, else the CPU. BadInput for an unknown or unavailable device."""
    name = os.environ.get(VARIABLE, "auto")
    if name not in NAMES:
        raise BadInput(
            f"environment variable {VARIABLE}: expected one of {list(NAMES)}, found {name!r}."
        )
    is_there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, there in is_there.items() if there)
    if not is_there[name]:
        raise BadInput(
            f"environment variable {VARIABLE}: expected a device that torch {torch.__version__} "
            f"finds here, found {name!r}."
        )
    if name == "cuda":
        # cuBLAS is deterministic only with this variable, which is read when CUDA starts.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    return torch.device(name)
