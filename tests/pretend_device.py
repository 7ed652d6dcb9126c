"""A pretend accelerator: torch's spare device type, whose tensors are CPU tensors behind a wall.

What a real one refuses is refused here: a CPU tensor with dimensions among its tensors, a look at
its memory from numpy, float64 (as MPS does), and, stricter than any, random numbers, which would
differ from device to device. Each operation runs on the CPU, so numbers agree up to the kernel that
torch picks for a device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from mazewm.model import devices

aten = torch.ops.aten
COPIES = (aten.copy_.default, aten._to_copy.default)
# As on CUDA, indices (but nothing else) may lie on the CPU.
INDEXING = (
    aten.index.Tensor,
    aten.index_put_.default,
    aten.index_put.default,
    aten._index_put_impl_.default,
)
NAME = "pretend"
_setup_privateuseone_for_python_backend(NAME)
# asked for even where autocast is off
getattr(torch, NAME).get_amp_supported_dtype = lambda: [torch.bfloat16]
DEVICE = torch.device(NAME, 0)


class Walled(torch.Tensor):
    """A tensor of the pretend device; ``held`` is the CPU tensor behind it, which only operations
    see."""

    held: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "Walled":
        layout = {
            "strides": held.stride(),
            "storage_offset": held.storage_offset(),
            "dtype": held.dtype,
            "device": DEVICE,
        }
        # a view of what was made outside must be able to follow it
        with torch.inference_mode(False):
            return torch.Tensor._make_wrapper_subclass(
                cls, held.shape, **layout, requires_grad=False
            )

    def __init__(self, held: torch.Tensor) -> None:
        if held.dtype in (torch.float64, torch.complex128):
            raise TypeError("the pretend device has no float64")
        self.held = held

    def __repr__(self) -> str:
        return f"Walled({self.held})"

    def __deepcopy__(self, memo: dict[int, Any]) -> "Walled":
        copied = Walled(self.held.clone()).requires_grad_(self.requires_grad)
        copied._is_param = getattr(self, "_is_param", False)
        memo[id(self)] = copied
        return copied

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @property
    def data(self) -> torch.Tensor:
        return self.detach()

    @data.setter
    def data(self, new: torch.Tensor) -> None:
        if not isinstance(new, Walled) or new.shape != self.shape or new.dtype != self.dtype:
            raise RuntimeError(
                "the data of a tensor of the pretend device must be another such tensor"
            )
        self.held = new.held

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        return _call(func, *args, **(kwargs or {}))


def _call(func: Any, *args: Any, **kwargs: Any) -> Any:
    """One operation, on the CPU behind the wall."""
    if func.overloadpacket is aten.to:
        return func.decompose(*args, **kwargs)  # into _to_copy, where there is anything to do
    given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    if func not in COPIES:
        for nth, arg in enumerate(args):
            allowed = func in INDEXING and nth == 1
            strangers = [
                leaf
                for leaf in tree_leaves(arg)
                if isinstance(leaf, torch.Tensor) and not isinstance(leaf, Walled) and leaf.ndim
            ]
            if strangers and not (allowed and isinstance(args[0], Walled)):
                raise RuntimeError(
                    f"{func}: expected all tensors on one device, found a CPU tensor of shape "
                    f"{tuple(strangers[0].shape)}"
                )
    wanted = kwargs.get("device")
    before = torch.get_rng_state() if torch.Tag.nondeterministic_seeded in func.tags else None
    held = func(*tree_map(_behind, args), **tree_map(_behind, kwargs))
    if before is not None and not torch.equal(before, torch.get_rng_state()):
        raise RuntimeError(
            f"{func} draws random numbers on the pretend device, where they would not be those of "
            "the CPU"
        )
    leaves = (
        func is aten._to_copy.default and wanted is not None and torch.device(wanted).type == "cpu"
    )
    if leaves or (func is aten.copy_.default and not isinstance(args[0], Walled)):
        return args[0] if func is aten.copy_.default else held
    # an operation in place gives back what it got
    known = {id(tensor.held): tensor for tensor in given if isinstance(tensor, Walled)}
    return tree_map(
        lambda out: (
            known[id(out)]
            if id(out) in known
            else Walled(out)
            if isinstance(out, torch.Tensor)
            else out
        ),
        held,
    )


def _behind(arg: Any) -> Any:
    if isinstance(arg, torch.device):
        return torch.device("cpu")
    return arg.held if isinstance(arg, Walled) else arg


# Operations that are given no tensor, such as torch.zeros, come here.
_LIBRARY = torch.library.Library("_", "IMPL")
_LIBRARY.fallback(_call, "PrivateUse1")
# torch would make room first and then fill it in place, and a wall cannot grow.
_ATEN = torch.library.Library("aten", "IMPL")
for _name in ("arange", "arange.start", "arange.start_step"):
    _ATEN.impl(
        _name,
        partial(_call, getattr(aten.arange, _name.partition(".")[2] or "default")),
        "PrivateUse1",
    )


def _copy_from(source: torch.Tensor, into: Walled, non_blocking: bool = False) -> Walled:
    """How torch.tensor and lists as indices come to the device."""
    into.held.copy_(_behind(source))
    return into


_ATEN.impl("_copy_from", _copy_from, "PrivateUse1")


@contextmanager
def best_device(name: str) -> Iterator[None]:
    """Whatever asks for the best device is given this one."""
    real = devices.best
    devices.best = lambda: DEVICE if name == NAME else torch.device(name)
    try:
        # The engine that goes backward has a thread for each device that was there when it started.
        with torch.autograd.set_multithreading_enabled(False):
            yield
    finally:
        devices.best = real


def same(one: Any, other: Any) -> bool:
    """Whether rows (of any type) are equal, numbers up to rounding."""
    if isinstance(one, float | np.floating):
        return bool(np.isclose(one, other, rtol=1e-3, atol=1e-5, equal_nan=True))
    if isinstance(one, list | tuple) and not isinstance(one, str):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if hasattr(one, "__dataclass_fields__"):
        return all(
            same(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__
        )
    return bool(one == other)
