"""Greedy rollouts with a cache of keys and values."""

import numpy as np
import torch
from jaxtyping import Float, Int
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
    past = KeysValues(model.params, len(prompt), prompt.shape[1] + max_steps(model), prompt.device)
    return walk(model, model(prompt, prompt_tap, past), past, step_tap)


def max_steps(model: Transformer) -> int:
    """The most steps of a rollout: every cell, and ``<PATH_END>``."""
    return vocabulary_of(model).grid.n_cells + 1


def vocabulary_of(model: Transformer) -> Vocabulary:
    """The vocabulary that the model was made for."""
    return Vocabulary(round((model.d_vocab - len(SPECIALS)) ** 0.5))


@torch.inference_mode()
def walk(
    model: Transformer, logits: Float[Tensor, "batch pos vocab"], past: KeysValues, step_tap: Tap | None = None
) -> Int[np.ndarray, "batch step"]:
    """The rest of a ``rollout`` of prompts that have been read: their last position's ``logits``, their keys and values with room for
    ``max_steps`` more."""
    first_cell, n_steps = vocabulary_of(model).first_cell, max_steps(model)
    cells = np.full((len(logits), n_steps), -1, np.int16)
    walking = np.arange(len(logits))  # the rows that are still being written
    for step in range(n_steps):
        token = logits[:, -1].argmax(dim=-1)
        is_cell = token >= first_cell
        written = torch.where(is_cell, token - first_cell, torch.where(token == PATH_END, -1, -2))
        cells[walking, step] = written.cpu().numpy()
        if not is_cell.all():
            past.keep(is_cell)
            walking, token = walking[is_cell.cpu().numpy()], token[is_cell]
        if len(walking) == 0 or step == n_steps - 1:
            break
        logits = model(token[:, None], step_tap, past)
    cells[walking, -1] = -2
    return cells
