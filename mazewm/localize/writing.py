"""The writing site: the layer and the tokens at which an edit can write a connection into a
transformer, and nothing else with it (docs/science.md#writing-site).

The location where a probe reads connections best (module ``consolidation``) need not be one where
an edit has an effect, since later layers may still read from other places; and where a token holds
its own connection, an edit overwrites it. So every layer is tried, with each of TOKENS. ``dose``
times the mean difference of an absent connection is added at all of these tokens. ``hit`` is the
share of questions that then take the predicted path, ``spill`` the share of the other questions
that change (``mazewm.inference.trials``); their difference is the **selectivity**.

Sites whose selectivity at their best dose is within ``tolerance`` of the best are as good. The
**writing site** is the one of them with the most tokens, each of which then needs the shortest
push.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from mazewm.counterfactuals.pairs import Pairs
from mazewm.inference.edits import add_at
from mazewm.inference.subject import Subject
from mazewm.inference.trials import Counts, Trial
from mazewm.io import tables
from mazewm.io.params import Distinct, Params
from mazewm.io.progress import progress
from mazewm.localize.consolidation import net_accuracy
from mazewm.localize.directions import mean_differences
from mazewm.localize.labelled import labelled_at
from mazewm.localize.locations import LIST_END, Location, WritingSite
from mazewm.localize.selectivity import COUNTS, selectivities
from mazewm.maze.tokens import CONNECTION_CLASSES, TokenClass
from mazewm.model.sites import Place, Site

TYPICAL = 8  # connections of a list, for which tokens are counted
# every token class of a connection, the end of the list, and unions that hold no second cell,
# where most models bind
TOKENS: tuple[tuple[str, ...], ...] = (
    *((str(c),) for c in CONNECTION_CLASSES),
    (LIST_END,),
    ("c1", "<-->"),
    ("<-->", ";"),
    ("c1", "<-->", ";"),
    *((str(c), LIST_END) for c in CONNECTION_CLASSES),
    ("c1", "<-->", LIST_END),
    ("<-->", ";", LIST_END),
    ("c1", "<-->", ";", LIST_END),
)


class WritingParams(Params):
    """The section ``writing`` of params.yaml: how the writing site is found."""

    n_mazes: Annotated[int, Field(gt=0)]  # training mazes to compute mean differences from
    # pairs of mazes for each connection, made from validation mazes; and those made from test mazes
    # on which it is measured whether directions carry over from early to late tokens
    n_per_connection: Annotated[int, Field(gt=0)]
    n_carried: Annotated[int, Field(gt=0)]
    doses: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1), Distinct]
    tolerance: Annotated[float, Field(gt=0, lt=1)]
    batch_size: Annotated[int, Field(gt=0)]


@dataclass(frozen=True)
class WritingRow:
    """The effect of one dose at one layer and set of tokens."""

    layer: tables.Int
    tokens: tables.Text
    read_at: tables.Text  # the token class that the directions are from
    dose: tables.Real  # in multiples of the mean difference
    n_affected: tables.Int
    n_hit: tables.Int
    n_unaffected: tables.Int
    n_spill: tables.Int


Arrows = Mapping[Location, Float[np.ndarray, "connection d_model"]]


def arrows_of(subject: Subject, sources: list[Location]) -> Arrows:
    """The mean difference of every connection at each of the locations."""
    n = subject.mazes.grid.n_connections
    return {
        source: mean_differences(tokens.values, tokens.connection, n)
        for source, tokens in labelled_at(subject, sources).items()
    }


def sources_of(formed: pd.DataFrame, n_layers: int) -> list[Location]:
    """For each layer but the last, after which nothing more is read, the token class at which the
    probe reads connections best there, net of the token's identity; from a table of
    ``FormationRow``. A model of one layer has that one."""
    here = formed[formed.layer < max(1, n_layers - 1)]
    best = here.loc[net_accuracy(here).groupby(here.layer).idxmax()]
    return [Location(int(row.layer), TokenClass(row.token_class)) for row in best.itertuples()]


def write_everywhere(
    subject: Subject, known: Arrows, twins: Pairs, doses: list[float]
) -> list[WritingRow]:
    """Write the mean difference of each twin's connection at every layer of ``known`` and each of
    TOKENS, with every dose."""
    sites = [
        WritingSite(source.layer, tokens, source.token_class)
        for source in known
        for tokens in TOKENS
    ]
    total = {(site, dose): np.zeros(len(COUNTS), int) for site in sites for dose in doses}
    rng = subject.rng("writing: lists")
    tried = progress("looking for where connections are written", len(twins), share=0.35)
    for index in twins.batches(subject.batch):
        trial = Trial(subject.model, twins[index], rng, {site.layer for site in sites})
        for site, dose in total:
            at = site.positions(trial.lists.n_connections)
            counts = write_at(trial, site.layer, at, dose * known[site.source])
            total[site, dose] += [int(getattr(counts, name).sum()) for name in COUNTS]
        tried.update(tried.done + len(index))
    return [
        WritingRow(
            site.layer,
            " and ".join(site.tokens),
            str(site.read_at),
            dose,
            **dict(zip(COUNTS, map(int, found), strict=True)),
        )
        for (site, dose), found in total.items()
    ]


def write_at(
    trial: Trial,
    layer: int,
    at: Int[np.ndarray, " pos"],
    arrows: Float[np.ndarray, "connection d_model"],
) -> Counts:
    """Add the arrow of each maze's connection at some positions after a block."""
    added: Int[np.ndarray, " maze"] = trial.pairs.added[:, 0]
    place = Place(layer, Site.RESID_POST)
    push = torch.from_numpy(arrows[added]).to(trial.read.resid[place])[:, None]
    positions = torch.from_numpy(np.tile(at, (len(added), 1))).to(push.device)
    edit = add_at(place, positions, partial(_always, push))
    return trial.count(trial.compare(trial.read.edited(edit), layer))


def _always(push: Tensor, here: Tensor) -> Tensor:
    """A direction for ``add_at`` that does not depend on the current value."""
    return push


def near_best(rows: pd.DataFrame, tolerance: float) -> list[WritingSite]:
    """All sites whose selectivity at their best dose is within ``tolerance`` of the best; from a
    table of ``WritingRow``. The first is the writing site: the one with the most tokens, since each
    of them then needs the shortest push; of several, the one with the highest selectivity."""
    # without sorting, so that of equal ones the first that was tried comes first
    best = selectivities(rows).groupby(["layer", "tokens", "read_at"], sort=False).selectivity.max()
    good = best[best >= best.max() - tolerance].sort_values(ascending=False, kind="stable")
    names = [" and ".join(tokens) for tokens in TOKENS]
    sites = [
        WritingSite(int(layer), TOKENS[names.index(tokens)], TokenClass(read_at))
        for layer, tokens, read_at in good.index
    ]
    return sorted(sites, key=lambda site: -len(site.positions(TYPICAL)))
