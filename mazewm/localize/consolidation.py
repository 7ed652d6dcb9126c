"""The consolidation site: the layer and token class at which a transformer has combined two cells
into a connection.

For every layer and each of the four tokens that encode a connection:

* ``probe_accuracy``: balanced accuracy of a linear probe (ridge classifier) for "which connection
  is this" on the residual stream after the block, fitted on half of the mazes and measured on the
  other half (docs/science.md#probe-accuracy).
* ``identity_accuracy``: the same on the embedding, which states the token and its position only. A
  cell at ``c2`` leaves four connections at most, ``;`` leaves all.
* ``own_mass``: attention from the token to those cells of its own connection that come before it,
  summed over these keys; the mean over mazes, of the head with the largest
  (docs/science.md#own-mass). NaN for a model whose heads cannot be seen.

The *net* accuracy is the share of what the token's identity leaves open that the probe tells,
``(probe - identity) / (1 - identity)``. The **consolidation site** is the first (layer, token
class) whose net accuracy is within ``tolerance`` of the best (docs/science.md#consolidation-site).
Layers come first in this order, then the order of the tokens ``c1 <--> c2 ;``."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.params import Params
from mazewm.localize.locations import Location
from mazewm.maze.tokens import CONNECTION_CLASSES, TokenClass, connection_positions
from mazewm.model.sites import Place, Site

# How many positions before each token the cells of its connection are: no cell comes before c1, c1
# comes before <--> and c2, and both come before ;.
OWN_OFFSETS: dict[TokenClass, tuple[int, ...]] = {
    TokenClass.C1: (),
    TokenClass.CONNECTOR: (1,),
    TokenClass.C2: (2,),
    TokenClass.DELIMITER: (1, 3),
}


EMBEDDING = Place(0, Site.RESID_PRE)


class ConsolidationParams(Params):
    """The section ``consolidation`` of params.yaml: how the consolidation site is found."""

    n_mazes: Annotated[int, Field(gt=1)]
    tolerance: Annotated[float, Field(gt=0, lt=1)]
    batch_size: Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class FormationRow:
    """The measurements at one (layer, token class) of a model."""

    layer: tables.Int
    token_class: tables.Text
    probe_accuracy: tables.Real  # balanced, over connections
    identity_accuracy: tables.Real  # the same on the embedding, equal for all layers
    own_mass: tables.MaybeReal  # of the head with the largest; a share of attention, 0 to 1
    own_mass_uniform: tables.Real  # that of uniform attention
    n_mazes: tables.Int


def formation(subject: Subject) -> list[FormationRow]:
    """Measure probe accuracy and own mass at every layer and each of the four token classes."""
    layers = range(subject.model.params.n_layers)
    resid: dict[tuple[int, TokenClass], list[np.ndarray]] = {
        (layer, c): [] for layer in layers for c in CONNECTION_CLASSES
    }
    mass: dict[tuple[int, TokenClass], list[np.ndarray]] = {
        (layer, c): [] for layer in layers for c in CONNECTION_CLASSES
    }
    uniform: dict[TokenClass, list[np.ndarray]] = {c: [] for c in CONNECTION_CLASSES}
    embedded: dict[TokenClass, list[np.ndarray]] = {c: [] for c in CONNECTION_CLASSES}
    labels, is_fit = [], []
    shown = [site for site in (Site.RESID_POST, Site.PATTERN) if site in subject.model.sites]
    places = [Place(layer, site) for layer in layers for site in shown]
    places.append(EMBEDDING)
    for recorded in subject.record(places):
        n = recorded.encoded.n_connections
        labels.append(recorded.encoded.order.ravel())
        is_fit.append(np.repeat(recorded.mazes % 2 == 0, n))
        for c in CONNECTION_CLASSES:
            at = connection_positions(n, c)
            embedded[c].append(_tokens(recorded.values[EMBEDDING], at))
            uniform[c].append(
                np.broadcast_to(len(OWN_OFFSETS[c]) / (at + 1), recorded.encoded.order.shape).mean(
                    axis=1
                )
            )
            for layer in layers:
                values = recorded.values[Place(layer, Site.RESID_POST)]
                resid[layer, c].append(_tokens(values, at))
                if Site.PATTERN not in shown:
                    continue
                pattern = recorded.values[Place(layer, Site.PATTERN)]
                own = sum(
                    (pattern[:, :, at, at - back] for back in OWN_OFFSETS[c]),
                    pattern.new_zeros(pattern.shape[0], pattern.shape[1], n),
                )
                mass[layer, c].append(own.mean(dim=2).cpu().numpy())
    label, fit = np.concatenate(labels), np.concatenate(is_fit)
    identity = {c: _accuracy(np.concatenate(embedded[c]), label, fit) for c in CONNECTION_CLASSES}
    rows = []
    for layer in layers:
        for c in CONNECTION_CLASSES:
            accuracy = _accuracy(np.concatenate(resid[layer, c]), label, fit)
            parts = mass[layer, c]
            own_mass = np.concatenate(parts).mean(axis=0).max() if parts else None
            rows.append(
                FormationRow(
                    layer=layer,
                    token_class=str(c),
                    probe_accuracy=accuracy,
                    identity_accuracy=identity[c],
                    own_mass=None if own_mass is None else float(own_mass),
                    own_mass_uniform=float(np.concatenate(uniform[c]).mean()),
                    n_mazes=len(subject.mazes),
                )
            )
    return rows


def _tokens(
    values: Float[Tensor, "maze pos d_model"], at: Int[np.ndarray, " nth"]
) -> Float[np.ndarray, "token d_model"]:
    return values[:, at].flatten(0, 1).cpu().double().numpy()


def _accuracy(
    x: Float[np.ndarray, "token d_model"],
    label: Int[np.ndarray, " token"],
    is_fit: Bool[np.ndarray, " token"],
) -> float:
    """Balanced accuracy of a linear probe on the tokens that it is not fitted on."""
    # imported here because it is slow, and most users of this module fit nothing
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import balanced_accuracy_score

    probe = RidgeClassifier(class_weight="balanced").fit(x[is_fit], label[is_fit])
    return float(balanced_accuracy_score(label[~is_fit], probe.predict(x[~is_fit])))


def net_accuracy(rows: pd.DataFrame) -> pd.Series:
    """The share of what the token's identity leaves open that the probe tells; of no row more than
    1, and below 0 where the probe tells less than the identity."""
    identity = rows.identity_accuracy
    return (rows.probe_accuracy - identity) / (1 - identity).clip(lower=1e-9)


def consolidation_site(rows: pd.DataFrame, tolerance: float) -> Location:
    """The first location whose net accuracy is within ``tolerance`` of the best, from a table of
    ``FormationRow``."""
    net = net_accuracy(rows)
    good = rows[net >= net.max() - tolerance]
    order = [str(c) for c in CONNECTION_CLASSES]
    first = min(good.itertuples(), key=lambda row: (row.layer, order.index(row.token_class)))
    return Location(int(first.layer), TokenClass(first.token_class))
