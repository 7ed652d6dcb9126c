"""A ``HookedTransformer`` of TransformerLens, with any of its positional encodings but
``shortformer``. It can start and stop at a block, so that no block is run twice.

Written for TransformerLens 3.9; a model that exists already needs no import of it.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mazewm.elsewhere.residual import AtDepth
from mazewm.export.models import CONFIG, VOCABULARY, WEIGHTS
from mazewm.io import files, weights
from mazewm.io.errors import BadInput, in_one_line, told
from mazewm.model import devices
from mazewm.model.shapes import Resid, Tokens

# A tokenizer is not needed, and one that a configuration names could be fetched, with code to run.
OWN = {"tokenizer_name": None, "trust_remote_code": False}


class Hooked:
    """A ``HookedTransformer`` as ``Blocks`` (module ``residual``). BadInput for positions that are
    added inside attention (``shortformer``)."""

    def __init__(self, model: Any) -> None:
        cfg = model.cfg
        if cfg.positional_embedding_type == "shortformer":
            raise BadInput(
                "model: positional_embedding_type: expected positions that are added to the "
                "residual stream or used in attention, found 'shortformer'."
            )
        self.model, self.device = model.eval(), torch.device(cfg.device)
        self.n_layers, self.d_model = int(cfg.n_layers), int(cfg.d_model)
        self.d_vocab, self.n_ctx = int(cfg.d_vocab), int(cfg.n_ctx)

    def embed(self, tokens: Tokens) -> Resid:
        found: Tensor = self.model(tokens, stop_at_layer=0)
        return found

    def run(self, resid: Resid, start: int, stop: int, at_depth: AtDepth) -> Resid:
        for layer in range(start, stop):
            resid = self.model(resid, start_at_layer=layer, stop_at_layer=layer + 1)
            if layer + 1 < stop:
                resid = at_depth(layer + 1, resid)
        return resid

    def unembed(self, resid: Resid) -> Tensor:
        found: Tensor = self.model(resid, start_at_layer=self.n_layers, return_type="logits")
        return found

    def untrained(self, seed: int) -> "Hooked":
        cfg = self.model.cfg
        fresh = type(cfg).from_dict({**cfg.to_dict(), "init_weights": True, "seed": seed})
        return Hooked(type(self.model)(fresh).requires_grad_(False))


def is_hooked(model: Any) -> bool:
    """Whether it is a ``HookedTransformer``, found without importing its library."""
    return any(cls.__name__ == "HookedTransformer" for cls in type(model).__mro__)


def load_hooked(folder: Path) -> tuple[Any, list[str] | None]:
    """A ``HookedTransformer``, on the best device, and the text of each of its tokens, from a
    folder with ``config.json`` (the arguments of ``HookedTransformerConfig``),
    ``model.safetensors`` (its state dict) and, unless the tokens are mazewm's own,
    ``vocabulary.json``, the texts by id. BadInput if a file is missing or broken, or
    TransformerLens is not installed."""
    try:
        from transformer_lens import HookedTransformer, HookedTransformerConfig
    except ImportError as error:
        raise BadInput(
            f"transformer-lens: not installed, or does not import ({error}); expected it in this "
            "environment, as in .venv-bench of `make bench`."
        ) from None
    config = files.read_json(folder / CONFIG, "the configuration of a HookedTransformer")
    if not isinstance(config, dict):
        raise BadInput(f"{folder / CONFIG}: expected a mapping, found {told(config)}.")
    state = weights.read_tensors(folder / WEIGHTS, "the state dict of a HookedTransformer")
    try:
        cfg = HookedTransformerConfig(**{**config, **OWN, "device": devices.best().type})
        model = HookedTransformer(cfg)
        left = model.load_state_dict(state, strict=False)
    # which errors a configuration that cannot be raises is not documented
    except Exception as error:
        raise BadInput(
            f"{folder / CONFIG}: expected a configuration of a HookedTransformer that fits "
            f"{WEIGHTS}; TransformerLens says: {in_one_line(error)}."
        ) from None
    missing = sorted(set(left.missing_keys) & {name for name, _ in model.named_parameters()})
    if missing or left.unexpected_keys:
        raise BadInput(
            f"{folder / WEIGHTS}: expected the parameters of the configuration and no others, "
            f"found {missing[:3]} missing and {sorted(left.unexpected_keys)[:3]} unknown."
        )
    return model.requires_grad_(False), _names(folder / VOCABULARY)


def _names(file: Path) -> list[str] | None:
    if not file.exists():
        return None
    names = files.read_json(file, "a list of texts")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadInput(f"{file}: expected a list of the text of every token by its id.")
    return names
