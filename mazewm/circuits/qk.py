"""What a head of block 0 looks for and how far back, from the weights alone.

The score of a query class at position p for a key class ``offset`` tokens before it, before the
softmax: ``q . k / sqrt(d_head)`` plus what the encoding adds to scores, with q and k made from
``norm1(W_E[token] (+ position))``. A class that stands for a cell is averaged over all cells,
which, the score being linear in q and in k, is the mean score over all pairs of cells. Scores of
one query compare across key classes and offsets; its softmax runs over them. The block's stream is
the embedding, so that this is all that decides a head's pattern but for the cells.

Mean and standard deviation are over the query's positions in the later half of a list of
connections. Encodings that know offsets only (rotary, ALiBi) or nothing (none) have a standard
deviation of 0; learned and sinusoidal positions need not.
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
    """A head's score of one class of tokens for another one, so many tokens back."""

    layer: tables.Int
    head: tables.Int
    query_class: tables.Text
    key_class: tables.Text  # coordinate, <-->, ;
    offset: tables.Int  # 0 is the query itself
    score: tables.Real  # before the softmax, in nats
    sd_over_positions: tables.Real  # of the query


@torch.inference_mode()
def qk_by_offset(
    model: Transformer, n_connections: int, cells: Int[np.ndarray, " cell"]
) -> list[QkRow]:
    """Rows for every head of block 0, in mazes with ``n_connections`` and coordinates among
    ``cells``; offsets end where the list of connections begins."""
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
    """Queries or keys, as the encoding turns them."""
    return model.encoding.on_qk((normed @ W)[None], positions)[0]
