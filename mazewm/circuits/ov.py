"""What heads write when they read a cell, and whether it points where the SAE's decoder directions point.

1. ``v_h(c) = norm1(W_E[c] + p) W_V W_O`` for head h and cell c, where p is the mean vector that the encoding adds at the
   coordinates' positions (zero if it adds none). Above block 0 this is the direct path from the embedding only.
2. ``d(e)`` for connection e = (a, b): the mean over its two spellings of the heads' outputs for the coordinates that the
   token attends to, ``sum_h own_mass_h / 2 [v_h(a) + v_h(b)]``. At ``;``, which sees a and b, that is the specification's
   formula; at c2 and ``<-->``, which see c1 alone, each spelling gives one of the two terms.
3. The token's own cell comes in through the residual stream: path ``heads+embedding`` adds ``(W_E[a] + W_E[b]) / 2`` where
   the token is a coordinate, and nothing at ``<-->`` and ``;``. Path ``embedding`` is that term alone: a baseline without heads.
4. ``C[e, e'] = cos(d(e) - mean d, w(e') - mean w)`` with w(e') the decoder direction of the best latent of e'. Both
   means are over connections: what all connections share (positions, the norm's offset, "this is a connection") would
   bring every cosine near one and says nothing about which connection it is.
5. Consistency: the AUROC of matched (e = e') against mismatched cosines, and the rank of the match in its row of C.

Controls: as many ``other`` heads of the same blocks with the binding heads' weights, so that only the OV matrices
differ, and ``shuffled``, the binding heads against latents that were moved to another connection.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.nn import functional as F

from mazewm import tables
from mazewm.circuits.attention import BindingHead
from mazewm.consolidation import SpellingSite
from mazewm.maze.lattice import Lattice, lattice
from mazewm.maze.mazes import Mazes
from mazewm.model.transformer import Transformer
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.tokens import SPECIALS, TokenClass, spelling_positions


@dataclass(frozen=True)
class OvNormRow:
    """How much a head writes when it reads a cell."""

    layer: tables.Int
    head: tables.Int
    cell: tables.Int
    norm: tables.Real  # length of v_h(c) in the residual stream


@dataclass(frozen=True)
class OvRankRow:
    """How many directions a head's W_OV uses."""

    layer: tables.Int
    head: tables.Int
    effective_rank: tables.Real  # exp of the entropy of sigma / sum sigma, in nats
    d_head: tables.Int  # the most it could be


@dataclass(frozen=True)
class OvConsistencyRow:
    """How well what heads write about a connection matches the decoder direction of its latent."""

    site: tables.Text
    path: tables.Text  # heads, heads+embedding, embedding
    heads: tables.Text  # binding, connectivity, other, shuffled; none for the path embedding
    connection: tables.Int
    cosine_matched: tables.Real
    cosine_mismatched_mean: tables.Real
    auroc: tables.Real  # over all pairs of (site, path, heads): the same in each of its rows
    rank: tables.Real  # 1 = best of n_connections; ties count half
    n_connections: tables.Int


@dataclass(frozen=True)
class OvCosineRow:
    """One entry of the matrix C, binding heads only."""

    site: tables.Text
    path: tables.Text
    connection: tables.Int  # whose d(e)
    latent_of: tables.Int  # whose best latent
    cosine: tables.Real


def coordinate_positions(mazes: Mazes) -> Int[np.ndarray, " coordinate"]:
    """The position of every coordinate in every maze's adjacency list."""
    both = (TokenClass.C1, TokenClass.C2)
    return np.concatenate([np.tile(spelling_positions(n, c), len(index)) for n, index in mazes.by_n_connections().items() for c in both])


