"""Conditions that change the prompt and no activation.

* ``tokens``: the edited maze is encoded. This is the ceiling for edits inside the model; for
  additions the prompt is also longer.
* ``repeated``: the original maze, with as many of its connections encoded twice as would be added.
  The prompt is as long as that of the edited maze, without more connections; the prediction is the
  original path (docs/science.md#repeated).
* ``shifted``: the original prompt, at positions as much later as the edited maze's prompt is
  longer. This changes only models with a vector for each absolute position; the others see only
  offsets. The prediction is the original path (docs/science.md#shifted).
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
    """The rollout after the changed prompt of each example, as cells, and the number of connections
    in that prompt.

    ``encoded`` holds the original mazes; ``rng`` encodes those of ``tokens`` and ``repeated``."""
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
    """Mazes encoded with ``k`` of their connections twice, all in random order and direction."""
    order, _ = random_order(mazes, rng)
    order = rng.permuted(np.concatenate([order, order[:, :k]], axis=1), axis=1)
    return encode_as(mazes, order, rng.random(order.shape, dtype=np.float32) < 0.5)


def shifted(model: Transformer, n: int) -> Transformer:
    """A copy of the model in which position p has the position vector of p + ``n``, or zero where
    there is none; the model itself if it has no such vectors."""
    if not isinstance(model.encoding, Learned | Sinusoidal):
        return model
    moved = copy.deepcopy(model)
    table = torch.cat([model.encoding.W_pos[n:], torch.zeros_like(model.encoding.W_pos[:n])])
    moved.encoding.W_pos = (
        nn.Parameter(table, requires_grad=False) if isinstance(model.encoding, Learned) else table
    )
    return moved
