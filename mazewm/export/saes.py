"""A sparse autoencoder as a folder that SAELens loads with ``SAE.load_from_disk``.

Written for SAELens 6, without need of it. Weights have the same names, shapes and meaning there;
nothing is scaled. What becomes what:

* ``relu`` is their ``standard``, ``topk`` their ``topk``.
* ``batch_topk`` and ``matryoshka`` are their ``jumprelu``, with our one threshold for every latent:
  after training all three keep the latents above a threshold. SAELens saves its own BatchTopK for
  inference like this. That a Matryoshka SAE's prefixes reconstruct by themselves stays true of its
  weights, but nothing in the configuration says so.

The metadata name the hook of the exported transformer (module ``models``) whose values the SAE
reads.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from mazewm.export.models import hook_name
from mazewm.export.outputs import made_at
from mazewm.io import files, weights
from mazewm.io.errors import BadInput
from mazewm.model.sites import Place
from mazewm.run import Run
from mazewm.sae.autoencoder import THRESHOLDED, SparseAutoencoder
from mazewm.sae.files import (
    RANDOM_SAES,
    SAES,
    TRAINED,
    UNTRAINED_MODEL,
    file_name,
    load_sae,
)
from mazewm.sae.params import Architecture

SUFFIX = ".safetensors"
CONFIG, WEIGHTS = "cfg.json", "sae_weights.safetensors"
FORMAT = "6.0.0"  # the version of SAELens that began to write its configuration like this

ARCHITECTURES: dict[Architecture, str] = {
    "relu": "standard",
    "topk": "topk",
    "batch_topk": "jumprelu",
    "matryoshka": "jumprelu",
    "jumprelu": "jumprelu",
}


@dataclass(frozen=True)
class Origin:
    """Which of a run's SAEs it is: the transformer, where it reads, and its kind
    (``mazewm.sae.files``)."""

    model: str
    place: Place
    kind: str


def sae_config(sae: SparseAutoencoder, origin: Origin) -> dict[str, Any]:
    """The content of SAELens's ``cfg.json``. BadInput for a place inside attention."""
    shape = sae.shape
    own = {"k": shape.k, "rescale_acts_by_decoder_norm": False}
    # this control reads another transformer: the same architecture with random weights
    model = f"{origin.model}-untrained" if origin.kind == UNTRAINED_MODEL else origin.model
    return {
        "architecture": ARCHITECTURES[shape.activation],
        "d_in": shape.d_model,
        "d_sae": shape.n_latents,
        **(own if shape.activation == "topk" else {}),
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "sae_lens_version": FORMAT,
            "sae_lens_training_version": None,
            "model_name": model,
            "model_class_name": "HookedTransformer",
            "hook_name": hook_name(origin.place),
            "prepend_bos": False,
            "mazewm_kind": origin.kind,
            "mazewm_activation": shape.activation,
        },
    }


def sae_state(sae: SparseAutoencoder) -> dict[str, Tensor]:
    """All parameters by their names in SAELens, on the CPU."""
    state = {name: getattr(sae, name) for name in ("W_enc", "b_enc", "W_dec", "b_dec")}
    if sae.shape.activation in THRESHOLDED:
        state["threshold"] = sae.threshold.expand_as(sae.b_enc)
    return {name: weight.detach().cpu().contiguous() for name, weight in state.items()}


def export_sae(sae: SparseAutoencoder, origin: Origin, folder: Path) -> None:
    """Write a new folder with ``cfg.json`` and ``sae_weights.safetensors``. BadInput if the folder
    is there already, or for a place inside attention."""
    config = sae_config(sae, origin)
    with made_at(folder) as beside:
        beside.mkdir()
        files.write_json(beside / CONFIG, config)
        weights.write_tensors(beside / WEIGHTS, sae_state(sae), {"format": "pt"})


def kinds_at(run: Run, place: Place) -> list[str]:
    """The kinds of a run's SAEs at a place, the one at the operating point first."""
    folders = (run.folder(name) for name in (SAES, RANDOM_SAES))
    names = {path.name for folder in folders for path in folder.glob(f"{place}.*")}
    ends = [name.removeprefix(f"{place}.").removesuffix(SUFFIX) for name in sorted(names)]
    kinds = [end for end in ends if file_name(place, end) in names]
    return [TRAINED, *kinds] if file_name(place) in names else kinds


def sae_of(run: Run, place: Place, kind: str) -> SparseAutoencoder:
    """One of a run's SAEs; BadInput that names those that there are, if it is none of them."""
    kinds, folder = kinds_at(run, place), run.folder(SAES)
    if not kinds:
        names = (path.name.split(".") for path in folder.glob(f"[0-9]*.*{SUFFIX}"))
        places = sorted({f"{layer}.{site}" for layer, site, *_ in names})
        raise BadInput(f"{folder}: expected one of the places {places}, found '{place}'.")
    if kind not in kinds:
        raise BadInput(f"{folder}: {place}: expected one of the kinds {kinds}, found {kind!r}.")
    return load_sae(run, place, kind)
