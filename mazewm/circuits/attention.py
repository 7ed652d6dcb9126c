"""Where heads look when they read a token of a connection, with the controls that say whether that is much.

Mean over the tokens of a maze first, then mean and standard deviation over mazes, for every layer, head and each of the
four tokens ``c1 <--> c2 ;`` (science, "Attention"):

* ``own_mass``: attention to the token's own coordinates (``OWN_OFFSETS``; none lie before c1, whose own_mass is 0);
* ``offset``: attention to the token ``bin`` tokens back; 0 is the token itself;
* ``position``: own_mass of those connections that are spelled ``bin``-th or later, up to the next bin;
* ``parity``: attention to an own coordinate whose row + col is even (``bin`` 0) or odd (1), per coordinate.

Controls: ``uniform`` spreads attention evenly over all that the token may see; ``shuffled`` reads own_mass at the
coordinates of another connection of the same maze, one that is spelled earlier, drawn at random for each token.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
from jaxtyping import Int
from pydantic import Field

from mazewm import tables
from mazewm.consolidation import OWN_OFFSETS, SpellingSite
from mazewm.maze.mazes import Mazes
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer
from mazewm.params import Params
from mazewm.recording import Recorded, record
from mazewm.tokens import SPECIALS, SPELLING_CLASSES, TOKENS_PER_CONNECTION, TokenClass, spelling_positions

MAX_OFFSET = 2 * TOKENS_PER_CONNECTION  # as far as the connection before the last one


class CircuitParams(Params):
    """What tracing circuits goes by."""

    n_mazes: Annotated[int, Field(gt=1)]
    batch_size: Annotated[int, Field(gt=0)]
    connectivity_threshold: Annotated[float, Field(gt=0, lt=1)]  # own_mass of a connectivity head
    binding_ratio: Annotated[float, Field(ge=1)]  # own_mass of a binding head, in multiples of the larger control
    n_position_bins: Annotated[int, Field(gt=0)]
    n_swaps: Annotated[int, Field(gt=0)]  # pairs of mazes for activation patching
    n_threads: Annotated[int, Field(gt=0)]  # part of the result: other thread counts add in another order


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
    """A head and its mean own_mass."""

    layer: int
    head: int
    own_mass: float


class Key(NamedTuple):
    """What a row measures, apart from the head."""

    token_class: str
    measure: str
    bin: int
    control: str


def position_bins(n_connections: Int[np.ndarray, " maze"], n_bins: int) -> Int[np.ndarray, " nth"]:
    """For the nth connection, the first n of its bin: bins of successive n that hold about equally many tokens."""
    count = (n_connections[:, None] > np.arange(n_connections.max())).sum(axis=0)
    middle = (np.cumsum(count) - count / 2) / count.sum()
    _, first, which = np.unique((middle * n_bins).astype(int), return_index=True, return_inverse=True)
    return first[which]


def attention_profile(model: Transformer, mazes: Mazes, seed: int, params: CircuitParams) -> list[AttentionRow]:
    """Rows for every layer, head and token class; a measure that no token of the mazes has is left out."""
    layers = range(model.params.n_layers)
    bins = position_bins(mazes.n_connections, params.n_position_bins)
    is_odd = np.add(*np.divmod(np.arange(mazes.grid.n_cells), mazes.grid.n)) % 2
    rng = np.random.default_rng([seed, 1])
    values: dict[tuple[int, Key], list[np.ndarray]] = defaultdict(list)
    places = [Place(layer, Site.PATTERN) for layer in layers]
    for recorded in record(model, mazes, places, np.random.default_rng(seed), params.batch_size):
        donors = earlier(rng, recorded.spelled.order.shape)
        for layer in layers:
            pattern = recorded.values[Place(layer, Site.PATTERN)].float().cpu().numpy()
            for token_class in SPELLING_CLASSES:
                for key, per_maze in _measure(pattern, recorded, token_class, bins, donors, is_odd).items():
                    values[layer, key].append(per_maze)
    rows = []
    for (layer, key), parts in values.items():
        per_maze = np.concatenate(parts).astype(np.float64)
        mean, sd = per_maze.mean(axis=0), per_maze.std(axis=0)
        rows += [AttentionRow(layer, head, *key, float(mean[head]), float(sd[head]), len(per_maze)) for head in range(model.params.n_heads)]
    return rows


def earlier(rng: np.random.Generator, shape: tuple[int, ...]) -> Int[np.ndarray, "maze nth"]:
    """For every connection but the first, one that is spelled before it; 0 for the first."""
    return (rng.random(shape) * np.arange(shape[1])).astype(int)


def _measure(
    pattern: np.ndarray, recorded: Recorded, token_class: TokenClass, bins: np.ndarray, donors: np.ndarray, is_odd: np.ndarray
) -> dict[Key, np.ndarray]:
    """Every measure of one layer's heads on one batch: ``[maze, head]``, of those mazes that have it."""
    spelled = recorded.spelled
    n_mazes, n_heads = pattern.shape[:2]
    at, offsets = spelling_positions(spelled.n_connections, token_class), OWN_OFFSETS[token_class]
    to_each = np.zeros((len(offsets), n_mazes, n_heads, len(at)), pattern.dtype)
    for nth, back in enumerate(offsets):
        to_each[nth] = pattern[:, :, at, at - back]
    own, uniform = to_each.sum(axis=0), len(offsets) / (at + 1)
    found: dict[Key, np.ndarray] = {}

    def keep(measure: str, bin: int, attention: np.ndarray, even: np.ndarray | float) -> None:
        found[Key(str(token_class), measure, bin, "none")] = attention
        found[Key(str(token_class), measure, bin, "uniform")] = np.broadcast_to(even, attention.shape)

    keep("own_mass", 0, own.mean(axis=2), uniform.mean())
    if len(at) > 1:
        row, donated = np.arange(n_mazes)[:, None], at[donors[:, 1:]]
        other = sum((pattern[row, :, at[1:], donated - back] for back in offsets), np.zeros((n_mazes, len(at) - 1, n_heads)))
        found[Key(str(token_class), "own_mass", 0, "shuffled")] = other.mean(axis=1)
    for back in range(MAX_OFFSET + 1):
        seen = at[at >= back]
        if len(seen):
            keep("offset", back, pattern[:, :, seen, seen - back].mean(axis=2), (1 / (seen + 1)).mean())
    for first in np.unique(bins[: len(at)]):
        inside = bins[: len(at)] == first
        keep("position", int(first), own[:, :, inside].mean(axis=2), uniform[inside].mean())
    for parity in (0, 1) if offsets else ():
        chosen = np.stack([is_odd[spelled.tokens[:, at - back] - len(SPECIALS)] == parity for back in offsets])
        count = chosen.sum(axis=(0, 2))
        some = count > 0
        attention = (to_each * chosen[:, :, None]).sum(axis=(0, 3))[some] / count[some, None]
        even = ((1 / (at + 1)) * chosen).sum(axis=(0, 2))[some] / count[some]
        keep("parity", parity, attention, even[:, None])
    return found


