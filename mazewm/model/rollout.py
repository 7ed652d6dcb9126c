"""Greedy rollouts with a cache of keys and values, and what they are worth."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mazewm.maze.mazes import Mazes
from mazewm.model.sites import Tap
from mazewm.model.transformer import KeysValues, Transformer
from mazewm.tokens import PATH_END, Vocabulary, spell


@torch.inference_mode()
def rollout(model: Transformer, prompt: Int[Tensor, "batch pos"], prompt_tap: Tap | None = None, step_tap: Tap | None = None) -> Int[np.ndarray, "batch step"]:
    """The cells that the model walks after each prompt, greedily, until ``<PATH_END>``; padded with -1.

    ``prompt_tap`` is called while the prompt is read, ``step_tap`` while the path is written. A rollout that writes a
    token which is neither a cell nor ``<PATH_END>``, or that never ends, gets -2 at that point.
    """
    vocabulary = Vocabulary(round((model.d_vocab - Vocabulary(0).first_cell) ** 0.5))
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


class Behaviour(NamedTuple):
    """How rollouts of a batch compare with its mazes."""

    solved: Bool[np.ndarray, " maze"]  # the rollout is the unique shortest path
    valid: Bool[np.ndarray, " maze"]  # from origin to target along existing connections
    cells: Int[np.ndarray, "maze step"]


def judge(mazes: Mazes, cells: Int[np.ndarray, "maze step"]) -> Behaviour:
    """Solved and valid, for each rollout."""
    width = max(cells.shape[1], mazes.path.shape[1])
    walked = np.pad(cells, ((0, 0), (0, width - cells.shape[1])), constant_values=-1)
    path = np.pad(mazes.path, ((0, 0), (0, width - mazes.path.shape[1])), constant_values=-1)
    solved = (walked == path).all(axis=1)
    # A closed connection (the added last column, number -1) stands for a step between cells that are not adjacent.
    is_open = np.concatenate([mazes.connections, np.zeros((len(mazes), 1), bool)], axis=1)
    step = mazes.grid.connection_of[walked[:, :-1], walked[:, 1:]]
    legal = is_open[np.arange(len(mazes))[:, None], step] | (walked[:, 1:] == -1)
    last = walked[np.arange(len(mazes)), np.maximum((walked != -1).sum(axis=1) - 1, 0)]
    valid = legal.all(axis=1) & (walked != -2).all(axis=1) & (walked[:, 0] == mazes.origin) & (last == mazes.target)
    return Behaviour(solved, valid, walked)


def behave(model: Transformer, mazes: Mazes, rng: np.random.Generator, batch: int, prompt_tap: Tap | None = None, step_tap: Tap | None = None) -> Behaviour:
    """Spell the mazes at random, roll out and judge, in batches of equally long prompts."""
    solved, valid = np.zeros(len(mazes), bool), np.zeros(len(mazes), bool)
    walked = np.full((len(mazes), mazes.grid.n_cells + 1), -1, np.int16)
    for index in mazes.by_n_connections().values():
        for start in range(0, len(index), batch):
            part = index[start : start + batch]
            prompt = torch.from_numpy(spell(mazes[part], rng).prompt).to(model.device)
            result = judge(mazes[part], rollout(model, prompt, prompt_tap, step_tap))
            solved[part], valid[part], walked[part] = result
    return Behaviour(solved, valid, walked)
