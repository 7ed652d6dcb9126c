"""What heads write into the residual stream when they attend to a cell, from the weights alone
(docs/science.md#what-heads-write).

``v_h(c) = norm1(W_E[c] + p) W_V W_O`` for head h and cell c, where p is the mean vector that the
positional encoding adds at the positions of coordinates (zero if it adds none). Above block 0 this
is only the direct path from the embedding to the head.

* ``OvNormRow``: the norm of v_h(c), for each cell;
* ``OvRankRow``: the effective rank of ``W_OV = W_V W_O``: the exponential of the entropy of its
  singular values, normalised to sum 1 (Roy and Vetterli 2007).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.io import tables
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import SPECIALS, TokenClass, connection_positions
from mazewm.model.transformer import Transformer

COORDINATES = (TokenClass.C1, TokenClass.C2)


@dataclass(frozen=True)
class OvNormRow:
    """How much a head writes when it attends to a cell."""

    layer: tables.Int
    head: tables.Int
    cell: tables.Int
    norm: tables.Real  # L2 norm of v_h(c)


@dataclass(frozen=True)
class OvRankRow:
    """How many directions a head's W_OV uses, as an effective rank."""

    layer: tables.Int
    head: tables.Int
    effective_rank: tables.Real  # 0 where W_OV is zero
    d_head: tables.Int  # the largest possible rank


def class_positions(mazes: Mazes, classes: Iterable[TokenClass]) -> Int[np.ndarray, " token"]:
    """The positions of all tokens of the given classes in all mazes."""
    return np.concatenate(
        [
            np.tile(connection_positions(n, c), len(index))
            for c in classes
            for n, index in mazes.by_n_connections().items()
        ]
    )


def mean_added(
    model: Transformer, positions: Int[np.ndarray, " token"]
) -> Float[Tensor, " d_model"]:
    """The mean, over positions, of the vector that the positional encoding adds to embeddings."""
    where, times = np.unique(positions, return_counts=True)
    at = torch.from_numpy(where).to(model.device)
    added = model.encoding.on_embed(
        torch.zeros(1, len(at), model.params.d_model, device=model.device), at
    )[0]
    return torch.from_numpy(times / times.sum()).to(added) @ added


@torch.inference_mode()
def head_outputs(
    model: Transformer, layer: int, mazes: Mazes
) -> Float[Tensor, "head cell d_model"]:
    """``v_h(c)`` for every head of a block and every cell; ``mazes`` give the positions that
    coordinates have."""
    block: Any = model.blocks[layer]
    cells = model.W_E[len(SPECIALS) :] + mean_added(model, class_positions(mazes, COORDINATES))
    return torch.einsum("cd,hdk,hke->hce", block.norm1(cells), block.attn.W_V, block.attn.W_O)


def ov_norms(model: Transformer, layers: Sequence[int], mazes: Mazes) -> list[OvNormRow]:
    """The norm of ``v_h(c)`` for every head of ``layers`` and every cell."""
    norms = {layer: head_outputs(model, layer, mazes).norm(dim=2).tolist() for layer in layers}
    return [
        OvNormRow(layer=layer, head=h, cell=c, norm=norm)
        for layer, heads in norms.items()
        for h, cells in enumerate(heads)
        for c, norm in enumerate(cells)
    ]


@torch.inference_mode()
def ov_ranks(model: Transformer) -> list[OvRankRow]:
    """The effective rank of every head's W_OV."""
    rows = []
    block: Any
    for layer, block in enumerate(model.blocks):
        for head, (W_V, W_O) in enumerate(zip(block.attn.W_V, block.attn.W_O, strict=True)):
            sigma = torch.linalg.svdvals(W_V.cpu().double() @ W_O.cpu().double())
            total = sigma.sum().item()
            rank = torch.special.entr(sigma / total).sum().exp().item() if total > 0 else 0.0
            rows.append(OvRankRow(layer=layer, head=head, effective_rank=rank, d_head=W_V.shape[1]))
    return rows
