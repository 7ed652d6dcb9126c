"""Splicing an SAE into the forward pass: its reconstruction replaces the activation, without the
reconstruction error.

Edits of single latents, which keep the error, are in the package ``interventions``.
"""

from mazewm.inference.edits import Edit
from mazewm.model.sites import Place
from mazewm.sae.autoencoder import SparseAutoencoder


def reconstruction(place: Place, sae: SparseAutoencoder) -> Edit:
    """An edit that replaces the activation at every position by its reconstruction."""
    return Edit(place, sae)
