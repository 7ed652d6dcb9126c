"""Greedy rollouts with a cache of keys and values."""

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from mazewm.model.sites import Tap
from mazewm.model.transformer import KeysValues, Transformer
from mazewm.tokens import PATH_END, SPECIALS, Vocabulary


@torch.inference_mode()
def rollout(model: Transformer, prompt: Int[Tensor, "batch pos"], prompt_tap: Tap | None = None, step_tap: Tap | None = None) -> Int[np.ndarray, "batch step"]:
    """The cells that the model walks after each prompt, greedily, until ``<PATH_END>``; padded with -1.

    ``prompt_tap`` is called while the prompt is read, ``step_tap`` while the path is written. A rollout that writes a
    token which is neither a cell nor ``<PATH_END>``, or that never ends, gets -2 at that point.
    """
    vocabulary = Vocabulary(round((model.d_vocab - len(SPECIALS)) ** 0.5))
    max_steps = vocabulary.grid.n_cells + 1
    past = KeysValues(model.params.n_layers)
    cells = np.full((len(prompt), max_steps), -1, np.int16)
    is_walking = torch.ones(len(prompt), dtype=torch.bool, device=prompt.device)
    logits = model(prompt, prompt_tap, past)
    for step in range(max_steps):
        token = logits[:, -1].argmax(dim=-1)
        is_cell = token >= vocabulary.first_cell
        broken = is_walking & ~is_cell & (token != PATH_END)
        written = torch.where(is_cell, token - vocabulary.first_cell, -1)
        written = torch.where(broken, -2, written)
        cells[:, step] = torch.where(is_walking, written, -1).cpu().numpy()
        is_walking = is_walking & is_cell
        if not is_walking.any() or step == max_steps - 1:
            break
        logits = model(token[:, None], step_tap, past)
    cells[is_walking.cpu().numpy(), -1] = -2
    return cells
