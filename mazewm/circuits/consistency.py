"""Whether the direction that heads write for a connection agrees with the SAE's decoder direction
for that connection (docs/science.md#what-heads-write).

A connection e between cells a and b can be encoded in two directions, as (a, b) or as (b, a).

1. A token of e attends to the coordinates before it: ``;`` to c1 and c2, c2 and ``<-->`` to c1
   alone. Path ``heads`` is ``d(e) = sum_h own_mass_h mean_c v_h(c)``, with v_h(c) from module
   ``ov`` and c over the coordinates attended to. Averaged over both directions of e, this is
   ``sum_h own_mass_h / 2 [v_h(a) + v_h(b)]`` at each of the three classes.
2. Path ``heads+embedding`` adds the token's own embedding, ``W_E[token]``, which reaches the site
   through the residual stream. At c2 it is that of a cell; at ``<-->`` and ``;`` it is the same for
   all connections. Path ``heads+embedding+mlp`` then applies the block's MLP, before the mean over
   directions: the SAE reads the residual stream after the MLP, which can combine two cells into
   one connection.
3. Baselines without heads: ``embedding``, ``(W_E[a] + W_E[b]) / 2`` at every token class, and, at
   coordinates, ``embedding+mlp``. The heads contribute what they score above these.
4. ``C[e, e'] = cos(d(e) - mean d, w(e') - mean w)``, with w(e') the decoder direction of the best
   latent of e'. Both means are over connections. They remove what all connections share (positions,
   the norm's offset, "this is a connection"), which would bring every cosine near 1.
5. The AUROC of matched (e = e') against mismatched cosines, and the rank of the match in its row of
   C. Cells alone can score well on both, since any sum over cells is closest to the connection that
   has both cells.
6. ``picked`` is a harder test, which no sum over cells passes: for each direction of e, with d of
   that direction alone, is the match the best among the connections that share the token's *last*
   cell, c2? ``picked`` is the share of the two directions for which it is, ``picked_chance`` one
   over the number of connections compared.

Controls: ``other``, as many other heads of the same blocks with the binding heads' weights, so that
only the OV matrices differ; ``shuffled``, the binding heads compared with the latents of other
connections.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from mazewm.circuits.attention import BindingHead
from mazewm.circuits.ov import COORDINATES, class_positions, head_outputs, mean_added
from mazewm.circuits.readable import Readable
from mazewm.io import tables
from mazewm.io.streams import stream
from mazewm.localize.locations import Location
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import CONNECTOR, DELIMITER, SPECIALS, TokenClass
from mazewm.model.transformer import Transformer


@dataclass(frozen=True)
class OvConsistencyRow:
    """How well ``d(e)`` matches the decoder direction of the latent of e, for one connection, path
    and set of heads."""

    site: tables.Text
    path: tables.Text  # heads, heads+embedding, heads+embedding+mlp, embedding, embedding+mlp
    heads: tables.Text  # binding, connectivity, other, shuffled, or none
    connection: tables.Int
    cosine_matched: tables.Real
    cosine_mismatched_mean: tables.Real
    auroc: tables.Real  # of the whole matrix C: the same in all rows of a site, path and set
    rank: tables.Real  # 1 is the best of n_connections; ties count half
    picked: tables.Real  # share of its two directions; a tie counts one over the number tied
    picked_chance: tables.Real  # what a random choice would score
    n_connections: tables.Int


@dataclass(frozen=True)
class OvCosineRow:
    """One entry of the matrix C, for the binding heads only."""

    site: tables.Text
    path: tables.Text
    connection: tables.Int  # e
    latent_of: tables.Int  # e'
    cosine: tables.Real


class Consistency(NamedTuple):
    """Rows for each connection, and the entries of the binding heads' matrices C."""

    rows: list[OvConsistencyRow]
    cosines: list[OvCosineRow]


Directions = Float[Tensor, "connection d_model"]
BySpelling = Float[Tensor, "2 connection d_model"]


