"""Room 4e, writing: at which layer and token class a connection can be written into a transformer.

Where a connection reads best (room ``consolidation``) need not be where writing it has an effect: later layers may go on reading
from earlier places. So for every layer and the three token classes that can know a connection (``c1`` stands before its
second cell), ``dose`` times the mean difference of an absent connection is added at all tokens of the class, and
``follows_edit`` is the share of rollouts that take the predicted path, among mazes that are solved unedited.

The **writing site** is the first (layer, token class) whose best dose comes within ``tolerance`` of the best of all. It is handed
on beside the consolidation site, the reading one: ``Sites``.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from mazewm import tables
from mazewm.behaviour import judge, walk
from mazewm.consolidation import PAPER_SITE, SpellingSite
from mazewm.directions import mean_differences
from mazewm.errors import BadInput
from mazewm.maze.examples import Examples
from mazewm.maze.mazes import Mazes
from mazewm.model.edits import Edit, add_at
from mazewm.model.resuming import ReadLists
from mazewm.model.rollout import questions_of, rollouts_behind
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer
from mazewm.params import Params
from mazewm.recording import record
from mazewm.tokens import TokenClass, spell, spelling_positions

CLASSES = (TokenClass.CONNECTOR, TokenClass.C2, TokenClass.DELIMITER)


class WritingParams(Params):
    """How the writing site is looked for."""

    n_mazes: Annotated[int, Field(gt=0)]  # training mazes behind the mean differences
    n_per_connection: Annotated[int, Field(gt=0)]  # additions of each connection, in validation mazes
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


Arrows = dict[SpellingSite, Float[np.ndarray, "connection d_model"]]


def arrows(model: Transformer, mazes: Mazes, seed: int, batch: int) -> Arrows:
    """The mean difference of every connection at every layer and class."""
    sites = [SpellingSite(layer, c) for layer in range(model.params.n_layers) for c in CLASSES]
    values: dict[SpellingSite, list[np.ndarray]] = {site: [] for site in sites}
    labels = []
    places = [Place(layer, Site.RESID_POST) for layer in range(model.params.n_layers)]
    for recorded in record(model, mazes, places, np.random.default_rng(seed), batch):
        labels.append(recorded.spelled.order.ravel())
        for site in sites:
            at = spelling_positions(recorded.spelled.n_connections, site.token_class)
            values[site].append(recorded.values[site.place][:, at].flatten(0, 1).float().cpu().numpy())
    connection = np.concatenate(labels)
    return {site: mean_differences(np.concatenate(parts), connection, mazes.grid.n_connections) for site, parts in values.items()}


@torch.inference_mode()
def look(model: Transformer, known: Arrows, additions: Examples, doses: list[float], seed: int, batch: int) -> list[WritingRow]:
    """Write each example's added connection at every site of ``known``, with every dose."""
    follow = {(site, dose): 0 for site in known for dose in doses}
    n_solved, rng = 0, np.random.default_rng(seed)
    for n, index in additions.mazes.by_n_connections().items():
        for start in range(0, len(index), batch):
            part = index[start : start + batch]
            lists = spell(additions.mazes[part], rng).lists
            solved = judge(additions.mazes[part], walk(model, additions.mazes[part], lists)).solved
            part, lists = part[solved], lists[solved]
            n_solved += len(part)
            if len(part) == 0:
                continue
            mazes, edited = additions.mazes[part], additions.edited[part]
            asked = questions_of(mazes, guess=edited.path)
            read = ReadLists(model, torch.from_numpy(lists).to(model.device), {site.layer for site in known})
            edits = _edits(known, additions.added[part, 0], n, doses, model.device)
            for where, cells in zip(follow, rollouts_behind(model, map(read.edited, edits), asked), strict=True):
                follow[where] += int(judge(edited, cells[:, 0]).solved.sum())
    return [WritingRow(site.layer, str(site.token_class), dose, count, n_solved) for (site, dose), count in follow.items()]


def _edits(known: Arrows, added: Int[np.ndarray, " maze"], n_connections: int, doses: list[float], device: torch.device) -> list[Edit]:
    """Each maze's added connection, written at each site with each dose."""
    found = []
    for site, directions in known.items():
        at = torch.from_numpy(np.tile(spelling_positions(n_connections, site.token_class), (len(added), 1))).to(device)
        arrow = torch.from_numpy(directions[added]).float().to(device)[:, None]
        found += [add_at(site.place, at, partial(_always, dose * arrow)) for dose in doses]
    return found


def _always(push: Tensor, here: Tensor) -> Tensor:
    """What is added, whatever is there."""
    return push


def writing_site(rows: pd.DataFrame, tolerance: float) -> SpellingSite:
    """The first site whose best dose comes within ``tolerance`` of the best of all."""
    best = rows.assign(rate=rows.n_follow / rows.n.clip(lower=1)).groupby(["layer", "token_class"], as_index=False).rate.max()
    good = best[best.rate >= best.rate.max() - tolerance]
    order = [str(c) for c in CLASSES]
    first = min(good.itertuples(), key=lambda row: (row.layer, order.index(row.token_class)))
    return SpellingSite(int(first.layer), TokenClass(first.token_class))


@dataclass(frozen=True)
class Sites:
    """Where one transformer's connections are read, the consolidation site, and where they are written."""

    reading: SpellingSite
    writing: SpellingSite

    @property
    def studied(self) -> list[SpellingSite]:
        """Both and the paper's, each once."""
        return list(dict.fromkeys([self.reading, self.writing, PAPER_SITE]))

    def save(self, folder: Path) -> None:
        """Write ``site.json`` and ``writing_site.json``."""
        self.reading.save(folder / "site.json")
        self.writing.save(folder / "writing_site.json")

    @classmethod
    def load(cls, folder: Path, n_layers: int) -> "Sites":
        """Read what ``save`` wrote; BadInput for a layer that a transformer of ``n_layers`` does not have."""
        found = []
        for path in (folder / "site.json", folder / "writing_site.json"):
            site = SpellingSite.load(path)
            if site.layer >= n_layers:
                raise BadInput(f"{path}: layer: expected one below {n_layers}, found {site.layer}.")
            found.append(site)
        return cls(*found)
