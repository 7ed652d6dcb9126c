"""Dictionaries of dictionary_learning: from the object itself, or from a folder with its weights as
safetensors and its ``config.json``.

That library saves ``ae.pt``, a pickle, which can run any code when it is read. mazewm never loads a
pickle; docs/exchange.md shows the two lines that write safetensors from it. Written for
dictionary_learning 0.1, without need of it. By the class of the dictionary:

* ``AutoEncoder``, ``AutoEncoderNew``: our ``relu``; the latter subtracts no bias from its input.
* ``AutoEncoderTopK``: our ``topk``, as its ``encode`` is (it does not use its threshold).
* ``BatchTopKSAE``, ``MatryoshkaBatchTopKSAE``: our ``batch_topk`` and ``matryoshka``, with the
  threshold that they use after training. A latent is active above it, and above 0.
* ``JumpReluAutoEncoder``: our ``jumprelu``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mazewm.elsewhere.saes import Weights, folded, tensors_of
from mazewm.io import files
from mazewm.io.errors import BadInput, told
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.params import Architecture

CONFIG, WEIGHTS = "config.json", "ae.safetensors"


class _Form(NamedTuple):
    """How a class stores its weights."""

    activation: Architecture
    is_linear: bool  # encoder and decoder are torch.nn.Linear
    b_dec: str  # the name of the decoder's bias
    subtracts_b_dec: bool = True
    further: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        own = ("encoder.weight", "encoder.bias", "decoder.weight")
        return (
            *(own if self.is_linear else ("W_enc", "b_enc", "W_dec")),
            self.b_dec,
            *self.further,
        )


FORMS = {
    "AutoEncoder": _Form("relu", True, "bias"),
    "AutoEncoderNew": _Form("relu", True, "decoder.bias", subtracts_b_dec=False),
    "AutoEncoderTopK": _Form("topk", True, "b_dec", further=("k",)),
    "BatchTopKSAE": _Form("batch_topk", True, "b_dec", further=("threshold",)),
    "MatryoshkaBatchTopKSAE": _Form("matryoshka", False, "b_dec", further=("threshold",)),
    "JumpReluAutoEncoder": _Form(
        "jumprelu", False, "b_dec", subtracts_b_dec=False, further=("threshold",)
    ),
}


def foreign_dictionary(dictionary: Any) -> SparseAutoencoder:
    """A dictionary as our SAE. ``dictionary`` is the object, or the path of a folder with
    ``ae.safetensors``, its state dict, and ``config.json``, whose ``trainer.dict_class`` names its
    class, as dictionary_learning writes it. BadInput if a file is missing or broken, for another
    class, and for weights that do not fit it."""
    if isinstance(dictionary, str | Path):
        return _from_folder(Path(dictionary))
    name = type(dictionary).__name__
    form = _form(name, "dictionary")
    if name == "JumpReluAutoEncoder":
        form = form._replace(subtracts_b_dec=bool(dictionary.apply_b_dec_to_input))
    if name == "MatryoshkaBatchTopKSAE":
        n, n_all = dictionary.active_groups, len(dictionary.group_indices) - 1
        if n != n_all:
            raise BadInput(
                f"dictionary: active_groups: expected all {n_all} groups to be active, found {n}."
            )
    state = {key: value.detach().float().cpu() for key, value in dictionary.state_dict().items()}
    missing = [key for key in form.names if key not in state]
    if missing:
        raise BadInput(f"dictionary: expected a tensor {missing[0]!r}, found {sorted(state)}.")
    return _sae(state, form, "dictionary")


def _from_folder(folder: Path) -> SparseAutoencoder:
    if folder.suffix and not folder.is_dir():  # a file, such as ae.pt: says what is wrong with it
        tensors_of(folder, ())
    file = folder / CONFIG
    config = files.read_json(file, "the configuration that dictionary_learning writes")
    trainer = config.get("trainer") if isinstance(config, dict) else None
    name = trainer.get("dict_class") if isinstance(trainer, dict) else None
    form = _form(name, f"{file}: trainer.dict_class")
    return _sae(tensors_of(folder / WEIGHTS, form.names), form, str(folder / WEIGHTS))


def _form(name: object, where: str) -> _Form:
    if not isinstance(name, str) or name not in FORMS:
        raise BadInput(f"{where}: expected one of {list(FORMS)}, found {told(name)}.")
    return FORMS[name]


def _sae(state: Mapping[str, Tensor], form: _Form, where: str) -> SparseAutoencoder:
    encoder, b_enc, decoder, b_dec = (state[name] for name in form.names[:4])
    for name in (form.names[0], form.names[2]):
        if state[name].ndim != 2:
            found = list(state[name].shape)
            raise BadInput(f"{where}: {name}: expected a matrix, found shape {found}.")
    if form.is_linear:
        encoder, decoder = encoder.T, decoder.T
    threshold = state.get("threshold")
    # with a threshold below 0, as before training, all positive latents are active
    threshold = threshold.clamp(min=0) if threshold is not None else None
    weights = Weights(encoder, b_enc, decoder, b_dec, form.subtracts_b_dec, threshold)
    k = state.get("k", torch.zeros(()))
    if k.numel() != 1 or not float(k.reshape(())).is_integer():
        raise BadInput(f"{where}: k: expected a whole number, found {told(k.tolist())}.")
    return folded(weights, form.activation, int(k.reshape(())), where)
