"""What can be written for every connection at a location: units of an SAE and of its control, and
directions. Units are ranked, and their mean activations taken, on cached tokens of validation
mazes.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.choosing import CHOOSING
from mazewm.features.ranking import Labelled, best_f1
from mazewm.localize.activations import Activations, read
from mazewm.localize.locations import Location, WritingSite
from mazewm.run import Run
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.files import FROZEN, TRAINED, load_sae
from mazewm.sae.quality import latents_of

MOST = 16  # units of a connection

Arrows = Float[np.ndarray, "connection d_model"]


class Units(NamedTuple):
    """The units of a dictionary that detect each connection best, by F1, the best first."""

    sae: SparseAutoencoder
    ids: Int[np.ndarray, "connection n"]
    mean_on: Float[np.ndarray, "connection n"]  # where the connection is encoded

    @classmethod
    def of(cls, sae: SparseAutoencoder, tokens: Activations, n_connections: int) -> "Units":
        """The best MOST units, or all if there are fewer; a connection without tokens has some,
        whose mean is 0."""
        z = latents_of(sae, tokens.values)
        scores, _ = best_f1(Labelled(z, tokens.connection), n_connections)
        ids = np.argsort(-scores, axis=0, kind="stable")[:MOST].T
        mean_on = np.zeros(ids.shape)
        for e in np.unique(tokens.connection):
            mean_on[e] = z[tokens.connection == e][:, ids[e]].mean(axis=0)
        return cls(sae, ids, mean_on)

    def change(
        self,
        connection: Int[np.ndarray, " row"],
        n: int,
        resid: Float[Tensor, "row d_model"],
        to: float | None,
    ) -> Float[Tensor, "row d_model"]:
        """What to add so that the ``n`` best units of a connection get ``to`` times their mean
        activation, if they have less; with None, so that they are silent."""
        ids = torch.from_numpy(self.ids[connection, :n]).to(resid.device)
        z = self.sae.encode(resid).gather(1, ids)
        if to is None:
            change = -z
        else:
            usual = torch.from_numpy(self.mean_on[connection, :n]).to(resid)
            change = (to * usual - z).clamp(min=0)
        return (change[..., None] * self.sae.W_dec[ids]).sum(dim=1)


@dataclass(frozen=True)
class Writable:
    """A location, and what can be written there for every connection."""

    location: Location
    trained: Units
    frozen: Units  # of the SAE whose decoder directions are random
    arrows: Arrows  # mean differences
    writing: WritingSite | None  # if it is in the same layer

    @classmethod
    def of(cls, run: Run, location: Location, arrows: Arrows, writing: WritingSite) -> "Writable":
        """From the run's SAEs and cached activations. BadInput if one is missing."""
        cached = run.folder("activations") / "trained" / CHOOSING / str(location.place)
        tokens = read(cached).at(location.token_class)
        trained, frozen = (
            Units.of(load_sae(run, location.place, kind), tokens, len(arrows))
            for kind in (TRAINED, FROZEN)
        )
        is_here = writing.source == location
        return cls(location, trained, frozen, arrows, writing if is_here else None)

    @property
    def most(self) -> int:
        """How many units of a connection are written at most."""
        return min(self.trained.ids.shape[1], self.frozen.ids.shape[1])
