"""Edits of the prompt: the edited maze encoded, and two ways in which its prompt is longer without
saying more.

* ``tokens``: the edited maze is encoded, which is the ceiling and, for additions, a longer input.
* ``repeated``: the maze itself with as many of its connections spelled twice as are added: as many
  tokens as the edited maze, and no more connections. What is predicted is the original path.
* ``shifted``: the maze itself, read at positions as much later as the edited maze is longer. Only
  encodings with a vector for each absolute position know of it; the others see offsets. What is
  predicted is the original path.
"""

import copy

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

from mazewm.counterfactuals.examples import Examples
from mazewm.inference.behaviour import walk
from mazewm.interventions.conditions import Method
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import TOKENS_PER_CONNECTION, Encoded, encode, encode_as, random_order
from mazewm.model.positions import Learned, Sinusoidal
from mazewm.model.transformer import Transformer


def walk_prompt(
    method: Method,
    model: Transformer,
    examples: Examples,
    encoded: Encoded,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, "maze step"], int]:
    """The cells walked after the changed prompt of each example, and how many connections it
    spells."""
    k, mazes = examples.n_changed, examples.mazes
    if method == "shifted":
        model = shifted(model, TOKENS_PER_CONNECTION * k)
    elif method == "tokens":
        mazes = examples.edited
        encoded = encode(mazes, rng)
    else:
        encoded = repeated(mazes, k, rng)
    return walk(model, mazes, encoded.lists), encoded.n_connections


def repeated(mazes: Mazes, k: int, rng: np.random.Generator) -> Encoded:
    """Mazes with ``k`` of their connections spelled twice, all in random order and direction."""
    order, _ = random_order(mazes, rng)
    order = rng.permuted(np.concatenate([order, order[:, :k]], axis=1), axis=1)
    return encode_as(mazes, order, rng.random(order.shape, dtype=np.float32) < 0.5)


def shifted(model: Transformer, n: int) -> Transformer:
    """The model as it reads ``n`` positions later; the last ``n`` positions are then beyond its
    context, and read as zero."""
    if not isinstance(model.encoding, Learned | Sinusoidal):
        return model
    moved = copy.deepcopy(model)
    table = torch.cat([model.encoding.W_pos[n:], torch.zeros_like(model.encoding.W_pos[:n])])
    moved.encoding.W_pos = (
        nn.Parameter(table, requires_grad=False) if isinstance(model.encoding, Learned) else table
    )
    return moved