@torch.inference_mode()
def head_outputs(model: Transformer, layer: int, positions: Int[np.ndarray, " coordinate"]) -> Float[Tensor, "head cell d_model"]:
    """``v_h(c)`` for every head of a block and every cell."""
    block, cells = model.blocks[layer], model.W_E[len(SPECIALS) :]
    where, times = np.unique(positions, return_counts=True)
    at = torch.from_numpy(where).to(model.device)
    added = model.encoding.on_embed(torch.zeros(1, len(at), cells.shape[1], device=model.device), at)[0]
    mean_added = torch.from_numpy(times / times.sum()).to(added) @ added
    return torch.einsum("cd,hdk,hke->hce", block.norm1(cells + mean_added), block.attn.W_V, block.attn.W_O)


def ov_norms(model: Transformer, layers: Sequence[int], positions: Int[np.ndarray, " coordinate"]) -> list[OvNormRow]:
    """The norm of ``v_h(c)`` for every head of ``layers`` and every cell."""
    norms = {layer: head_outputs(model, layer, positions).norm(dim=2).tolist() for layer in layers}
    return [OvNormRow(layer, h, c, norm) for layer, heads in norms.items() for h, cells in enumerate(heads) for c, norm in enumerate(cells)]


@torch.inference_mode()
def ov_ranks(model: Transformer) -> list[OvRankRow]:
    """The effective rank of ``W_OV = W_V W_O`` of every head; 0 where it is zero (Roy and Vetterli 2007)."""
    rows = []
    for layer, block in enumerate(model.blocks):
        W_V, W_O = block.attn.W_V, block.attn.W_O
        for head in range(model.params.n_heads):
            sigma = torch.linalg.svdvals(W_V[head].double() @ W_O[head].double())
            share = sigma / sigma.sum().clamp_min(1e-30)
            rank = torch.special.entr(share).sum().exp().item() if sigma.sum() > 0 else 0.0
            rows.append(OvRankRow(layer, head, rank, W_V.shape[2]))
    return rows


def directions(model: Transformer, heads: Sequence[BindingHead], positions: Int[np.ndarray, " coordinate"]) -> Float[Tensor, "connection d_model"]:
    """``d(e)`` of the given heads, weighted by their own_mass, for every connection of the lattice; zero if there are no heads."""
    grid = grid_of(model)
    outputs = {layer: head_outputs(model, layer, positions) for layer in {h.layer for h in heads}}
    per_cell = sum((h.own_mass * outputs[h.layer][h.head] for h in heads), torch.zeros(grid.n_cells, model.params.d_model, device=model.device))
    return per_cell[torch.from_numpy(grid.ends)].mean(dim=1)


def embedding_directions(model: Transformer) -> Float[Tensor, "connection d_model"]:
    """``(W_E[a] + W_E[b]) / 2`` for every connection."""
    return model.W_E.detach()[len(SPECIALS) :][torch.from_numpy(grid_of(model).ends)].mean(dim=1)


def grid_of(model: Transformer) -> Lattice:
    """The lattice whose cells the model has tokens for."""
    return lattice(round((model.d_vocab - len(SPECIALS)) ** 0.5))


def centred_cosines(d: Float[Tensor, "connection d_model"], w: Float[Tensor, "connection d_model"]) -> Float[np.ndarray, "connection connection"]:
    """Cosines of all pairs after each side's mean is taken away; 0 where nothing is left."""
    left, right = (F.normalize((x - x.mean(dim=0)).double(), dim=1) for x in (d, w))
    return (left @ right.T).cpu().numpy()


def other_heads(model: Transformer, heads: Sequence[BindingHead], rng: np.random.Generator) -> list[BindingHead]:
    """As many other heads of the same blocks as there are, drawn at random, with the given heads' weights in turn."""
    taken = {(h.layer, h.head) for h in heads}
    found = []
    for layer in sorted({h.layer for h in heads}):
        weights = [h.own_mass for h in heads if h.layer == layer]
        free = rng.permutation([n for n in range(model.params.n_heads) if (layer, n) not in taken])
        found += [BindingHead(layer, int(head), weight) for head, weight in zip(free, weights, strict=False)]
    return found


class Consistency(tuple[list[OvConsistencyRow], list[OvCosineRow]]):
    """placeholder"""
