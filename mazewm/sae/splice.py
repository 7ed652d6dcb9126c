"""Put an SAE into the forward pass: its reconstruction replaces the activation, and what it loses
is lost.

Edits of single latents, which keep the SAE's error, are interventions and live in their room.
"""

from mazewm.inference.edits import Edit
from mazewm.model.sites import Place
from mazewm.sae.autoencoder import SparseAutoencoder


def reconstruction(place: Place, sae: SparseAutoencoder) -> Edit:
    """The activation at every position becomes its reconstruction."""
    return Edit(place, sae)
