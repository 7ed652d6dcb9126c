"""For every connection at one site: the latents that stand for it, and supervised directions for
it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from mazewm.io.errors import BadInput
from mazewm.localize.activations import Activations
from mazewm.localize.directions import mean_differences, probe_directions
from mazewm.localize.locations import Location
from mazewm.maze.lattice import Lattice
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.quality import latents_of


class LatentSets(NamedTuple):
    """A set of latents for every connection, and each latent's mean activation where the connection
    is encoded."""

    ids: Int[np.ndarray, "connection n"]
    mean_on: Float[np.ndarray, "connection n"]
    # the latents of its two cells, n for each cell, without those in ``ids``
    of_cells: Int[np.ndarray, "connection 2n"]


@dataclass(frozen=True)
class Directions:
    """Latents and supervised directions of every connection at one site."""

    site: Location
    is_main: bool  # whether it is the writing site, at which all kinds of edits are made
    sae: SparseAutoencoder
    sets: dict[int, LatentSets]  # by size
    mean_difference: Float[np.ndarray, "connection d_model"]
    probe_direction: Float[np.ndarray, "connection d_model"]  # scaled to that length
    density: Float[np.ndarray, " latent"]  # share of the site's tokens at which a latent is active


class OwnLatents(NamedTuple):
    """The latents that stand for each connection, the best first; zeros for a connection without a
    known latent."""

    ids: Int[np.ndarray, "connection n"]
    mean_on: Float[np.ndarray, "connection n"]


def own_latents(ranked: pd.DataFrame, grid: Lattice, n: int) -> OwnLatents:
    """For each connection its best latent by F1, then those with the largest ``mean_on -
    mean_off``, ``n`` in all; ``ranked`` are the LatentRows of one site.

    BadInput if fewer than ``n`` latents were ranked for some connection."""
    n_ranked = int(ranked.groupby("connection").size().min())
    if n > n_ranked:
        raise BadInput(
            f"params.yaml: interventions.set_sizes: expected at most {n_ranked}, as many latents "
            "as the feature map ranked for every "
            f"connection (features.n_candidates), found {n}."
        )
    ids, mean_on = np.zeros((grid.n_connections, n), int), np.zeros((grid.n_connections, n))
    for e, rows in ranked.groupby("connection"):
        strongest = rows.assign(gain=rows.mean_on - rows.mean_off).sort_values(
            "gain", ascending=False
        )
        first = rows[rows["rank"] == 0]
        chosen = pd.concat([first, strongest[strongest.latent != first.latent.iloc[0]]]).head(n)
        ids[e], mean_on[e] = chosen.latent, chosen.mean_on
    return OwnLatents(ids, mean_on)


def latent_sets(
    ranked: pd.DataFrame, cell_gain: Float[np.ndarray, "cell latent"], grid: Lattice, n: int
) -> LatentSets:
    """The ``n`` latents of each connection, and ``n`` of each of its two cells."""
    ids, mean_on = own_latents(ranked, grid, n)
    of_cells = []
    for cell in grid.ends.T:
        gain = cell_gain[cell]
        np.put_along_axis(gain, ids, -np.inf, axis=1)
        of_cells.append(np.argsort(-gain, axis=1, kind="stable")[:, :n])
    return LatentSets(ids, mean_on, np.concatenate(of_cells, axis=1))


def cell_gains(
    latents: Float[np.ndarray, "token latent"], connection: Int[np.ndarray, " token"], grid: Lattice
) -> Float[np.ndarray, "cell latent"]:
    """Mean activation of each latent at the tokens whose connection touches a cell, less its mean
    at the other tokens; zero if either set of tokens is empty."""
    by_connection = np.zeros((grid.n_connections, latents.shape[1]))
    counts = np.zeros(grid.n_connections)
    for e in range(grid.n_connections):
        on = connection == e
        by_connection[e], counts[e] = latents[on].sum(axis=0, dtype=np.float64), on.sum()
    gains = np.zeros((grid.n_cells, latents.shape[1]))
    for cell in range(grid.n_cells):
        touches = (grid.ends == cell).any(axis=1)
        if counts[touches].any() and counts[~touches].any():
            inside, outside = (
                by_connection[some].sum(axis=0) / counts[some].sum() for some in (touches, ~touches)
            )
            gains[cell] = inside - outside
    return gains


def directions_at(
    site: Location,
    is_main: bool,
    sae: SparseAutoencoder,
    ranked: pd.DataFrame,
    tokens: Activations,
    grid: Lattice,
    set_sizes: list[int],
) -> Directions:
    """Latents and directions at a site. Sets of latents come from the feature map (``ranked``, the
    LatentRows of all sites), the rest from ``tokens``, the site's tokens of training mazes.

    BadInput if no latent of the SAE is active on these tokens."""
    latents = latents_of(sae, tokens.values)
    density = (latents > 0).mean(axis=0)
    if not density.any():
        raise BadInput(
            f"{site}: the SAE is dead, for none of its latents is active at any token of training "
            "mazes; expected some that are."
        )
    gains = cell_gains(latents, tokens.connection, grid)
    mine = ranked[ranked.site == str(site)]
    sets = {n: latent_sets(mine, gains, grid, n) for n in set_sizes}
    difference = mean_differences(tokens.values, tokens.connection, grid.n_connections)
    probe = probe_directions(tokens.values, tokens.connection, grid.n_connections)
    length = np.linalg.norm(probe, axis=1, keepdims=True)
    scale = np.linalg.norm(difference, axis=1, keepdims=True) / np.where(length > 0, length, 1)
    return Directions(site, is_main, sae, sets, difference, probe * scale, density)
