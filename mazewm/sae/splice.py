"""Put an SAE into the forward pass.

* ``reconstruction``: the SAE's output replaces the activation; what the SAE loses is lost.
* ``edited_latents``: ``x' = x + (z' - z) W_dec``: only the latents' change is added, and the SAE's error stays (science, "Interventions").
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.model.edits import Edit
from mazewm.model.sites import Place
from mazewm.sae.autoencoder import SparseAutoencoder

LatentEdit = Callable[[Float[Tensor, "batch pos latent"]], Float[Tensor, "batch pos latent"]]


def reconstruction(place: Place, sae: SparseAutoencoder) -> Edit:
    """The activation at every position becomes its reconstruction."""
    return Edit(place, sae)


def edited_latents(place: Place, sae: SparseAutoencoder, positions: Int[Tensor, "batch pos"], edit: LatentEdit) -> Edit:
    """The latents at the given positions of each maze become ``edit`` of them; everything else, the error included, stays."""

    def function(value: Tensor) -> Tensor:
        rows = torch.arange(len(value), device=value.device)[:, None]
        at = value[rows, positions]
        latents = sae.encode(at)
        edited = value.clone()
        edited[rows, positions] = at + (edit(latents) - latents) @ sae.W_dec
        return edited

    return Edit(place, function)