@torch.inference_mode()
def directions(
    model: Transformer, heads: Sequence[BindingHead], location: Location, mazes: Mazes
) -> dict[str, BySpelling]:
    """``d(e)`` for every connection of the lattice in both directions, by path; the baselines if
    ``heads`` is empty."""
    upper, lower = torch.from_numpy(mazes.grid.ends).T.to(model.device)
    either_way, token_class = [(upper, lower), (lower, upper)], location.token_class
    written = _written_about_cells(model, heads, mazes)
    by_heads = torch.stack([_read(written, token_class, c1, c2) for c1, c2 in either_way])
    own = torch.stack([_own_embedding(model, token_class, c1, c2) for c1, c2 in either_way])
    position = mean_added(model, class_positions(mazes, [token_class]))
    behind = [_behind_mlp(model, location.layer, one + position) for one in by_heads + own]
    if heads:
        return {
            "heads": by_heads,
            "heads+embedding": by_heads + own,
            "heads+embedding+mlp": torch.stack(behind),
        }
    cells = model.W_E[len(SPECIALS) :]
    found = {"embedding": ((cells[upper] + cells[lower]) / 2).expand(2, -1, -1)}
    return found | ({"embedding+mlp": torch.stack(behind)} if token_class in COORDINATES else {})


def _written_about_cells(
    model: Transformer, heads: Sequence[BindingHead], mazes: Mazes
) -> Float[Tensor, "cell d_model"]:
    """What the heads write when they attend to a cell, each weighted by its own_mass."""
    outputs = {layer: head_outputs(model, layer, mazes) for layer in {h.layer for h in heads}}
    nothing = torch.zeros_like(model.W_E[len(SPECIALS) :])
    return sum((h.own_mass * outputs[h.layer][h.head] for h in heads), nothing)


def _read(
    written: Float[Tensor, "cell d_model"], token_class: TokenClass, c1: Tensor, c2: Tensor
) -> Directions:
    """The mean of ``written`` over the cells that stand before a token of this class: none before
    c1, both before ``;``."""
    read = {TokenClass.C1: [], TokenClass.DELIMITER: [c1, c2]}.get(token_class, [c1])
    return sum((written[c] / len(read) for c in read), torch.zeros_like(written[c1]))


def _own_embedding(
    model: Transformer, token_class: TokenClass, c1: Tensor, c2: Tensor
) -> Directions:
    """The embedding of the token itself: a cell's at c1 and c2, the same one for all connections at
    the other classes."""
    cells = model.W_E[len(SPECIALS) :]
    own = {
        TokenClass.C1: cells[c1],
        TokenClass.C2: cells[c2],
        TokenClass.CONNECTOR: model.W_E[CONNECTOR],
    }
    return own.get(token_class, model.W_E[DELIMITER]).expand(len(c1), -1)


def _behind_mlp(model: Transformer, layer: int, resid: Directions) -> Directions:
    """The residual stream after adding the block's attention bias and its MLP."""
    block = model.layers[layer]
    resid_mid = (resid + block.attn.b_O)[None]
    return (resid_mid + block.mlp(block.norm2(resid_mid), layer, None))[0]


