"""At which layer and token class a connection can be written into a transformer.

Where a connection reads best (module ``consolidation``) need not be where writing it has an effect:
later layers may go on reading from earlier places. So for every layer and the three token classes
that can know a connection (``c1`` stands before its second cell), ``dose`` times the mean
difference of an absent connection is added at all tokens of the class, and ``follows_edit`` is the
share of rollouts that take the predicted path, among mazes that are solved unedited.

The **writing site** is the first (layer, token class) whose best dose comes within ``tolerance`` of
the best of all. It is handed on beside the consolidation site, the reading one: ``Locations``.
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
    """How the writing site is looked for."""

    n_mazes: Annotated[int, Field(gt=0)]  # training mazes behind the mean differences
    # additions of each connection, in validation mazes
    n_per_connection: Annotated[int, Field(gt=0)]
    doses: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    tolerance: Annotated[float, Field(gt=0, lt=1)]
    batch_size: Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class WritingRow:
    """One dose at one (layer, token class)."""

    layer: tables.Int
    token_class: tables.Text
    dose: tables.Real  # of the mean difference
    n_follow: tables.Int  # rollouts that take the predicted path
    n: tables.Int  # examples solved unedited


Arrows = dict[Location, Float[np.ndarray, "connection d_model"]]


def arrows_of(subject: Subject) -> Arrows:
    """The mean difference of every connection at every layer and class."""
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
    """Write the added connection of each example, whose mazes are the subject's, at every site of
    ``known``, with every dose."""
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
    """Each maze's added connection, written at each site with each dose."""
    found = []
    for site, directions in known.items():
        at = torch.from_numpy(
            np.tile(connection_positions(n_connections, site.token_class), (len(added), 1))
        ).to(device)
        arrow = torch.from_numpy(directions[added]).float().to(device)[:, None]
        found += [add_at(site.place, at, partial(_always, dose * arrow)) for dose in doses]
    return found


def _always(push: Tensor, here: Tensor) -> Tensor:
    """What is added, whatever is there."""
    return push


def writing_site(rows: pd.DataFrame, tolerance: float) -> Location:
    """The first site whose best dose comes within ``tolerance`` of the best of all."""
    best = (
        rows.assign(rate=rows.n_follow / rows.n.clip(lower=1))
        .groupby(["layer", "token_class"], as_index=False)
        .rate.max()
    )
    good = best[best.rate >= best.rate.max() - tolerance]
    order = [str(c) for c in CLASSES]
    first = min(good.itertuples(), key=lambda row: (row.layer, order.index(row.token_class)))
    return Location(int(first.layer), TokenClass(first.token_class))
