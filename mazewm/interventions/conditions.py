"""The conditions of an intervention: what is added to the residual stream, at which tokens and how
strongly, with controls and baselines.

Most conditions add a vector to the residual stream at one site. For latents it is ``(z' - z)
W_dec``, which leaves the SAE's error in place (docs/science.md#interventions):

* ``latents``: first ``z' = (1 - dose) z`` for the latents of removed connections, so that dose 1
  zeroes them, then ``z' = max(z, dose * mean_on)`` for those of added ones. ``latents_and_cells``
  (when removing) also scales down the latents of the connection's two cells.
* ``fixed_value``: as ``latents``, but with the same values for every connection: the mean over
  connections of ``mean_on``, for each rank in the set of latents.
* ``mean_difference``, ``probe_direction``: ``dose`` times the supervised direction is added (for
  added connections) or subtracted (for removed ones).

Controls:

* ``random_direction``: of the same length as what the largest set of latents adds at that token.
* ``random_latents``: as many other latents, active about as often, at the same values.
* ``other_connection``: as many other absent connections in place of the added ones.
* ``other_latents`` (when removing): the strongest other latents of the token, as many as the set
  holds. With a TopK SAE whose k is no larger, these are all other active latents, often more than
  e's set has active, which makes the control stronger.
* ``no_op`` (z' = z): a check that the edit itself changes nothing; it cannot follow the edit.

When removing, most random latents are silent at the token and cannot be turned down, so there
``random_direction`` is the stronger control.

Where (docs/science.md#where-an-edit-is-made): at the tokens of ``all`` connections; at
``borrowed`` tokens, those of randomly chosen connections, one for each added connection; at the
``own`` token of the removed connection, where a moved connection is also added.

Some conditions change the prompt and no activation (module ``prompts``): ``tokens``, ``repeated``
and ``shifted``.
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

N_NEAR = 10  # a random latent is drawn among this many of the nearest density

Latents = Float[Tensor, "batch pos latent"]
Units = Int[np.ndarray, "maze nth n"]  # n latents for each edited connection of a maze


@dataclass(frozen=True)
class Condition:
    """One way to edit an example: a method, the tokens, the number of latents and the dose."""

    method: Method
    where: Where
    n_latents: int  # 0 for methods without latents
    dose: float  # a factor: 1 sets latents to their mean, zeroes them, or adds the whole direction


def positions(
    where: Where, examples: Examples, encoded: Encoded, site: Location, rng: np.random.Generator
) -> Int[np.ndarray, "maze pos"]:
    """The positions of the tokens at which each maze is edited."""
    n = encoded.n_connections
    at = connection_positions(n, site.token_class)
    if where == "all":
        return np.broadcast_to(at, (len(examples), n)).copy()
    if where == "borrowed":
        return at[np.argsort(rng.random((len(examples), n)), axis=1)[:, : examples.added.shape[1]]]
    nth = (encoded.order == examples.removed).argmax(axis=1)
    return at[nth][:, None]


class Change(NamedTuple):
    """Which latents are turned off, and which are turned on."""

    off: Units  # of removed connections
    on: Units  # of added ones
    # the usual activation of each of ``on`` where its connection is encoded
    values: Float[np.ndarray, "maze nth n"]


def delta(
    condition: Condition,
    examples: Examples,
    directions: Directions,
    latents: Latents,
    rng: np.random.Generator,
) -> Float[Tensor, "batch pos d_model"]:
    """What the condition adds to the residual stream at the edited positions, where the SAE's
    latents are ``latents``."""
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
    """``dose`` times the supervised directions of added connections less those of removed ones."""
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
    """A random direction of the same length as what the largest set of latents adds."""
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
    """The latents that a condition changes: those of the edited connections, or those of its
    control."""
    known = directions.sets[condition.n_latents]
    # connections without a known latent, such as those that no maze has, are left out
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
    """The latents after the edit: ``(1 - dose) z`` for those turned off, then
    ``max(z, dose * value)`` for those turned on."""
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
    """``[maze, nth, n]`` as ``[maze, pos, unit]``: with ``borrowed``, the nth connection's units at
    the nth position; otherwise all units at every position."""
    at = torch.from_numpy(np.ascontiguousarray(x))
    at = at.to(latents) if at.is_floating_point() else at.to(latents.device)
    return at if where == "borrowed" else at.flatten(1)[:, None].expand(-1, latents.shape[1], -1)


def _other_connections(
    examples: Examples, is_seen: Bool[np.ndarray, " connection"], rng: np.random.Generator
) -> Int[np.ndarray, "maze n"]:
    """For each maze, as many other connections as are added to it, preferably absent ones for which
    a latent is known."""
    keys = rng.random(examples.mazes.connections.shape) - examples.mazes.connections - ~is_seen
    np.put_along_axis(keys, np.concatenate([examples.added, examples.removed], axis=1), -2, axis=1)
    return np.argsort(-keys, axis=1)[:, : examples.added.shape[1]]


def _as_dense(
    density: Float[np.ndarray, " latent"],
    chosen: Int[np.ndarray, "maze n"],
    rng: np.random.Generator,
) -> Int[np.ndarray, "maze n"]:
    """For each chosen latent a random one of about the same density; in a maze none is drawn twice
    and no chosen one is drawn."""
    near = _nearest_in_density(density, N_NEAR + 2 * chosen.shape[1])
    drawn = np.empty_like(chosen)
    is_taken = np.zeros((len(chosen), len(density)), bool)
    np.put_along_axis(is_taken, chosen, True, axis=1)
    for nth, of in enumerate(chosen.T):
        candidates = near[of]
        is_free = ~np.take_along_axis(is_taken, candidates, axis=1)
        # One of the N_NEAR nearest free latents, at random; if none is free, the nearest.
        is_eligible = is_free & (is_free.cumsum(axis=1) <= N_NEAR)
        pick = (rng.random(candidates.shape) * is_eligible).argmax(axis=1)
        drawn[:, nth] = candidates[np.arange(len(chosen)), pick]
        np.put_along_axis(is_taken, drawn[:, nth : nth + 1], True, axis=1)
    return drawn


def _nearest_in_density(
    density: Float[np.ndarray, " latent"], n: int
) -> Int[np.ndarray, "latent n"]:
    """For each latent, the ``n`` living latents of nearest density, the nearest first."""
    living = np.flatnonzero(density > 0)
    distance = np.abs(density[living][None, :] - density[:, None])
    return living[np.argsort(distance, axis=1, kind="stable")[:, :n]]
