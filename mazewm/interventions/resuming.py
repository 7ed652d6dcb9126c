"""Rollouts that start in the middle of the model: what no edit can change is read once.

Every edit at a site leaves the blocks up to it as they are, so a prompt is read up to there once for all of them. Of the last
block, only the last position is asked for a token; of the others it needs keys and values.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.model.rollout import max_steps, walk
from mazewm.model.transformer import KeysValues, Reading, Transformer
from mazewm.shapes import Resid, Tokens


class HalfRead(NamedTuple):
    """Prompts as read up to the end of one block."""

    layer: int
    resid: Resid  # after the block
    past: KeysValues  # of the blocks up to it; the later ones are still empty


@torch.inference_mode()
def read_up_to(model: Transformer, layer: int, prompt: Tokens) -> HalfRead:
    """Read prompts up to the end of a block."""
    past = KeysValues(model.params, len(prompt), prompt.shape[1], prompt.device)
    positions = torch.arange(prompt.shape[1], device=prompt.device)
    resid = model.encoding.on_embed(model.W_E[prompt], positions)
    for number, block in enumerate(model.layers[: layer + 1]):
        resid = block(resid, number, Reading(positions, model.encoding, None, past))
    return HalfRead(layer, resid, past)


@torch.inference_mode()
def walk_on(model: Transformer, read: HalfRead, resid: Resid) -> Int[np.ndarray, "batch step"]:
    """``rollout`` of prompts whose residual stream after ``read.layer`` is ``resid``."""
    return walk(model, *_finish(model, read, resid, max_steps(model)))


def _finish(model: Transformer, read: HalfRead, resid: Resid, n_more: int) -> tuple[Float[Tensor, "batch 1 vocab"], KeysValues]:
    """Logits at the last position, and the keys and values of every block, with room for ``n_more`` positions."""
    n_batch, n, _ = resid.shape
    done, last, encoding = read.layer + 1, model.params.n_layers - 1, model.encoding
    past = KeysValues(model.params, n_batch, n + n_more, resid.device)
    past.keys[:done, :, :, :n], past.values[:done, :, :, :n] = read.past.keys[:done], read.past.values[:done]
    past.length = read.past.length  # 0, or n if the last block has been read
    positions = torch.arange(n, device=resid.device)
    for layer in range(done, last):
        resid = model.layers[layer](resid, layer, Reading(positions, encoding, None, past))
    if done <= last:
        block = model.layers[last]
        normed, attn = block.norm1(resid[:, :-1]), block.attn
        k, v = ((normed @ W).unflatten(-1, (attn.n_heads, -1)).transpose(1, 2) for W in (attn.K, attn.V))
        past.extend(last, encoding.on_qk(k, positions[:-1]), v)
        resid = block(resid[:, -1:], last, Reading(positions[-1:], encoding, None, past))
    return model.norm_final(resid[:, -1:]) @ model.W_U, past
