"""The writing site: the layer and token class at which an edit can write a connection into a
transformer (docs/science.md#writing-site).

The location where a probe reads connections best (module ``consolidation``) need not be one where
an edit has an effect, since later layers may still read from other places. So every layer is tried,
with each of the three token classes that can encode a whole connection (at ``c1`` its second cell
is not known yet). ``dose`` times the mean difference of an absent connection is added at all tokens
of the class. ``follows_edit`` is the share of rollouts that take the predicted path, among the
mazes that are solved without the edit.

The **writing site** is the first (layer, token class) whose share at its best dose is within
``tolerance`` of the best share of all.
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from mazewm.counterfactuals.examples import Examples
from mazewm.inference.behaviour import judge, walk
from mazewm.inference.edits import Edit, add_at
from mazewm.inference.resuming import ReadLists
from mazewm.inference.rollout import questions_of, rollouts_behind
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.params import Params
from mazewm.localize.directions import mean_differences
from mazewm.localize.locations import Location
from mazewm.maze.tokens import TokenClass, connection_positions
from mazewm.model.sites import Place, Site

CLASSES = (TokenClass.CONNECTOR, TokenClass.C2, TokenClass.DELIMITER)


class WritingParams(Params):
    """The section ``writing`` of params.yaml: how the writing site is found."""

    n_mazes: Annotated[int, Field(gt=0)]  # training mazes to compute mean differences from
    # examples of adding each connection, in validation mazes
    n_per_connection: Annotated[int, Field(gt=0)]
    doses: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    tolerance: Annotated[float, Field(gt=0, lt=1)]
    batch_size: Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class WritingRow:
    """The effect of one dose at one (layer, token class)."""

    layer: tables.Int
    token_class: tables.Text
    dose: tables.Real  # in multiples of the mean difference
    n_follow: tables.Int  # rollouts that take the predicted path
    n: tables.Int  # examples solved unedited


Arrows = dict[Location, Float[np.ndarray, "connection d_model"]]


def arrows_of(subject: Subject) -> Arrows:
    """The mean difference of every connection at every layer and each of CLASSES."""
    layers = range(subject.model.params.n_layers)
    sites = [Location(layer, c) for layer in layers for c in CLASSES]
    values: dict[Location, list[np.ndarray]] = {site: [] for site in sites}
    labels = []
    places = [Place(layer, Site.RESID_POST) for layer in layers]
    for recorded in subject.record(places):
        labels.append(recorded.encoded.order.ravel())
        for site in sites:
            at = connection_positions(recorded.encoded.n_connections, site.token_class)
            values[site].append(
                recorded.values[site.place][:, at].flatten(0, 1).float().cpu().numpy()
            )
    connection, n = np.concatenate(labels), subject.mazes.grid.n_connections
    return {
        site: mean_differences(np.concatenate(parts), connection, n)
        for site, parts in values.items()
    }


@torch.inference_mode()
def write_everywhere(
    subject: Subject, known: Arrows, additions: Examples, doses: list[float]
) -> list[WritingRow]:
    """Add the mean difference of each example's added connection at every location of ``known``,
    with every dose, and count the rollouts that take the predicted path. The subject's mazes must
    be those of the examples."""
    model, n_solved = subject.model, 0
    follow = {(site, dose): 0 for site in known for dose in doses}
    for part, encoded in subject.encoded():
        n, lists = encoded.n_connections, encoded.lists
        solved = judge(additions.mazes[part], walk(model, additions.mazes[part], lists)).solved
        part, lists = part[solved], lists[solved]
        n_solved += len(part)
        if len(part) == 0:
            continue
        mazes, edited = additions.mazes[part], additions.edited[part]
        asked = questions_of(mazes, guess=edited.path)
        read = ReadLists.of(model, lists, {site.layer for site in known})
        edits = _edits(known, additions.added[part, 0], n, doses, model.device)
        for where, cells in zip(
            follow, rollouts_behind(model, map(read.edited, edits), asked), strict=True
        ):
            follow[where] += int(judge(edited, cells[:, 0]).solved.sum())
    return [
        WritingRow(
            layer=site.layer,
            token_class=str(site.token_class),
            dose=dose,
            n_follow=count,
            n=n_solved,
        )
        for (site, dose), count in follow.items()
    ]


def _edits(
    known: Arrows,
    added: Int[np.ndarray, " maze"],
    n_connections: int,
    doses: list[float],
    device: torch.device,
) -> list[Edit]:
    """The edits that add each maze's connection, for each location and each dose."""
    found = []
    for site, directions in known.items():
        at = torch.from_numpy(
            np.tile(connection_positions(n_connections, site.token_class), (len(added), 1))
        ).to(device)
        arrow = torch.from_numpy(directions[added]).float().to(device)[:, None]
        found += [add_at(site.place, at, partial(_always, dose * arrow)) for dose in doses]
    return found


def _always(push: Tensor, here: Tensor) -> Tensor:
    """A direction for ``add_at`` that does not depend on the current value."""
    return push


def writing_site(rows: pd.DataFrame, tolerance: float) -> Location:
    """The first location whose share at its best dose is within ``tolerance`` of the best of all,
    from a table of ``WritingRow``."""
    best = (
        rows.assign(rate=rows.n_follow / rows.n.clip(lower=1))
        .groupby(["layer", "token_class"], as_index=False)
        .rate.max()
    )
    good = best[best.rate >= best.rate.max() - tolerance]
    order = [str(c) for c in CLASSES]
    first = min(good.itertuples(), key=lambda row: (row.layer, order.index(row.token_class)))
    return Location(int(first.layer), TokenClass(first.token_class))
