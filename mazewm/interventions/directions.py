"""For every connection at one location: units of dictionaries that stand for it, and directions in
the residual stream (docs/science.md#what-else).

A dictionary is an SAE or a control of one. Its units of a connection are those whose activation
correlates best with "this token helps to encode it", on validation mazes; the same rule serves all
of them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.io.errors import BadInput
from mazewm.localize.activations import Activations, read
from mazewm.localize.directions import mean_differences, probe_directions
from mazewm.localize.locations import Location
from mazewm.run import Study
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.files import TRAINED, load_sae
from mazewm.sae.quality import latents_of

# the dictionaries, by method, and the kind of SAE that each is
DICTIONARIES = {
    "latents": TRAINED,
    "frozen_decoder": "frozen_decoder",
    "untrained_model": "untrained_model",
}
DIMENSIONS = "residual_dimensions"
ARROWS = ("mean_difference", "probe_direction", "probe_pattern")

Arrows = Float[np.ndarray, "connection d_model"]


class Units(NamedTuple):
    """The units that stand for each connection, the best first."""

    ids: Int[np.ndarray, "connection n"]
    correlation: Float[np.ndarray, "connection n"]


@dataclass(frozen=True)
class Dictionary:
    """An SAE with its latents of every connection, and the mean activation of each where the
    connection is encoded, in training mazes."""

    sae: SparseAutoencoder
    units: Units
    mean_on: Float[np.ndarray, "connection n"]


@dataclass(frozen=True)
class Directions:
    """What can be written for every connection at one location."""

    source: Location
    dictionaries: dict[str, Dictionary]
    # by method; residual dimensions by method and number of units. All are as long as the mean
    # difference, except for the latter, which are parts of it
    arrows: dict[str, Arrows]
    dimensions: Units

    def some_dimensions(self, n: int) -> Arrows:
        """The mean difference in each connection's ``n`` best residual dimensions, and 0 in the
        others."""
        kept = np.zeros_like(self.arrows["mean_difference"])
        np.put_along_axis(kept, self.dimensions.ids[:, :n], 1.0, axis=1)
        return kept * self.arrows["mean_difference"]


def ranked_units(
    x: Float[np.ndarray, "token unit"],
    connection: Int[np.ndarray, " token"],
    n_connections: int,
    n: int,
) -> Units:
    """The ``n`` units of each connection with the largest absolute correlation with "this token
    helps to encode it". A connection without tokens, and a unit that never changes, has 0.

    >>> x = np.array([[1.0, 0.0], [0.9, 0.0], [0.0, 1.0]])
    >>> ranked_units(x, np.array([0, 0, 1]), n_connections=2, n=1).ids.ravel()
    array([1, 1])
    """
    is_on = (connection[:, None] == np.arange(n_connections)).astype(np.float32)
    covariance = is_on.T @ (x - x.mean(axis=0)) / len(x)
    scale = is_on.std(axis=0)[:, None] * x.std(axis=0)
    r = np.where(scale > 1e-9, covariance / np.maximum(scale, 1e-9), 0.0)
    ids = np.argsort(-np.abs(r), axis=1, kind="stable")[:, :n]
    return Units(ids, np.take_along_axis(r, ids, axis=1))


def directions_at(run: Study, source: Location, n_connections: int, n_units: int) -> Directions:
    """Everything that is written at a location. Units are chosen on cached tokens of validation
    mazes; means and supervised directions are from training mazes.

    BadInput if an SAE has fewer than ``n_units`` latents, or none that is active here."""
    cached = run.folder("activations") / "trained"
    train, chosen_on = (
        read(cached / split / str(source.place)).at(source.token_class)
        for split in ("train", "validation")
    )
    dictionaries = {
        name: _dictionary(run, source, kind, (train, chosen_on), n_connections, n_units)
        for name, kind in DICTIONARIES.items()
    }
    x = train.values.astype(np.float64)
    difference = mean_differences(x, train.connection, n_connections)
    probe = probe_directions(x, train.connection, n_connections)
    arrows = {
        "mean_difference": difference,
        "probe_direction": _as_long(probe, difference),
        # Haufe et al. (2014), eq. 6: the pattern that a linear readout picks up
        "probe_pattern": _as_long(probe @ np.cov(x.T), difference),
    }
    values = chosen_on.values.astype(np.float32)
    dimensions = ranked_units(values, chosen_on.connection, n_connections, n_units)
    return Directions(source, dictionaries, arrows, dimensions)


def _dictionary(
    run: Study,
    source: Location,
    kind: str,
    tokens: tuple[Activations, Activations],
    n_connections: int,
    n_units: int,
) -> Dictionary:
    sae, (train, chosen_on) = load_sae(run, source.place, kind), tokens
    n_latents = sae.shape.n_latents
    if n_units > n_latents:
        raise BadInput(
            f"params.yaml: interventions.set_sizes: expected at most {n_latents}, as many as the "
            f"SAE of {source.place} has latents, found {n_units}."
        )
    z = latents_of(sae, chosen_on.values)
    if not z.any():
        raise BadInput(
            f"{source}: the SAE ({kind}) is dead, for none of its latents is active at any token "
            "of validation mazes; expected some that are."
        )
    units = ranked_units(z, chosen_on.connection, n_connections, n_units)
    mean_on, z = np.zeros(units.ids.shape), latents_of(sae, train.values)
    for e in range(n_connections):
        on = train.connection == e
        if on.any():
            mean_on[e] = z[np.ix_(on, units.ids[e])].mean(axis=0)
    return Dictionary(sae, units, mean_on)


def _as_long(arrows: Arrows, like: Arrows) -> Arrows:
    """The arrows, each scaled to the length of the same one of ``like``."""
    length = np.linalg.norm(arrows, axis=1, keepdims=True)
    return arrows / np.where(length > 0, length, 1) * np.linalg.norm(like, axis=1, keepdims=True)


def random_arrows(
    rng: np.random.Generator, like: Arrows, n_mazes: int
) -> Float[Tensor, "maze connection d_model"]:
    """For each maze and connection a random direction of its own, as long as the connection's
    arrow of ``like``."""
    drawn = rng.standard_normal((n_mazes, *like.shape))
    drawn *= np.linalg.norm(like, axis=1)[:, None] / np.linalg.norm(drawn, axis=2, keepdims=True)
    return torch.from_numpy(drawn.astype(np.float32))
