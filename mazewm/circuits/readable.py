"""A location together with the SAE latents that stand for connections there."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from mazewm.localize.locations import Location
from mazewm.sae.autoencoder import SparseAutoencoder


@dataclass(frozen=True)
class Readable:
    """A location, the SAE of its place, and the latent that stands best for each connection;
    ``best_latent`` is empty where none is known."""

    location: Location
    sae: SparseAutoencoder
    best_latent: Mapping[int, int]  # connection -> latent

    def latents_of(self, connections: Int[np.ndarray, "*any"]) -> Int[np.ndarray, "*any"]:
        """The best latent of each of these connections; -1 where none is known."""
        lookup = np.full(1 + max([int(connections.max()), *self.best_latent]), -1)
        lookup[list(self.best_latent)] = list(self.best_latent.values())
        return lookup[connections]

    @property
    def connections(self) -> list[int]:
        """The connections for which a latent is known, in ascending order."""
        return sorted(self.best_latent)
