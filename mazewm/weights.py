"""Weights on disk: one safetensors file, with the JSON that rebuilds the module in its header."""

import json
import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mazewm.errors import BadInput


def save(path: Path, kind: str, config: dict[str, Any], module: nn.Module) -> None:
    """Write the module's state and ``config``, labelled with its ``kind``; an old file is replaced whole."""
    beside = path.with_name(path.name + ".part")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    save_file(tensors, beside, {"kind": kind, "config": json.dumps(config, sort_keys=True)})
    os.replace(beside, path)


def load(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config and the tensors of a file that holds a ``kind``; BadInput if it does not."""
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except FileNotFoundError:
        raise BadInput(f"{path}: the file is missing; expected the weights of a {kind}.") from None
    except (SafetensorError, OSError) as error:
        raise BadInput(f"{path}: not a whole safetensors file ({error}); expected the weights of a {kind}.") from None
    if header.get("kind") != kind:
        raise BadInput(f"{path}: expected the weights of a {kind}, found those of a {header.get('kind', 'foreign module')}.")
    return json.loads(header["config"]), tensors


def restore(path: Path, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put ``tensors`` into ``module``; BadInput if a name or shape differs."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise BadInput(f"{path}: the weights do not fit their own config ({' '.join(str(error).split())}).") from None
