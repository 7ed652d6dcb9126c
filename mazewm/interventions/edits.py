"""One edit of the residual stream: what is written, for which connections, at which tokens and how
strongly (docs/science.md#interventions).

Latents are written as ``(z' - z) W_dec``, which leaves the SAE's error in place: to add a
connection ``z' = max(z, dose * mean_on)``, to remove one ``z' = (1 - dose) z``. Where another token
than the connection's own is edited, its latents are silent; there ``dose * mean_on`` is taken away
from them. All other methods add or subtract ``dose`` times an arrow.

Tokens (docs/science.md#where-an-edit-is-made): all of a writing site; the ``own`` token of a
removed connection; ``one`` token, that of a random other connection; or all of a site ``dealt`` to
several connections in turn, one class of tokens after the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.counterfactuals.pairs import Pairs
from mazewm.counterfactuals.spelling import Lists
from mazewm.inference.edits import Edit
from mazewm.interventions.directions import DICTIONARIES, DIMENSIONS, Directions, random_arrows
from mazewm.interventions.labels import Label, Where, tokens_in_words
from mazewm.localize.locations import WritingSite
from mazewm.maze.tokens import connection_positions

RANDOM, OTHER = "random_direction", "other_connection"
TOLD, NONE = "tokens", "none"  # the edited maze in the prompt; no edit at all

AtTokens = Int[np.ndarray, "maze pos"]


@dataclass(frozen=True)
class Method:
    """What is written: the name of a dictionary with a number of its units, or of an arrow."""

    name: str
    n_units: int = 0


@dataclass(frozen=True)
class Condition:
    """A method, the tokens, and the dose."""

    method: Method
    site: WritingSite
    where: Where
    dose: float

    @property
    def tokens(self) -> str:
        """The edited tokens in words."""
        return tokens_in_words(self.site, self.where)


def label_of(condition: Condition) -> Label:
    """What the tables call a condition."""
    method, place = condition.method, str(condition.site.place)
    return Label(method.name, method.n_units, place, condition.tokens, condition.dose)


class Target(NamedTuple):
    """The edited positions of every maze, and the connection that is written at each."""

    at: AtTokens
    connection: AtTokens


def target_of(
    condition: Condition, lists: Lists, connections: AtTokens, rng: np.random.Generator
) -> Target:
    """Where each of the ``connections`` of each maze is written."""
    site, n = condition.site, lists.n_connections
    n_mazes = len(connections)
    of_class = connection_positions(n, site.read_at)
    match condition.where:
        case "own":
            return Target(of_class[lists.nth(connections)], connections)
        case "one":
            drawn = np.argsort(rng.random((n_mazes, n)), axis=1)[:, : connections.shape[1]]
            return Target(of_class[drawn], connections)
    at = np.tile(site.positions(n), (n_mazes, 1))
    return Target(at, connections[:, site.turns(n) % connections.shape[1]])


class Writer:
    """Makes the edits of one batch of pairs. Everything random comes from the batch's own seed, and
    is the same for every dose and method."""

    def __init__(
        self, pairs: Pairs, lists: Lists, known: Mapping[str, Directions], seed: int
    ) -> None:
        self.pairs, self.lists, self.known, self.seed = pairs, lists, known, seed
        self.length = 0.0  # of the last edit: mean length per edited token

    def rng(self) -> np.random.Generator:
        """The same numbers whenever it is asked."""
        return np.random.default_rng(self.seed)

    def edit(self, conditions: Sequence[Condition]) -> Edit:
        """The edit that does all conditions at once; they must be at one place. Where a pair adds
        and removes, the first adds and all others remove."""
        pairs, place, parts = self.pairs, conditions[0].site.place, []
        for nth, condition in enumerate(conditions):
            sign = 1 if pairs.added.shape[1] and (nth == 0 and condition.where != "own") else -1
            edited = pairs.added if sign > 0 else pairs.removed
            parts.append((condition, sign, target_of(condition, self.lists, edited, self.rng())))

        def function(resid: Tensor) -> Tensor:
            edited, lengths = resid.clone(), []
            rows = torch.arange(len(resid), device=resid.device)[:, None]
            for condition, sign, target in parts:
                at = torch.from_numpy(target.at).to(resid.device)
                push = self._push(condition, sign, target, resid[rows, at])
                edited[rows, at] += push
                lengths.append(float(push.norm(dim=-1).mean()))
            self.length = float(np.mean(lengths))
            return edited

        return Edit(place, function)

    def _push(
        self, condition: Condition, sign: int, target: Target, resid: Float[Tensor, "maze pos d"]
    ) -> Float[Tensor, "maze pos d"]:
        method, dose = condition.method, condition.dose
        known, connection = self.known[str(condition.site.source)], target.connection
        if method.name == OTHER:
            connection = self._others(connection)
            method = replace(method, name="latents")
        if method.name in DICTIONARIES:
            dictionary = known.dictionaries[method.name]
            ids = dictionary.units.ids[connection, : method.n_units]
            usual = torch.from_numpy(dictionary.mean_on[connection, : method.n_units]).to(resid)
            index = torch.from_numpy(ids).to(resid.device)
            z = dictionary.sae.encode(resid).gather(-1, index)
            if sign > 0:
                change = (dose * usual - z).clamp(min=0)
            elif condition.where == "own":
                change = -dose * z
            else:
                change = -dose * usual
            return (change[..., None] * dictionary.sae.W_dec[index]).sum(dim=2)
        if method.name == RANDOM:
            drawn = random_arrows(self.rng(), known.arrows["mean_difference"], len(resid))
            rows = np.arange(len(resid))[:, None]
            return dose * drawn[rows, connection].to(resid)
        arrows = (
            known.some_dimensions(method.n_units)
            if method.name == DIMENSIONS
            else known.arrows[method.name]
        )
        push = torch.from_numpy(arrows[connection]).to(resid)
        return sign * dose * push

    def _others(self, connection: AtTokens) -> AtTokens:
        """For each connection of a maze another one that is neither edited nor, if there is such a
        one, in the maze; the same other one wherever the connection stands."""
        pairs = self.pairs
        keys = self.rng().random(pairs.before.shape) + pairs.before
        edited = np.concatenate([pairs.added, pairs.removed], axis=1)
        np.put_along_axis(keys, edited, np.inf, axis=1)
        best = np.argsort(keys, axis=1)
        nth = (edited[:, None, :] == connection[:, :, None]).argmax(axis=2)
        return np.take_along_axis(best, nth, axis=1)
