"""Which tokens a head of block 0 attends to, and how far back, from the weights alone
(docs/science.md#qk-by-offset).

The score is that before the softmax, of a query of one token class at position p for a key of one
class ``offset`` tokens before it: ``q . k / sqrt(d_head)`` plus what the positional encoding adds
to scores, where q and k are made from ``norm1(W_E[token] (+ position))``. For a class whose token
is a cell, q or k is averaged over all cells; since the score is linear in q and in k, this gives
the mean score over all pairs of cells. Scores of the same query can be compared across key classes
and offsets, since one softmax runs over them all. Block 0 reads the embedding, so apart from which
cells they are these scores determine a head's attention pattern.

Mean and standard deviation are over the query's positions in the later half of a list of
connections. The standard deviation is 0 with encodings that see only offsets (rotary, ALiBi) or no
positions (none), but not in general with learned and sinusoidal positions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.circuits.offsets import COORDINATE, KEY_CLASSES, MAX_OFFSET, QUERY_CLASSES
from mazewm.io import tables
from mazewm.maze.tokens import (
    CONNECTOR,
    DELIMITER,
    SPECIALS,
    TOKENS_PER_CONNECTION,
    TokenClass,
    connection_positions,
)
from mazewm.model.transformer import Transformer


@dataclass(frozen=True)
class QkRow:
    """A head's score for keys of one class ``offset`` tokens before a query of another."""

    layer: tables.Int
    head: tables.Int
    query_class: tables.Text
    key_class: tables.Text  # coordinate (c1 or c2), <--> or ;
    offset: tables.Int  # 0 is the query itself
    score: tables.Real  # before the softmax, in nats
    sd_over_positions: tables.Real  # of the query; in nats


@torch.inference_mode()
def qk_by_offset(
    model: Transformer, n_connections: int, cells: Int[np.ndarray, " cell"]
) -> list[QkRow]:
    """Rows for every head of block 0, in a list of ``n_connections`` connections whose coordinates
    are ``cells``. Offsets go back at most ``MAX_OFFSET`` tokens, and not beyond the start of the
    list."""
    attn: Any = model.blocks[0].attn
    positions = torch.arange(1 + TOKENS_PER_CONNECTION * n_connections, device=model.device)
    embedded = {
        COORDINATE: model.W_E[torch.from_numpy(len(SPECIALS) + cells)],
        "<-->": model.W_E[[CONNECTOR]],
        ";": model.W_E[[DELIMITER]],
    }
    normed = {
        name: _mean_normed(model, embeddings, positions) for name, embeddings in embedded.items()
    }
    bias = model.encoding.on_scores(positions, positions)
    rows = []
    for query_class in QUERY_CLASSES:
        at = connection_positions(n_connections, query_class)[n_connections // 2 :]
        offsets = np.arange(min(MAX_OFFSET, int(at.min())) + 1)
        q = _projected(
            model,
            normed[COORDINATE if query_class == TokenClass.C2 else query_class],
            attn.W_Q,
            positions,
        )
        for key_class in KEY_CLASSES:
            k = _projected(model, normed[key_class], attn.W_K, positions)
            scores = q @ k.transpose(1, 2) * q.shape[2] ** -0.5
            scores = scores if bias is None else scores + bias
            found = scores[:, at[:, None], at[:, None] - offsets].cpu().double()
            mean, sd = found.mean(dim=1), found.std(dim=1, correction=0)
            rows += [
                QkRow(
                    layer=0,
                    head=head,
                    query_class=str(query_class),
                    key_class=str(key_class),
                    offset=int(offset),
                    score=float(mean[head, offset]),
                    sd_over_positions=float(sd[head, offset]),
                )
                for head in range(model.params.n_heads)
                for offset in offsets
            ]
    return rows


def _mean_normed(
    model: Transformer, embeddings: Float[Tensor, "token d_model"], positions: Tensor
) -> Float[Tensor, "pos d_model"]:
    """What block 0's attention reads at each position where one of these tokens stands, averaged
    over the tokens."""
    block: Any = model.blocks[0]
    resid = embeddings[:, None].expand(-1, len(positions), -1)
    return block.norm1(model.encoding.on_embed(resid, positions)).mean(dim=0)


def _projected(
    model: Transformer,
    normed: Float[Tensor, "pos d_model"],
    W: Float[Tensor, "head d_model d_head"],
    positions: Tensor,
) -> Float[Tensor, "head pos d_head"]:
    """Queries or keys, after the positional encoding has rotated them (if it does)."""
    return model.encoding.on_qk((normed @ W)[None], positions)[0]