def _own_mass(rows: list[AttentionRow], site: SpellingSite) -> dict[tuple[int, int], dict[str, float]]:
    """For the heads of blocks 0 to the site's: mean own_mass and its controls at the site's token class."""
    found: dict[tuple[int, int], dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row.measure == "own_mass" and row.layer <= site.layer and row.token_class == site.token_class:
            found[row.layer, row.head][row.control] = row.mean
    return found


def connectivity_heads(rows: list[AttentionRow], site: SpellingSite, threshold: float) -> list[BindingHead]:
    """The heads of blocks 0 to the site's whose mean own_mass at its token class exceeds ``threshold``; there may be none."""
    return [BindingHead(*place, mass["none"]) for place, mass in sorted(_own_mass(rows, site).items()) if mass["none"] > threshold]


def binding_heads(rows: list[AttentionRow], site: SpellingSite, ratio: float) -> list[BindingHead]:
    """The heads of the site's own block whose mean own_mass exceeds ``ratio`` times the larger of its controls, best first.

    Uniform attention alone would be too weak a control: a head that looks at all coordinates alike beats it twofold. The
    shuffled control does not. There may be no such head.
    """
    found = []
    for (layer, head), mass in _own_mass(rows, site).items():
        control = max(mass["uniform"], mass.get("shuffled", 0.0))
        if layer == site.layer and mass["none"] > ratio * control:
            found.append((mass["none"] / max(control, 1e-9), BindingHead(layer, head, mass["none"])))
    return [head for _, head in sorted(found, reverse=True)]
