"""Weights of a module on disk: one safetensors file, with the config that rebuilds the module as
JSON in its header.
"""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mazewm.io import files
from mazewm.io.errors import BadInput

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
        save_file(tensors, beside, header)


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
            f"{path}: not a whole safetensors file ({error}); expected the weights of a {kind}."
        ) from None
    if header.get("kind") != kind:
        raise BadInput(
            f"{path}: expected the weights of a {kind}, found those of a "
            f"{header.get('kind', 'foreign module')}."
        )
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            bad = tensor[~tensor.isfinite()][0].item()
            raise BadInput(f"{path}: {name}: expected finite weights, found {bad}.")
    return header["config"], tensors


def _header(text: str) -> dict[str, Any]:
    """The kind and config that ``save`` wrote as JSON; empty if the text is something else."""
    try:
        header = json.loads(text)
    except ValueError:
        return {}
    return header if isinstance(header, dict) and isinstance(header.get("config"), dict) else {}


def restore(path: Path, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Load ``tensors``, read from ``path``, into ``module``; BadInput if a name or shape
    differs."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise BadInput(
            f"{path}: the weights do not fit their own config ({' '.join(str(error).split())})."
        ) from None
