"""What is done to a model: which direction is put where, how strongly; the controls and baselines
beside it.

Most conditions add something to the residual stream at one site. For latents it is ``(z' - z)
W_dec``, so that the SAE's error stays (docs/science.md#interventions):

* ``latents``: ``z' = max(z, dose * mean_on)`` for the latents of added connections, and before that
  ``z' = (1 - dose) z`` for those of removed ones, so that dose 1 zeroes them. ``latents_and_cells``
  (to remove) zeroes those of the connection's two cells too.
* ``fixed_value``: values that are the same for every connection, where ``latents`` uses each
  latent's own: the mean over connections of ``mean_on``, by place in the set.
* ``mean_difference``, ``probe_direction``: plus (add) and minus (remove) ``dose`` times the
  supervised direction.
* controls: ``random_direction`` (of the same length as what the largest set of latents adds at that
  token), ``random_latents`` (as many others, about as often active, at the same values),
  ``other_connection`` (as many other absent connections in place of the added ones),
  ``other_latents`` (to remove: the strongest others of the token, as many as the set holds; with a
  TopK SAE whose k is no larger these are all the others that are active, often more than are active
  of e's own, so it errs on the safe side) and ``no_op`` (z' = z), which checks the machinery and
  cannot follow. To remove, latents that are silent at the token have nothing to lose, so there
  ``random_direction`` is the control that counts.

Where: at the tokens of ``all`` connections; at ``borrowed`` ones, the tokens of as many random
connections as are added, one for each; at the ``own`` token of the removed connection, where a
moved one is written too.

Some change the prompt and no activation (module ``prompts``): ``tokens``, ``repeated`` and
``shifted``.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mazewm.counterfactuals.examples import Examples
from mazewm.interventions.directions import Directions
from mazewm.localize.locations import Location
from mazewm.maze.tokens import Encoded, connection_positions

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
SUPERVISED: tuple[Method, ...] = ("mean_difference", "probe_direction")
PROMPTS: tuple[Method, ...] = ("tokens", "repeated", "shifted")

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
    where: Where, examples: Examples, encoded: Encoded, site: Location, rng: np.random.Generator
) -> Int[np.ndarray, "maze pos"]:
    """The positions at which each maze is edited."""
    n = encoded.n_connections
    at = connection_positions(n, site.token_class)
    if where == "all":
        return np.broadcast_to(at, (len(examples), n)).copy()
    if where == "borrowed":
        return at[np.argsort(rng.random((len(examples), n)), axis=1)[:, : examples.added.shape[1]]]
    nth = (encoded.order == examples.removed).argmax(axis=1)
    return at[nth][:, None]


class Change(NamedTuple):
    """What becomes of latents: some are turned off, others on."""

    off: Units  # of removed connections
    on: Units  # of added ones
    # what each of ``on`` is worth when its connection is there
    values: Float[np.ndarray, "maze nth n"]


def delta(
    condition: Condition,
    examples: Examples,
    directions: Directions,
    latents: Latents,
    rng: np.random.Generator,
) -> Float[Tensor, "batch pos d_model"]:
    """What the condition adds to the activations at the chosen positions, where the SAE sees
    ``latents``."""
    if condition.method == "no_op":
        return torch.zeros(*latents.shape[:2], directions.sae.W_dec.shape[1]).to(latents)
    if condition.method in SUPERVISED:
        return _arrow(condition, examples, directions, latents)
    if condition.method == "random_direction":
        return _random_arrow(condition, examples, directions, latents, rng)
    change = change_of(condition, examples, directions, rng)
    return (changed(latents, change, condition) - latents) @ directions.sae.W_dec


def _arrow(
    condition: Condition, examples: Examples, directions: Directions, latents: Latents
) -> Float[Tensor, "batch pos d_model"]:
    """The supervised directions of added connections less those of removed ones."""
    arrows = (
        directions.mean_difference
        if condition.method == "mean_difference"
        else directions.probe_direction
    )
    plus = arrows[examples.added]
    if condition.where != "borrowed":
        plus = plus.sum(axis=1, keepdims=True)
    push = condition.dose * (plus - arrows[examples.removed].sum(axis=1, keepdims=True))
    return torch.from_numpy(push).to(latents).expand(-1, latents.shape[1], -1)


def _random_arrow(
    condition: Condition,
    examples: Examples,
    directions: Directions,
    latents: Latents,
    rng: np.random.Generator,
) -> Float[Tensor, "batch pos d_model"]:
    """A random direction, as long as what the largest set of latents adds."""
    twin, decoder = (
        replace(condition, method="latents", n_latents=max(directions.sets)),
        directions.sae.W_dec,
    )
    written = (
        changed(latents, change_of(twin, examples, directions, rng), twin) - latents
    ) @ decoder
    n_drawn = latents.shape[1] if condition.where == "borrowed" else 1
    random = torch.from_numpy(rng.standard_normal((len(latents), n_drawn, decoder.shape[1]))).to(
        latents
    )
    return random / random.norm(dim=-1, keepdim=True) * written.norm(dim=-1, keepdim=True)


def change_of(
    condition: Condition, examples: Examples, directions: Directions, rng: np.random.Generator
) -> Change:
    """Which latents a condition changes: those of the edited connections, or others in their
    place."""
    known = directions.sets[condition.n_latents]
    # a connection without an active latent, as those that no maze has, stands for nothing
    is_seen = np.any(known.mean_on > 0, axis=1)
    added = (
        _other_connections(examples, is_seen, rng)
        if condition.method == "other_connection"
        else examples.added
    )
    change = Change(known.ids[examples.removed], known.ids[added], known.mean_on[added])
    match condition.method:
        case "fixed_value":
            mean = known.mean_on[is_seen].mean(axis=0)
            return change._replace(values=np.broadcast_to(mean, change.values.shape))
        case "latents_and_cells":
            return change._replace(
                off=np.concatenate([change.off, known.of_cells[examples.removed]], axis=2)
            )
        case "random_latents":
            chosen = np.concatenate([change.on, change.off], axis=1)
            drawn = _as_dense(directions.density, chosen.reshape(len(examples), -1), rng).reshape(
                chosen.shape
            )
            on, off = np.split(drawn, [change.on.shape[1]], axis=1)
            return change._replace(off=off, on=on)
    return change


def changed(latents: Latents, change: Change, condition: Condition) -> Latents:
    """``(1 - dose) z`` for what is turned off, then ``max(z, dose * value)`` for what is turned
    on."""
    edited = latents
    if change.off.shape[1]:
        index = _at_positions(change.off, condition.where, latents)
        if condition.method == "other_latents":
            index = latents.scatter(-1, index, -1.0).topk(condition.n_latents, dim=-1).indices
        edited = edited.scatter(-1, index, (1 - condition.dose) * latents.gather(-1, index))
    if change.on.shape[1]:
        index = _at_positions(change.on, condition.where, latents)
        wanted = _at_positions(condition.dose * change.values, condition.where, latents)
        edited = edited.scatter_reduce(-1, index, wanted, "amax")
    return edited


def _at_positions(x: np.ndarray, where: Where, latents: Latents) -> Tensor:
    """``[maze, nth, n]`` as ``[maze, pos, unit]``: the nth connection's at the nth borrowed
    position, all of them at any other."""
    at = torch.from_numpy(np.ascontiguousarray(x))
    at = at.to(latents) if at.is_floating_point() else at.to(latents.device)
    return at if where == "borrowed" else at.flatten(1)[:, None].expand(-1, latents.shape[1], -1)


def _other_connections(
    examples: Examples, is_seen: Bool[np.ndarray, " connection"], rng: np.random.Generator
) -> Int[np.ndarray, "maze n"]:
    """For each maze as many other connections as it gets, of those that some latent knows and it
    has not (others, if none is left)."""
    keys = rng.random(examples.mazes.connections.shape) - examples.mazes.connections - ~is_seen
    np.put_along_axis(keys, np.concatenate([examples.added, examples.removed], axis=1), -2, axis=1)
    return np.argsort(-keys, axis=1)[:, : examples.added.shape[1]]


def _as_dense(
    density: Float[np.ndarray, " latent"],
    chosen: Int[np.ndarray, "maze n"],
    rng: np.random.Generator,
) -> Int[np.ndarray, "maze n"]:
    """For each latent a random one of about its density, none of them chosen itself, none drawn
    twice."""
    near = _nearest_in_density(density, N_NEAR + 2 * chosen.shape[1])
    drawn = np.empty_like(chosen)
    is_taken = np.zeros((len(chosen), len(density)), bool)
    np.put_along_axis(is_taken, chosen, True, axis=1)
    for nth, of in enumerate(chosen.T):
        candidates = near[of]
        is_free = ~np.take_along_axis(is_taken, candidates, axis=1)
        # Of the free ones, the N_NEAR nearest, at random; if none is free, the nearest.
        is_eligible = is_free & (is_free.cumsum(axis=1) <= N_NEAR)
        pick = (rng.random(candidates.shape) * is_eligible).argmax(axis=1)
        drawn[:, nth] = candidates[np.arange(len(chosen)), pick]
        np.put_along_axis(is_taken, drawn[:, nth : nth + 1], True, axis=1)
    return drawn


def _nearest_in_density(
    density: Float[np.ndarray, " latent"], n: int
) -> Int[np.ndarray, "latent n"]:
    """For each latent, the living ones of nearest density, the nearest first."""
    living = np.flatnonzero(density > 0)
    distance = np.abs(density[living][None, :] - density[:, None])
    return living[np.argsort(distance, axis=1, kind="stable")[:, :n]]
