"""Greedy rollouts with a cache of keys and values."""

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from mazewm.model.sites import Tap
from mazewm.model.transformer import KeysValues, Transformer
from mazewm.tokens import PATH_END, SPECIALS, Vocabulary


@torch.inference_mode()
def rollout(
    model: Transformer, prompt: Int[Tensor, "batch pos"], prompt_tap: Tap | None = None, step_tap: Tap | None = None
) -> Int[np.ndarray, "batch step"]:
    """The cells that the model walks after each prompt, greedily, until ``<PATH_END>``; padded with -1.

    ``prompt_tap`` is called while the prompt is read, ``step_tap`` while the path is written (then only the rows that are not
    finished are in the batch, so it must treat all rows alike). A rollout that writes a
    token which is neither a cell nor ``<PATH_END>``, or that never ends, gets -2 at that point.
    """
    vocabulary = Vocabulary(round((model.d_vocab - len(SPECIALS)) ** 0.5))
    max_steps = vocabulary.grid.n_cells + 1
    past = KeysValues(model.params, len(prompt), prompt.shape[1] + max_steps, prompt.device)
    cells = np.full((len(prompt), max_steps), -1, np.int16)
    walking = np.arange(len(prompt))  # the rows that are still being written
    logits = model(prompt, prompt_tap, past)
    for step in range(max_steps):
        token = logits[:, -1].argmax(dim=-1)
        is_cell = token >= vocabulary.first_cell
        written = torch.where(is_cell, token - vocabulary.first_cell, torch.where(token == PATH_END, -1, -2))
        cells[walking, step] = written.cpu().numpy()
        if not is_cell.all():
            past.keep(is_cell)
            walking, token = walking[is_cell.cpu().numpy()], token[is_cell]
        if len(walking) == 0 or step == max_steps - 1:
            break
        logits = model(token[:, None], step_tap, past)
    cells[walking, -1] = -2
    return cells