def centred_cosines(
    d: Float[Tensor, "left d_model"], w: Float[Tensor, "right d_model"]
) -> Float[np.ndarray, "left right"]:
    """Cosines of all pairs of rows after each side's mean is subtracted; 0 where a row equals its
    mean.

    >>> d = torch.tensor([[3.0, 1.0], [3.0, -1.0]])  # differ only along the second axis
    >>> centred_cosines(d, torch.tensor([[0.0, 5.0], [0.0, 1.0]])).round(3).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    d, w = d.cpu().double(), w.cpu().double()  # MPS has no float64
    d, w = d - d.mean(dim=0), w - w.mean(dim=0)
    # Where rows are equal, only rounding errors are left, whose direction is meaningless.
    left, right = (
        F.normalize(torch.where(x.norm(dim=1, keepdim=True) > 1e-6, x, 0.0), dim=1) for x in (d, w)
    )
    return (left @ right.T).numpy()


def other_heads(
    model: Transformer, heads: Sequence[BindingHead], rng: np.random.Generator
) -> list[BindingHead]:
    """For each block of ``heads``, as many other heads, drawn at random, as far as the block has
    them; they get the own_mass of the given heads as their weights."""
    taken = {(h.layer, h.head) for h in heads}
    found = []
    for layer in sorted({h.layer for h in heads}):
        weights = [h.own_mass for h in heads if h.layer == layer]
        free = rng.permutation([n for n in range(model.params.n_heads) if (layer, n) not in taken])
        found += [
            BindingHead(layer, int(head), weight)
            for head, weight in zip(free, weights, strict=False)
        ]
    return found


@torch.inference_mode()
def compare(
    model: Transformer,
    known: Readable,
    heads: Mapping[str, Sequence[BindingHead]],
    mazes: Mazes,
    seed: int,
) -> Consistency:
    """Compare ``d(e)`` of each named set of heads with the decoder directions; the controls are
    those of the set named ``binding``.

    Connections without a latent are left out, and so are sets without heads. With fewer than two
    connections there are no rows.
    """
    rng = stream("consistency: other heads", seed)
    connections, site = known.connections, known.location
    if len(connections) < 2:
        return Consistency([], [])
    decoder = known.sae.W_dec[torch.tensor([known.best_latent[e] for e in connections])]
    # A random cycle through the connections gives every connection another one's latent; a random
    # permutation might leave some in place.
    cycle = rng.permutation(len(connections))
    moved = torch.empty_like(decoder)
    moved[cycle] = decoder[np.roll(cycle, 1)]
    binding = heads.get("binding", [])
    sets = [(name, chosen, decoder) for name, chosen in heads.items()]
    sets += [("other", other_heads(model, binding, rng), decoder), ("shuffled", binding, moved)]
    sets = [part for part in sets if part[1]] + [("none", [], decoder)]
    rows, cosines = [], []
    for name, chosen, target in sets:
        for path, d in directions(model, chosen, site, mazes).items():
            matrix = centred_cosines(d.mean(dim=0)[connections], target)
            picked = _picked(d[:, connections], target, mazes.grid.ends[connections])
            rows += _rank(site, path, name, connections, matrix, picked)
            if name == "binding":
                pairs = [(i, j) for i in range(len(connections)) for j in range(len(connections))]
                cosines += [
                    OvCosineRow(
                        site=str(site),
                        path=path,
                        connection=connections[i],
                        latent_of=connections[j],
                        cosine=float(matrix[i, j]),
                    )
                    for i, j in pairs
                ]
    return Consistency(rows, cosines)


def _picked(
    d: BySpelling, target: Directions, ends: Int[np.ndarray, "connection 2"]
) -> Float[np.ndarray, "connection 2"]:
    """For every connection, ``picked`` and ``picked_chance``."""
    found = np.zeros((len(ends), 2))
    cosines = centred_cosines(d.flatten(0, 1), target).reshape(2, len(ends), len(ends))
    for e, cells in enumerate(ends):
        for spelling, last in enumerate(cells[::-1]):
            rivals = cosines[spelling, e, (ends == last).any(axis=1)]
            best = np.isclose(rivals, rivals.max(), atol=1e-9)
            is_match = cosines[spelling, e, e] >= rivals.max() - 1e-9
            found[e] += [is_match / best.sum() / 2, 1 / len(rivals) / 2]
    return found


def _rank(
    site: Location,
    path: str,
    heads: str,
    connections: list[int],
    matrix: np.ndarray,
    picked: np.ndarray,
) -> list[OvConsistencyRow]:
    """One row for each row of a cosine matrix."""
    from sklearn.metrics import roc_auc_score  # slow to import, seldom needed

    n, matched = len(connections), np.diag(matrix)
    auroc = float(roc_auc_score(np.eye(n, dtype=int).ravel(), matrix.ravel()))
    mismatched = (matrix.sum(axis=1) - matched) / (n - 1)
    ties = (matrix == matched[:, None]).sum(axis=1) - 1
    rank = 1 + (matrix > matched[:, None]).sum(axis=1) + ties / 2
    values = zip(
        connections, *np.stack([matched, mismatched, rank, *picked.T]).tolist(), strict=True
    )
    return [
        OvConsistencyRow(
            site=str(site),
            path=path,
            heads=heads,
            connection=e,
            cosine_matched=on,
            cosine_mismatched_mean=off,
            auroc=auroc,
            rank=r,
            picked=hit,
            picked_chance=chance,
            n_connections=n,
        )
        for e, on, off, r, hit, chance in values
    ]
