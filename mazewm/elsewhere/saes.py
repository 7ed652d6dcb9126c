"""Sparse autoencoders of SAELens, from the folder that its ``SAE.save_model`` writes: ``cfg.json``
and ``sae_weights.safetensors``.

Written for SAELens 6, without need of it. Latents and reconstructions are the same; what differs in
form is folded into the weights:

* ``standard`` is our ``relu``, ``topk`` our ``topk``, ``jumprelu`` our ``jumprelu``, each latent
  with its own threshold (a BatchTopK SAE is saved as ``jumprelu``, too).
* Ours always subtract the decoder's bias first; without ``apply_b_dec_to_input`` it is added to the
  encoder's. With ``rescale_acts_by_decoder_norm`` the norms go from decoder to encoder.
* Activations that SAELens would normalise or reshape are refused.
"""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mazewm.export.models import HOOKS
from mazewm.export.saes import CONFIG, WEIGHTS
from mazewm.io import files
from mazewm.io import weights as weights_file
from mazewm.io.errors import BadInput, told
from mazewm.model import devices
from mazewm.model.sites import Place
from mazewm.sae.autoencoder import SaeShape, SparseAutoencoder
from mazewm.sae.params import Architecture

ACTIVATIONS: dict[str, Architecture] = {"standard": "relu", "topk": "topk", "jumprelu": "jumprelu"}
NAMES = ("W_enc", "b_enc", "W_dec", "b_dec")
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle")


class Placed(NamedTuple):
    """An SAE, and the place whose values it reads."""

    sae: SparseAutoencoder
    place: Place


class Weights(NamedTuple):
    """The weights of a linear encoder and decoder, as they are before they are folded."""

    W_enc: Tensor  # [d_model, latent]
    b_enc: Tensor
    W_dec: Tensor  # [latent, d_model]
    b_dec: Tensor
    subtracts_b_dec: bool  # from what is encoded
    threshold: Tensor | None = None  # of all latents or of each; above it a latent is active


def folded(weights: Weights, activation: Architecture, k: int, where: str) -> SparseAutoencoder:
    """Our SAE with the same latents and reconstructions, on the best device. ``k`` is used by
    ``topk`` only. BadInput, which ``where`` begins, if the shapes do not fit one another, or if a
    number is not finite."""
    if weights.W_enc.ndim != 2:
        raise BadInput(
            f"{where}: expected W_enc of shape [d_model, latent], found "
            f"{list(weights.W_enc.shape)}."
        )
    d_model, n_latents = weights.W_enc.shape
    wanted = {"b_enc": (n_latents,), "W_dec": (n_latents, d_model), "b_dec": (d_model,)}
    for name, shape in wanted.items():
        if tuple(found := getattr(weights, name).shape) != shape:
            raise BadInput(f"{where}: {name}: expected shape {list(shape)}, found {list(found)}.")
    if activation == "topk" and not 0 < k <= n_latents:
        raise BadInput(f"{where}: k: expected 1 to {n_latents}, as many as latents, found {k}.")
    k = k if activation == "topk" else n_latents
    sae = SparseAutoencoder(
        SaeShape(activation=activation, d_model=d_model, n_latents=n_latents, k=k)
    )
    if weights.threshold is not None and weights.threshold.shape != sae.threshold.shape:
        # one threshold of all latents does for each
        if weights.threshold.numel() != 1:
            raise BadInput(
                f"{where}: threshold: expected shape {list(sae.threshold.shape)}, found "
                f"{list(weights.threshold.shape)}."
            )
        weights = weights._replace(
            threshold=weights.threshold.reshape(()).expand(sae.threshold.shape)
        )
    with torch.no_grad():
        for name in NAMES:
            getattr(sae, name).copy_(getattr(weights, name))
        if not weights.subtracts_b_dec:
            sae.b_enc.add_(sae.b_dec @ sae.W_enc)
        if weights.threshold is not None:
            sae.threshold.copy_(weights.threshold)
    weights_file.check_finite(where, sae.state_dict())
    return sae.to(devices.best()).eval().requires_grad_(False)


