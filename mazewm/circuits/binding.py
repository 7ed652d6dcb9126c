"""The heads that bind the two cells of a connection, by what happens without them
(docs/science.md#binding-head).

1. In the list of each maze, one connection e = (c1, c2) is drawn, and its c1 replaced by another
   cell next to c2, so that another absent connection stands there.
2. The change reaches a later token of e through heads that read c1 there, or that read an earlier
   token of e, such as ``<-->``, which has itself read c1 (module ``streams``: the heads whose paths
   are open). The metric is the projection on the mean difference of e at the site.
3. ``lost(H) = (m(none) - m(H)) / (m(none) - m(all))``, with m summed over mazes: the share of the
   loss that comes about if only the heads H read the change. H are single heads of all blocks up to
   the site's, the binding heads, all others, and as many drawn at random from all.

The binding heads are chosen on validation mazes: heads are added, those first without which least
is lost, until they lose ``ENOUGH`` together, at most half of all heads; then those are left out,
the last ones first, that this does not need.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.circuits.choosing import few_enough
from mazewm.circuits.streams import Streams
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.localize.locations import Location
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import (
    CONNECTION_CLASSES,
    TOKENS_PER_CONNECTION,
    Encoded,
    TokenClass,
    Vocabulary,
)
from mazewm.model.transformer import Transformer

ENOUGH = 0.9  # share of the loss that the binding heads have together
N_RANDOM = 5  # sets of heads drawn at random
# tokens at which all models are compared
COMPARED = (TokenClass.CONNECTOR, TokenClass.C2, TokenClass.DELIMITER)

Head = tuple[int, int]  # layer, head
Arrows = Float[np.ndarray, "connection d_model"]


def compared_block(n_layers: int) -> int:
    """The block after which all models are compared: the last one but one, after which a later
    token can still read what heads have brought. It follows from the architecture alone, so it is
    the same in every run, wherever that reads connections. A model of one block has that one.

    >>> compared_block(4), compared_block(1)
    (2, 0)
    """
    return max(0, n_layers - 2)


def all_heads(layers: range, model: Transformer) -> list[Head]:
    """All heads of some blocks."""
    return [(layer, head) for layer in layers for head in range(model.params.n_heads)]


@dataclass(frozen=True)
class BindingRow:
    """The projection of one token on its connection's mean difference, in units of the latter's
    length, with the other first cell read by some heads only."""

    site: tables.Text
    split: tables.Text  # test
    heads: tables.Text  # none, all, binding, others, "0.3", or random 0, random 1, ...
    maze_id: tables.Int
    connection: tables.Int
    projection: tables.Real


class Changed(NamedTuple):
    """Lists in which the first cell of the ``nth`` connection is another. They end with this
    connection."""

    maze: Int[np.ndarray, " row"]
    connection: Int[np.ndarray, " row"]
    clean: Int[np.ndarray, "row pos"]
    changed: Int[np.ndarray, "row pos"]


def change_first_cell(
    encoded: Encoded, row: Int[np.ndarray, " row"], mazes: Mazes, nth: int, rng: np.random.Generator
) -> Changed:
    """Another first cell for the ``nth`` connection of some of the encoded mazes. Mazes in which
    every other neighbour of its second cell is connected to it are left out."""
    grid, every = mazes.grid, np.arange(len(row))
    first_cell = Vocabulary(grid.n).first_cell
    at = TOKENS_PER_CONNECTION * nth + 1
    lists = encoded.lists[row, : at + TOKENS_PER_CONNECTION]
    c1, c2 = (lists[:, at + back] - first_cell for back in (0, 2))
    around = grid.neighbours[c2]
    other = grid.connection_of[c2[:, None], around]
    is_free = (around >= 0) & (around != c1[:, None])
    is_free &= ~mazes.connections[row[:, None], other]
    drawn = np.where(is_free, rng.random(around.shape), -1).argmax(axis=1)
    changed = lists.copy()
    changed[:, at] = around[every, drawn] + first_cell
    kept = np.flatnonzero(is_free.any(axis=1))
    return Changed(row[kept], encoded.order[row[kept], nth], lists[kept], changed[kept])


class _Batch(NamedTuple):
    maze: Int[np.ndarray, " row"]
    connection: Int[np.ndarray, " row"]
    streams: Streams
    onto: Float[Tensor, "row d_model"]


class _Site:
    """The mazes of a subject with one first cell changed, and the metric at one site."""

    def __init__(self, subject: Subject, site: Location, arrows: Arrows, name: str) -> None:
        self.model, self.site = subject.transformer, site
        rng = subject.rng(f"binding: {name}")
        # a connection that training never shows has no direction
        length = np.maximum(np.linalg.norm(arrows, axis=1, keepdims=True), 1e-9)
        self.unit, self.batches = arrows / length**2, list[_Batch]()
        for part, encoded in subject.encoded(rng):
            drawn = rng.integers(encoded.n_connections, size=len(part))
            for nth in np.unique(drawn):
                row = np.flatnonzero(drawn == nth)
                found = change_first_cell(encoded, row, subject.mazes[part], int(nth), rng)
                if len(found.maze):
                    self._add(part[found.maze], found, int(nth))

    def _add(self, maze: Int[np.ndarray, " row"], found: Changed, nth: int) -> None:
        clean, changed = (
            self.model.embed(torch.from_numpy(tokens).to(self.model.device))
            for tokens in (found.clean, found.changed)
        )
        since, layers = TOKENS_PER_CONNECTION * nth + 1, range(self.site.layer + 1)
        streams = Streams(self.model, clean, changed, layers, since)
        onto = torch.from_numpy(self.unit[found.connection]).to(clean)
        self.batches.append(_Batch(maze, found.connection, streams, onto))

    def projections(self, heads: Sequence[Head]) -> Iterator[Float[np.ndarray, " row"]]:
        """The metric of every row of every batch, with the change read by ``heads`` only."""
        reads = torch.zeros(self.site.layer + 1, self.model.params.n_heads, dtype=torch.bool)
        for layer, head in heads:
            reads[layer, head] = True
        reads = reads.to(self.model.device)
        nth = CONNECTION_CLASSES.index(self.site.token_class)
        for batch in self.batches:
            resid = batch.streams.run(lambda layer: reads[layer][None, :, None, None])
            yield (resid[:, nth] * batch.onto).sum(dim=1).cpu().numpy()

    def total(self, heads: Sequence[Head]) -> float:
        """The metric, summed over rows."""
        return float(sum(each.astype(np.float64).sum() for each in self.projections(heads)))


def choose_heads(subject: Subject, site: Location, arrows: Arrows) -> list[Head]:
    """The binding heads of a site, from validation mazes, the one that loses most first; none where
    the change does not reach the site, as at c1."""
    study, every = (
        _Site(subject, site, arrows, "validation"),
        all_heads(range(site.layer + 1), subject.transformer),
    )
    none, whole = study.total([]), study.total(every)
    n_rows = sum(len(batch.maze) for batch in study.batches)
    if none - whole < 1e-6 * max(1, n_rows):
        return []

    def lost(heads: Sequence[Head]) -> float:
        return (none - study.total(heads)) / (none - whole)

    without = {head: lost([other for other in every if other != head]) for head in every}
    by_loss = sorted(every, key=lambda head: without[head])[: len(every) // 2]
    return few_enough(by_loss, lambda heads: lost(heads) >= ENOUGH)


def measure_heads(
    subject: Subject, site: Location, arrows: Arrows, binding: Sequence[Head]
) -> list[BindingRow]:
    """The metric of every test maze with the change read by each set of heads."""
    study, every = (
        _Site(subject, site, arrows, "test"),
        all_heads(range(site.layer + 1), subject.transformer),
    )
    rng, n = subject.rng(f"binding: random heads, {site}"), len(binding)
    sets: dict[str, list[Head]] = {"none": [], "all": every, "binding": list(binding)}
    sets["others"] = [head for head in every if head not in binding]
    for nth in range(N_RANDOM):
        sets[f"random {nth}"] = [every[i] for i in rng.permutation(len(every))[:n]]
    sets |= {f"{layer}.{head}": [(layer, head)] for layer, head in every}
    return [
        BindingRow(str(site), "test", name, int(subject.mazes.maze_id[maze]), int(e), float(value))
        for name, heads in sets.items()
        for batch, values in zip(study.batches, study.projections(heads), strict=True)
        for maze, e, value in zip(batch.maze, batch.connection, values, strict=True)
    ]
