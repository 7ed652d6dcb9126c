"""Does another seed find the same directions?

Living latents of an SAE (active on some held-out token) are matched one to one with those of
another, so that the sum of |cos| of their decoder directions is largest (the Hungarian algorithm;
docs/science.md#seed-stability). Control: as many random directions as the other SAE has living
latents, those of a frozen decoder. That has a third seed: with the trained SAE's it would have the
directions from which this one started."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from mazewm.io import tables
from mazewm.model.sites import Place
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.quality import latents_of

SECOND_SEED, RANDOM = "second_seed", "frozen_decoder"
SEEDS = {SECOND_SEED: 1, RANDOM: 2}  # counted from the trained SAE's


@dataclass(frozen=True)
class StabilityRow:
    """A latent of the trained SAE and its match in another; the mean of ``cosine`` is the
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
    """The trained SAE against its second seed and against random directions, on held-out
    ``values``."""
    own, theirs = (np.flatnonzero(latents_of(sae, values).any(axis=0)) for sae in (trained, second))
    rows = match(place, SECOND_SEED, trained, own, second, theirs)
    return rows + match(place, RANDOM, trained, own, frozen, np.arange(len(theirs)))


def match(
    place: Place,
    name: str,
    one: SparseAutoencoder,
    own: Int[np.ndarray, " own"],
    other: SparseAutoencoder,
    theirs: Int[np.ndarray, " their"],
) -> list[StabilityRow]:
    """One row for each matched pair of these latents: as many as there are of the fewer."""
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
