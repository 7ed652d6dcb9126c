"""At which layer and token class a transformer binds two cells into a
connection.

For every layer and each of the four tokens that spell a connection:

* ``probe_accuracy``: balanced accuracy of a linear probe (ridge classifier) for "which connection
  is this", read from the residual stream after the block; fitted on half of the mazes, measured on
  the other half.
* ``own_mass``: attention from the token to the coordinates of its own connection that come before
  it, summed over keys, for the head that has most of it; mean over mazes.

The **consolidation site** is the first (layer, token class), in order of computation and then of
reading, whose probe is within ``tolerance`` of the best probe of any site
(docs/science.md#consolidation-site)."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.params import Params
from mazewm.localize.locations import Location
from mazewm.maze.tokens import CONNECTION_CLASSES, TokenClass, connection_positions
from mazewm.model.sites import Place, Site

# How far before a token of a connection its coordinates lie: nothing for c1, c1 for <--> and c2,
# both for ;.
OWN_OFFSETS: dict[TokenClass, tuple[int, ...]] = {
    TokenClass.C1: (),
    TokenClass.CONNECTOR: (1,),
    TokenClass.C2: (2,),
    TokenClass.DELIMITER: (1, 3),
}


class ConsolidationParams(Params):
    """How the consolidation site is looked for."""

    n_mazes: Annotated[int, Field(gt=1)]
    tolerance: Annotated[float, Field(gt=0, lt=1)]
    batch_size: Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class FormationRow:
    """One (layer, token class) of one look at a model."""

    layer: tables.Int
    token_class: tables.Text
    probe_accuracy: tables.Real  # balanced, over connections
    own_mass: tables.Real  # of the head with most of it
    own_mass_uniform: tables.Real  # what uniform attention would give
    n_mazes: tables.Int


def formation(subject: Subject) -> list[FormationRow]:
    """Probe accuracy and own_mass for every layer and each of the four token classes."""
    # slow, and most who import this module fit nothing
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import balanced_accuracy_score

    layers = range(subject.model.params.n_layers)
    resid: dict[tuple[int, TokenClass], list[np.ndarray]] = {
        (layer, c): [] for layer in layers for c in CONNECTION_CLASSES
    }
    mass: dict[tuple[int, TokenClass], list[np.ndarray]] = {
        (layer, c): [] for layer in layers for c in CONNECTION_CLASSES
    }
    uniform: dict[TokenClass, list[np.ndarray]] = {c: [] for c in CONNECTION_CLASSES}
    labels, is_fit = [], []
    places = [Place(layer, site) for layer in layers for site in (Site.RESID_POST, Site.PATTERN)]
    for recorded in subject.record(places):
        n = recorded.encoded.n_connections
        labels.append(recorded.encoded.order.ravel())
        is_fit.append(np.repeat(recorded.mazes % 2 == 0, n))
        for c in CONNECTION_CLASSES:
            at = connection_positions(n, c)
            uniform[c].append(
                np.broadcast_to(len(OWN_OFFSETS[c]) / (at + 1), recorded.encoded.order.shape).mean(
                    axis=1
                )
            )
            for layer in layers:
                values = recorded.values[Place(layer, Site.RESID_POST)][:, at]
                resid[layer, c].append(values.flatten(0, 1).cpu().double().numpy())
                pattern = recorded.values[Place(layer, Site.PATTERN)]
                own = sum(
                    (pattern[:, :, at, at - back] for back in OWN_OFFSETS[c]),
                    pattern.new_zeros(pattern.shape[0], pattern.shape[1], n),
                )
                mass[layer, c].append(own.mean(dim=2).cpu().numpy())
    label, fit = np.concatenate(labels), np.concatenate(is_fit)
    rows = []
    for layer in layers:
        for c in CONNECTION_CLASSES:
            x = np.concatenate(resid[layer, c])
            probe = RidgeClassifier(class_weight="balanced").fit(x[fit], label[fit])
            accuracy = balanced_accuracy_score(label[~fit], probe.predict(x[~fit]))
            own_mass = np.concatenate(mass[layer, c]).mean(axis=0).max()
            rows.append(
                FormationRow(
                    layer=layer,
                    token_class=str(c),
                    probe_accuracy=float(accuracy),
                    own_mass=float(own_mass),
                    own_mass_uniform=float(np.concatenate(uniform[c]).mean()),
                    n_mazes=len(subject.mazes),
                )
            )
    return rows


def consolidation_site(rows: pd.DataFrame, tolerance: float) -> Location:
    """The first site whose probe comes within ``tolerance`` of the best."""
    good = rows[rows.probe_accuracy >= rows.probe_accuracy.max() - tolerance]
    order = [str(c) for c in CONNECTION_CLASSES]
    first = min(good.itertuples(), key=lambda row: (row.layer, order.index(row.token_class)))
    return Location(int(first.layer), TokenClass(first.token_class))
