"""What is done to a model: which direction is put where, how strongly; the controls and baselines beside it.

Every condition adds something to the residual stream at one site. For latents it is ``(z' - z) W_dec``, so that the SAE's
error stays (science, "Interventions"):

* add: ``z' = max(z, dose * mean_on)`` for the latents of e; remove: ``z' = (1 - dose) z``, so that dose 1 zeroes them.
* ``mean_difference``: plus (add) or minus (remove) ``dose`` times the supervised direction.
* controls: ``random_direction`` (of the same length as what the largest set of latents adds at that token),
  ``random_latents`` (as many others, about as often active, at the same values), ``other_connection`` (another absent
  connection's latents; to remove: ``other_latents``, the strongest others of the same token) and ``no_op`` (z' = z), which
  checks the machinery and cannot follow. To remove, latents that are silent at the token have nothing to lose, so there
  ``random_direction`` is the control that counts.
* ``fixed_value`` uses one value for every connection, where ``latents`` uses each latent's own mean.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.activations import Activations
from mazewm.consolidation import SpellingSite
from mazewm.directions import mean_differences
from mazewm.maze.examples import Examples
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.quality import encode
from mazewm.tokens import Spelled, spelling_positions

Method = Literal[
    "no_op",
    "latents",
    "fixed_value",
    "mean_difference",
    "random_latents",
    "random_direction",
    "other_connection",
    "other_latents",
    "tokens",
]
Where = Literal["borrowed", "all", "own"]


N_NEAR = 10  # latents of nearest density among which a random one is drawn


@dataclass(frozen=True)
class Condition:
    """One thing that is done to every example."""

    method: Method
    where: Where
    n_latents: int  # 0 for methods without latents
    dose: float


class LatentSets(NamedTuple):
    """A set of latents for every connection, and what each is worth when its connection is there."""

    ids: Int[np.ndarray, "connection n"]
    mean_on: Float[np.ndarray, "connection n"]


@dataclass(frozen=True)
class Directions:
    """What is known of every connection at one site."""

    site: SpellingSite
    is_found: bool  # the consolidation site, rather than the paper's beside it
    sae: SparseAutoencoder
    sets: dict[int, LatentSets]  # by size
    mean_difference: Float[np.ndarray, "connection d_model"]
    density: Float[np.ndarray, " latent"]  # share of the site's tokens at which a latent is active


def latent_sets(ranked: pd.DataFrame, n_connections: int, n: int) -> LatentSets:
    """The best latent of each connection by F1, then those with the largest ``mean_on - mean_off``, n in all (rows of LatentRow)."""
    ids, mean_on = np.zeros((n_connections, n), int), np.zeros((n_connections, n))
    for e, rows in ranked.groupby("connection"):
        strongest = rows.assign(gain=rows.mean_on - rows.mean_off).sort_values("gain", ascending=False)
        first = rows[rows["rank"] == 0]
        chosen = pd.concat([first, strongest[strongest.latent != first.latent.iloc[0]]]).head(n)
        # A connection with fewer ranked latents than n repeats its best one, which changes nothing.
        filled = chosen.iloc[[*range(len(chosen)), *[0] * (n - len(chosen))]]
        ids[e], mean_on[e] = filled.latent, filled.mean_on
    return LatentSets(ids, mean_on)


def directions_at(
    site: SpellingSite,
    is_found: bool,
    sae: SparseAutoencoder,
    ranked: pd.DataFrame,
    tokens: Activations,
    n_connections: int,
    set_sizes: list[int],
) -> Directions:
    """What there is to know at a site: latents from the feature map, the supervised direction and densities from training mazes."""
    sets = {n: latent_sets(ranked[ranked.site == str(site)], n_connections, n) for n in set_sizes}
    differences = mean_differences(tokens.values, tokens.connection, n_connections)
    return Directions(site, is_found, sae, sets, differences, (encode(sae, tokens.values) > 0).mean(axis=0))


def positions(
    condition: Condition, examples: Examples, spelled: Spelled, site: SpellingSite, rng: np.random.Generator
) -> Int[np.ndarray, "maze pos"]:
    """Where each maze is edited: at the token of a random connection, of every one, or of the edited one itself."""
    n = spelled.n_connections
    at = spelling_positions(n, site.token_class)
    if condition.where == "all":
        return np.broadcast_to(at, (len(examples), n)).copy()
    if condition.where == "borrowed":
        return at[rng.integers(n, size=(len(examples), 1))]
    nth = (spelled.order == examples.connection[:, None]).argmax(axis=1)
    return at[nth][:, None]


def delta(
    condition: Condition, examples: Examples, directions: Directions, value: Float[Tensor, "batch pos d_model"], rng: np.random.Generator
) -> Float[Tensor, "batch pos d_model"]:
    """What the condition adds to the activations at the chosen positions."""
    sign = 1.0 if examples.kind == "add" else -1.0
    if condition.method == "mean_difference":
        arrow = directions.mean_difference[examples.connection]
        return torch.from_numpy(sign * condition.dose * arrow).to(value)[:, None, :].expand_as(value)
    latents = directions.sae.encode(value)
    if condition.method == "random_direction":
        twin = replace(condition, method="latents", n_latents=max(directions.sets))
        size = ((_edited(twin, examples, directions, latents, rng) - latents) @ directions.sae.W_dec).norm(dim=-1, keepdim=True)
        random = torch.from_numpy(rng.standard_normal((len(value), 1, value.shape[2]))).to(value)
        return random / random.norm(dim=-1, keepdim=True) * size
    return (_edited(condition, examples, directions, latents, rng) - latents) @ directions.sae.W_dec


def _edited(
    condition: Condition, examples: Examples, directions: Directions, latents: Float[Tensor, "batch pos latent"], rng: np.random.Generator
) -> Float[Tensor, "batch pos latent"]:
    """The latents as the condition wants them."""
    if condition.method == "no_op":
        return latents
    ids, values = directions.sets[condition.n_latents]
    chosen, wanted = ids[examples.connection], values[examples.connection]
    if condition.method == "other_connection":
        other = _absent_connection(examples, rng)
        chosen, wanted = ids[other], values[other]
    elif condition.method == "fixed_value":
        wanted = np.broadcast_to(values[:, :1].mean(), wanted.shape)
    elif condition.method == "random_latents":
        chosen = _as_dense(directions.density, chosen, rng)
    index = torch.from_numpy(chosen).to(latents.device)
    if condition.method == "other_latents":
        hidden = latents.scatter(-1, index[:, None, :].expand(-1, latents.shape[1], -1), -1.0)
        index = hidden[:, 0].topk(condition.n_latents, dim=-1).indices
    index = index[:, None, :].expand(-1, latents.shape[1], -1)
    now = latents.gather(-1, index)
    if examples.kind == "remove":
        return latents.scatter(-1, index, (1 - condition.dose) * now)
    target = torch.from_numpy(condition.dose * np.ascontiguousarray(wanted)).to(latents)[:, None, :]
    return latents.scatter(-1, index, torch.maximum(now, target.expand_as(now)))


def _absent_connection(examples: Examples, rng: np.random.Generator) -> Int[np.ndarray, " maze"]:
    """For each maze another connection than the edited one that it does not have."""
    keys = rng.random(examples.mazes.connections.shape)
    keys[examples.mazes.connections] = -1
    keys[np.arange(len(examples)), examples.connection] = -1
    return keys.argmax(axis=1)


def _as_dense(
    density: Float[np.ndarray, " latent"], chosen: Int[np.ndarray, "maze n"], rng: np.random.Generator
) -> Int[np.ndarray, "maze n"]:
    """For each latent a random one of the living latents of nearest density, none of them chosen itself, none drawn twice."""
    n_mazes, n = chosen.shape
    alive = np.flatnonzero(density > 0)
    distance = np.abs(density[alive][None, :] - density[:, None])
    near = alive[np.argsort(distance, axis=1, kind="stable")[:, : N_NEAR + 2 * n]]
    drawn = np.empty_like(chosen)
    taken = np.zeros((n_mazes, len(density)), bool)
    np.put_along_axis(taken, chosen, True, axis=1)
    for j in range(n):
        candidates = near[chosen[:, j]]
        free = ~np.take_along_axis(taken, candidates, axis=1)
        # Of the free ones, the N_NEAR nearest, at random; if none is free, the nearest.
        eligible = free & (free.cumsum(axis=1) <= N_NEAR)
        pick = (rng.random(candidates.shape) * eligible).argmax(axis=1)
        drawn[:, j] = candidates[np.arange(n_mazes), pick]
        np.put_along_axis(taken, drawn[:, j : j + 1], True, axis=1)
    return drawn