def foreign_sae(folder: Path | str) -> Placed:
    """The SAE in a folder of SAELens. BadInput if a file is missing or broken, or for an SAE that
    mazewm cannot have: another architecture or normalisation, or a hook that is no place."""
    folder = Path(folder)
    file = folder / CONFIG
    config = files.read_json(file, "the configuration that SAELens saves")
    if not isinstance(config, dict):
        raise BadInput(f"{file}: expected a mapping, found a {type(config).__name__}.")
    architecture = config.get("architecture")
    if not isinstance(architecture, str) or architecture not in ACTIVATIONS:
        raise BadInput(
            f"{file}: architecture: expected one of {list(ACTIVATIONS)}, found "
            f"{told(architecture)}."
        )
    for key in ("normalize_activations", "reshape_activations"):
        if config.get(key, "none") != "none":
            raise BadInput(f"{file}: {key}: expected 'none', found {told(config[key])}.")
    metadata = config.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    version = str(metadata.get("sae_lens_version"))
    if not version.partition(".")[0].isdecimal() or int(version.partition(".")[0]) < 6:
        raise BadInput(
            f"{file}: metadata.sae_lens_version: expected 6 or later, whose load_from_disk and "
            f"save_model write older files anew, found "
            f"{told(metadata.get('sae_lens_version'))}."
        )
    place = place_of(metadata.get("hook_name"), f"{file}: metadata.hook_name")
    k = config.get("k") if architecture == "topk" else 0
    if type(k) is not int:
        raise BadInput(f"{file}: k: expected a whole number, found {told(k)}.")
    return Placed(_sae(folder / WEIGHTS, config, ACTIVATIONS[architecture], k), place)


def _sae(file: Path, config: dict[str, Any], activation: Architecture, k: int) -> SparseAutoencoder:
    names = (*NAMES, "threshold") if activation == "jumprelu" else NAMES
    state = tensors_of(file, names)
    if config.get("rescale_acts_by_decoder_norm", False):
        norm = state["W_dec"].norm(dim=-1)
        state["W_enc"], state["b_enc"] = state["W_enc"] * norm, state["b_enc"] * norm
        state["W_dec"] = state["W_dec"] / norm[:, None]
    W_enc, b_enc, W_dec, b_dec = (state[name] for name in NAMES)
    is_input = bool(config.get("apply_b_dec_to_input", True))
    own = Weights(W_enc, b_enc, W_dec, b_dec, is_input, state.get("threshold"))
    return folded(own, activation, k, str(file))


def tensors_of(file: Path, names: tuple[str, ...]) -> dict[str, Tensor]:
    """The named tensors of a safetensors file, in 32 bits. BadInput if one is missing, the file is
    broken, or it is a pickle, which can run any code and is never loaded."""
    if file.suffix in PICKLES:
        raise BadInput(
            f"{file}: expected a safetensors file, found a pickle, which mazewm never loads; "
            "docs/exchange.md shows the two lines that turn it into one."
        )
    state = weights_file.read_tensors(file, "the weights of an SAE")
    for name in names:
        if name not in state:
            raise BadInput(f"{file}: expected a tensor {name!r}, found only {sorted(state)}.")
    return {name: state[name].float() for name in names}


def place_of(hook: object, where: str) -> Place:
    """The place of a hook of TransformerLens, such as ``blocks.0.hook_resid_post``. BadInput, which
    ``where`` begins, for a hook that is not at a place with one vector for each token.

    >>> str(place_of("blocks.2.hook_resid_post", "cfg.json"))
    '2.resid_post'
    """
    sites = {name: site for site, name in HOOKS.items()}
    parts = hook.split(".", 2) if isinstance(hook, str) else []
    if len(parts) == 3 and parts[0] == "blocks" and parts[1].isdecimal() and parts[2] in sites:
        return Place(int(parts[1]), sites[parts[2]])
    raise BadInput(f"{where}: expected blocks.LAYER. and one of {list(sites)}, found {told(hook)}.")
