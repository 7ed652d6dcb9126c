"""What is done to a model: which direction is put where, how strongly; the controls and baselines beside it.

Most conditions add something to the residual stream at one site. For latents it is ``(z' - z) W_dec``, so that the SAE's
error stays (science, "Interventions"):

* ``latents``: ``z' = max(z, dose * mean_on)`` for the latents of added connections, and before that ``z' = (1 - dose) z`` for those of
  removed ones, so that dose 1 zeroes them. ``latents_and_cells`` (to remove) zeroes those of the connection's two cells too.
* ``fixed_value``: values that are the same for every connection, where ``latents`` uses each latent's own: the mean over connections
  of ``mean_on``, by place in the set.
* ``mean_difference``, ``probe_direction``: plus (add) and minus (remove) ``dose`` times the supervised direction.
* controls: ``random_direction`` (of the same length as what the largest set of latents adds at that token), ``random_latents``
  (as many others, about as often active, at the same values), ``other_connection`` (as many other absent connections in place of
  the added ones), ``other_latents`` (to remove: the strongest others of the token, as many as the set holds; with a TopK SAE whose k is
  no larger these are all the others that are active, often more than are active of e's own, so it errs on the safe side) and ``no_op``
  (z' = z), which checks the machinery and cannot follow. To remove, latents that are silent at the token have nothing to lose, so there
  ``random_direction`` is the control that counts.

Where: at the tokens of ``all`` connections; at ``borrowed`` ones, the tokens of as many random connections as are added, one for each; at
the ``own`` token of the removed connection, where a moved one is written too.

Some change the prompt and no activation (room module ``prompts``): ``tokens``, ``repeated`` and ``shifted``.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mazewm.consolidation import SpellingSite
from mazewm.interventions.directions import Directions
from mazewm.maze.examples import Examples
from mazewm.tokens import Spelled, spelling_positions

Method = Literal[
    "no_op",
    "latents",
    "latents_and_cells",
    "fixed_value",
    "mean_difference",
    "probe_direction",
    "random_latents",
    "random_direction",
    "other_connection",
    "other_latents",
    "tokens",
    "repeated",
    "shifted",
]
Where = Literal["borrowed", "all", "own"]
SUPERVISED = ("mean_difference", "probe_direction")
PROMPTS = ("tokens", "repeated", "shifted")

N_NEAR = 10  # latents of nearest density among which a random one is drawn

Latents = Float[Tensor, "batch pos latent"]
Units = Int[np.ndarray, "maze nth n"]  # n latents for each of a maze's connections


@dataclass(frozen=True)
class Condition:
    """One thing that is done to every example."""

    method: Method
    where: Where
    n_latents: int  # 0 for methods without latents
    dose: float


def positions(
    where: Where, examples: Examples, spelled: Spelled, site: SpellingSite, rng: np.random.Generator
) -> Int[np.ndarray, "maze pos"]:
    """The positions at which each maze is edited."""
    n = spelled.n_connections
    at = spelling_positions(n, site.token_class)
    if where == "all":
        return np.broadcast_to(at, (len(examples), n)).copy()
    if where == "borrowed":
        return at[np.argsort(rng.random((len(examples), n)), axis=1)[:, : examples.added.shape[1]]]
    nth = (spelled.order == examples.removed).argmax(axis=1)
    return at[nth][:, None]


def delta(
    condition: Condition, examples: Examples, directions: Directions, latents: Latents, rng: np.random.Generator
) -> Float[Tensor, "batch pos d_model"]:
    """What the condition adds to the activations at the chosen positions, where the SAE sees ``latents``."""
    decoder = directions.sae.W_dec
    if condition.method in SUPERVISED:
        arrows = directions.mean_difference if condition.method == "mean_difference" else directions.probe_direction
        plus = arrows[examples.added]
        if condition.where != "borrowed":
            plus = plus.sum(axis=1, keepdims=True)
        push = condition.dose * (plus - arrows[examples.removed].sum(axis=1, keepdims=True))
        return torch.from_numpy(push).to(latents).expand(-1, latents.shape[1], -1)
    if condition.method == "random_direction":
        twin = replace(condition, method="latents", n_latents=max(directions.sets))
        size = ((_edited(twin, examples, directions, latents, rng) - latents) @ decoder).norm(dim=-1, keepdim=True)
        n_drawn = latents.shape[1] if condition.where == "borrowed" else 1
        random = torch.from_numpy(rng.standard_normal((len(latents), n_drawn, decoder.shape[1]))).to(latents)
        return random / random.norm(dim=-1, keepdim=True) * size
    return (_edited(condition, examples, directions, latents, rng) - latents) @ decoder


def _edited(condition: Condition, examples: Examples, directions: Directions, latents: Latents, rng: np.random.Generator) -> Latents:
    """The latents as the condition wants them."""
    if condition.method == "no_op":
        return latents
    known = directions.sets[condition.n_latents]
    is_seen = np.any(known.mean_on > 0, axis=1)  # a connection without an active latent, as those that no maze has, stands for nothing
    added = _other_connections(examples, is_seen, rng) if condition.method == "other_connection" else examples.added
    on, off, values = known.ids[added], known.ids[examples.removed], known.mean_on[added]
    if condition.method == "fixed_value":
        values = np.broadcast_to(known.mean_on[is_seen].mean(axis=0), values.shape)
    elif condition.method == "latents_and_cells":
        off = np.concatenate([off, known.of_cells[examples.removed]], axis=2)
    elif condition.method == "random_latents":
        random = _as_dense(directions.density, np.concatenate([on, off], axis=1).reshape(len(examples), -1), rng)
        on, off = np.split(random.reshape(len(examples), -1, condition.n_latents), [on.shape[1]], axis=1)
    edited = latents
    if off.shape[1]:
        index = _at_positions(off, condition.where, latents)
        if condition.method == "other_latents":
            index = latents.scatter(-1, index, -1.0).topk(condition.n_latents, dim=-1).indices
        edited = edited.scatter(-1, index, (1 - condition.dose) * latents.gather(-1, index))
    if on.shape[1]:
        index = _at_positions(on, condition.where, latents)
        wanted = _at_positions(condition.dose * values, condition.where, latents)
        edited = edited.scatter_reduce(-1, index, wanted, "amax")
    return edited


def _at_positions(x: np.ndarray, where: Where, latents: Latents) -> Tensor:
    """``[maze, nth, n]`` as ``[maze, pos, unit]``: the nth connection's at the nth borrowed position, all of them at any other."""
    at = torch.from_numpy(np.ascontiguousarray(x))
    at = at.to(latents) if at.is_floating_point() else at.to(latents.device)
    return at if where == "borrowed" else at.flatten(1)[:, None].expand(-1, latents.shape[1], -1)


def _other_connections(examples: Examples, is_seen: Bool[np.ndarray, " connection"], rng: np.random.Generator) -> Int[np.ndarray, "maze n"]:
    """For each maze as many other connections as it gets, of those that some latent knows and it has not (others, if none is left)."""
    keys = rng.random(examples.mazes.connections.shape) - examples.mazes.connections - ~is_seen
    np.put_along_axis(keys, np.concatenate([examples.added, examples.removed], axis=1), -2, axis=1)
    return np.argsort(-keys, axis=1)[:, : examples.added.shape[1]]


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
