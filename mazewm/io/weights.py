"""Weights of a module on disk: one safetensors file, with the config that rebuilds the module as
JSON in its header.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mazewm.io import files
from mazewm.io.errors import BadInput, in_one_line

HEADER = "mazewm"


def save(path: Path, kind: str, config: dict[str, Any], module: nn.Module) -> None:
    """Write the module's state dict and ``config``. ``kind`` labels the file with the type of
    module. An existing file is replaced."""
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()
    }
    # Only one metadata key: the order of several would differ from save to save, and so would the
    # file's bytes.
    header = {HEADER: json.dumps({"kind": kind, "config": config}, sort_keys=True)}
    with files.replacing_file(path) as beside:
        write_tensors(beside, tensors, header)


def write_tensors(path: Path, tensors: dict[str, Tensor], header: dict[str, str]) -> None:
    """Write a safetensors file directly, not under another name. OSError if that is impossible."""
    try:
        save_file(tensors, path, header)
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None


def load(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config and the tensors in a file. BadInput if the file is missing or broken, holds
    another kind of module, or has weights that are not finite."""
    try:
        with safe_open(path, framework="pt") as file:
            header = _header((file.metadata() or {}).get(HEADER, "{}"))
            # The file itself is not iterable.
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing; expected the weights of a {kind}.") from None
    except (SafetensorError, OSError) as error:
        raise BadInput(
            f"{path}: not a whole safetensors file ({in_one_line(error)}); expected the "
            f"weights of a {kind}."
        ) from None
    if header.get("kind") != kind:
        raise BadInput(
            f"{path}: expected the weights of a {kind}, found those of a "
            f"{header.get('kind', 'foreign module')}."
        )
    check_finite(path, tensors)
    return header["config"], tensors


def read_tensors(path: Path, what: str) -> dict[str, Tensor]:
    """The tensors in a safetensors file of another library. BadInput if the file is missing or
    broken, or has numbers that are not finite; ``what`` completes the message "expected ..."."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing; expected {what}.") from None
    except (OSError, SafetensorError) as error:
        raise BadInput(
            f"{path}: not a whole safetensors file ({in_one_line(error)}); expected {what}."
        ) from None
    check_finite(path, tensors)
    return tensors


def check_finite(where: Path | str, tensors: Mapping[str, Tensor]) -> None:
    """BadInput, which ``where`` begins, if a number of ``tensors`` is infinite or not a number."""
    for name, tensor in tensors.items():
        # as 32 bits hold them
        numbers = tensor.float() if tensor.is_floating_point() else tensor
        if not (is_finite := numbers.isfinite()).all():
            bad = numbers[~is_finite][0].item()
            raise BadInput(f"{where}: {name}: expected finite weights, found {bad}.")


def _header(text: str) -> dict[str, Any]:
    """The kind and config that ``save`` wrote as JSON; empty if the text is something else."""
    try:
        header = json.loads(text)
    except ValueError:
        return {}
    return header if isinstance(header, dict) and isinstance(header.get("config"), dict) else {}


def check_sizes(
    path: Path, tensors: Mapping[str, Tensor], sizes: Mapping[str, tuple[int, ...]]
) -> None:
    """BadInput if a tensor, read from ``path``, whose name ends with a key of ``sizes`` has another
    shape. Asked before a module is made, which a wrong config would make far too large."""
    for name, tensor in tensors.items():
        for end, size in sizes.items():
            if name.endswith(end) and tuple(tensor.shape) != size:
                raise BadInput(
                    f"{path}: {name}: the weights do not fit their own config: expected shape "
                    f"{list(size)}, found {list(tensor.shape)}."
                )
    missing = [end for end in sizes if not any(name.endswith(end) for name in tensors)]
    if missing:
        raise BadInput(f"{path}: the weights do not fit their own config: {missing[0]} is missing.")


def restore(path: Path, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Load ``tensors``, read from ``path``, into ``module``; BadInput if a name, shape or type
    differs."""
    for name, own in module.state_dict().items():
        if name in tensors and tensors[name].dtype != own.dtype:
            raise BadInput(
                f"{path}: {name}: expected numbers of {own.dtype}, found {tensors[name].dtype}."
            )
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise BadInput(
            f"{path}: the weights do not fit their own config ({in_one_line(error)})."
        ) from None
