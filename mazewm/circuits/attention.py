"""Where heads attend from the tokens of a connection, with controls that say how much would be
expected by chance.

Each measure is a share of a token's attention, averaged over the tokens of a maze. Rows give its
mean and standard deviation over mazes, for every layer, head and each of the four token classes
``c1 <--> c2 ;`` (docs/science.md#attention-and-circuits):

* ``own_mass``: attention to the coordinates of the token's own connection that stand before it
  (``OWN_OFFSETS``). None stand before c1, so its own_mass is 0;
* ``offset``: attention to the token ``bin`` tokens back; 0 is the token itself;
* ``position``: own_mass of a group of connections with neighbouring places in the list, the first
  of them the ``bin``-th;
* ``parity``: attention to an own coordinate whose row + col is even (``bin`` 0) or odd (``bin`` 1),
  per coordinate.

Controls: ``uniform`` spreads attention evenly over the token and all before it; ``shuffled`` takes
own_mass at the coordinates of another, earlier connection of the same maze, drawn at random for
each token.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from mazewm.inference.subject import Recorded, Subject
from mazewm.io import tables
from mazewm.localize.consolidation import OWN_OFFSETS
from mazewm.localize.locations import Location
from mazewm.maze.tokens import (
    CONNECTION_CLASSES,
    SPECIALS,
    TOKENS_PER_CONNECTION,
    TokenClass,
    connection_positions,
)
from mazewm.model.sites import Place, Site

MAX_OFFSET = 2 * TOKENS_PER_CONNECTION  # reaches back two connections


@dataclass(frozen=True)
class AttentionRow:
    """One measure of one head at one of the four token classes."""

    layer: tables.Int
    head: tables.Int
    token_class: tables.Text
    measure: tables.Text  # own_mass, offset, position, parity
    bin: tables.Int  # 0 for own_mass
    control: tables.Text  # none, uniform, shuffled (own_mass only)
    mean: tables.Real  # share of the token's attention
    sd: tables.Real  # over mazes
    n: tables.Int  # mazes


class BindingHead(NamedTuple):
    """A head and its mean own_mass at a site."""

    layer: int
    head: int
    own_mass: float


class Key(NamedTuple):
    """What a row measures, apart from layer and head (the columns of AttentionRow)."""

    token_class: str
    measure: str
    bin: int
    control: str


def position_bins(n_connections: Int[np.ndarray, " maze"], n_bins: int) -> Int[np.ndarray, " nth"]:
    """For each place in the list of connections, the first place of its bin; bins hold about
    equally many tokens of the mazes.

    >>> position_bins(np.array([4, 4, 2]), n_bins=2)
    array([0, 0, 2, 2])
    """
    count = (n_connections[:, None] > np.arange(n_connections.max())).sum(axis=0)
    middle = (np.cumsum(count) - count / 2) / count.sum()
    _, first, which = np.unique(
        (middle * n_bins).astype(int), return_index=True, return_inverse=True
    )
    return first[which]


def attention_profile(subject: Subject, n_position_bins: int) -> list[AttentionRow]:
    """Attention of every head at every token class (docs/science.md#own-mass); a measure that
    applies to no token of the mazes has no row."""
    mazes, layers = subject.mazes, range(subject.transformer.params.n_layers)
    bins = position_bins(mazes.n_connections, n_position_bins)
    is_odd = np.add(*np.divmod(np.arange(mazes.grid.n_cells), mazes.grid.n)) % 2
    rng = subject.rng("attention: donors")
    values: dict[tuple[int, Key], list[np.ndarray]] = defaultdict(list)
    places = [Place(layer, Site.PATTERN) for layer in layers]
    for recorded in subject.record(places):
        donors = earlier(rng, recorded.encoded.order.shape)
        for layer in layers:
            pattern = recorded.values[Place(layer, Site.PATTERN)].float().cpu().numpy()
            for token_class in CONNECTION_CLASSES:
                for key, per_maze in _measure(
                    pattern, recorded, token_class, bins, donors, is_odd
                ).items():
                    values[layer, key].append(per_maze)
    rows = []
    for (layer, key), parts in values.items():
        per_maze = np.concatenate(parts).astype(np.float64)
        mean, sd = per_maze.mean(axis=0), per_maze.std(axis=0)
        rows += [
            AttentionRow(layer, head, *key, float(mean[head]), float(sd[head]), len(per_maze))
            for head in range(len(mean))
        ]
    return rows


def earlier(rng: np.random.Generator, shape: tuple[int, ...]) -> Int[np.ndarray, "maze nth"]:
    """For every place in the list of connections, a random earlier one; 0 for the first."""
    return (rng.random(shape) * np.arange(shape[1])).astype(int)


def _measure(
    pattern: np.ndarray,
    recorded: Recorded,
    token_class: TokenClass,
    bins: np.ndarray,
    donors: np.ndarray,
    is_odd: np.ndarray,
) -> dict[Key, np.ndarray]:
    """Every measure of one layer's heads on one batch, ``[maze, head]``; mazes to which a measure
    does not apply are left out."""
    encoded = recorded.encoded
    n_mazes, n_heads = pattern.shape[:2]
    at, offsets = connection_positions(encoded.n_connections, token_class), OWN_OFFSETS[token_class]
    to_each = np.zeros((len(offsets), n_mazes, n_heads, len(at)), pattern.dtype)
    for nth, back in enumerate(offsets):
        to_each[nth] = pattern[:, :, at, at - back]
    own, uniform = to_each.sum(axis=0), len(offsets) / (at + 1)
    found: dict[Key, np.ndarray] = {}

    def keep(measure: str, bin: int, attention: np.ndarray, even: np.ndarray | float) -> None:
        found[Key(str(token_class), measure, bin, "none")] = attention
        found[Key(str(token_class), measure, bin, "uniform")] = np.broadcast_to(
            even, attention.shape
        )

    keep("own_mass", 0, own.mean(axis=2), uniform.mean())
    if len(at) > 1:
        row, donated = np.arange(n_mazes)[:, None], at[donors[:, 1:]]
        other = sum(
            (pattern[row, :, at[1:], donated - back] for back in offsets),
            np.zeros((n_mazes, len(at) - 1, n_heads)),
        )
        found[Key(str(token_class), "own_mass", 0, "shuffled")] = other.mean(axis=1)
    for back in range(MAX_OFFSET + 1):
        seen = at[at >= back]
        if len(seen):
            keep(
                "offset",
                back,
                pattern[:, :, seen, seen - back].mean(axis=2),
                (1 / (seen + 1)).mean(),
            )
    for first in np.unique(bins[: len(at)]):
        inside = bins[: len(at)] == first
        keep("position", int(first), own[:, :, inside].mean(axis=2), uniform[inside].mean())
    for parity in (0, 1) if offsets else ():
        chosen = np.stack(
            [is_odd[encoded.tokens[:, at - back] - len(SPECIALS)] == parity for back in offsets]
        )
        count = chosen.sum(axis=(0, 2))
        some = count > 0
        attention = (to_each * chosen[:, :, None]).sum(axis=(0, 3))[some] / count[some, None]
        even = ((1 / (at + 1)) * chosen).sum(axis=(0, 2))[some] / count[some]
        keep("parity", parity, attention, even[:, None])
    return found


def own_mass(rows: list[AttentionRow], site: Location) -> dict[tuple[int, int], float]:
    """Mean own_mass at the site's token class, of the heads of all blocks up to the site's."""
    return {
        (row.layer, row.head): row.mean
        for row in rows
        if (row.measure, row.control) == ("own_mass", "none")
        and row.layer <= site.layer
        and row.token_class == site.token_class
    }


def connectivity_heads(
    rows: list[AttentionRow], site: Location, threshold: float
) -> list[BindingHead]:
    """The heads of all blocks up to the site's whose mean own_mass at its token class exceeds
    ``threshold``; there may be none (docs/science.md#connectivity-head)."""
    return [
        BindingHead(*place, mass)
        for place, mass in sorted(own_mass(rows, site).items())
        if mass > threshold
    ]
