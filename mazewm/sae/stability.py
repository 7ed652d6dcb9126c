"""Seed stability: whether an SAE trained with another seed finds the same directions
(docs/science.md#seed-stability).

Living latents (active on some held-out token) of one SAE are matched one to one with those of the
other, such that the sum of |cos| of their decoder directions is largest (the Hungarian algorithm).
The control uses as many random directions as the other SAE has living latents: those of the SAE
with a frozen decoder. It has a seed of its own, because with the trained SAE's seed its directions
would be those from which the trained SAE started."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from mazewm.io import tables
from mazewm.model.sites import Place
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.files import FROZEN, SECOND_SEED
from mazewm.sae.quality import latents_of


@dataclass(frozen=True)
class StabilityRow:
    """A latent of the trained SAE and its match in another SAE. The mean of ``cosine`` is the seed
    stability."""

    place: tables.Text
    other: tables.Text  # second_seed, or frozen_decoder as the control
    latent: tables.Int
    matched: tables.Int  # the other SAE's latent
    cosine: tables.Real  # |cos| of the two decoder directions


def compare(
    place: Place,
    trained: SparseAutoencoder,
    second: SparseAutoencoder,
    frozen: SparseAutoencoder,
    values: Float[np.ndarray, "token d_model"],
) -> list[StabilityRow]:
    """Match the trained SAE's latents with those of its second seed, and with random directions.
    Which latents are living is determined on the held-out activations ``values``."""
    own, theirs = (np.flatnonzero(latents_of(sae, values).any(axis=0)) for sae in (trained, second))
    rows = match(place, SECOND_SEED, trained, own, second, theirs)
    return rows + match(place, FROZEN, trained, own, frozen, np.arange(len(theirs)))


def match(
    place: Place,
    name: str,
    one: SparseAutoencoder,
    own: Int[np.ndarray, " own"],
    other: SparseAutoencoder,
    theirs: Int[np.ndarray, " their"],
) -> list[StabilityRow]:
    """Match the latents ``own`` of one SAE with the latents ``theirs`` of another. There is one row
    for each pair, so as many as the smaller of the two sets has latents."""
    # Decoder directions have unit norm, so their products are cosines.
    cosine = np.abs(one.W_dec.cpu().numpy()[own] @ other.W_dec.cpu().numpy()[theirs].T)
    pairs = zip(*linear_sum_assignment(cosine, maximize=True), strict=True)
    return [
        StabilityRow(
            place=str(place),
            other=name,
            latent=int(own[a]),
            matched=int(theirs[b]),
            cosine=float(cosine[a, b]),
        )
        for a, b in pairs
    ]
