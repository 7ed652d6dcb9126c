"""All questions of a maze, and the map that follows from a model's answers.

A model that guesses well may answer one question about a maze right without knowing the maze. So
every question is asked: from each cell that the adjacency list mentions to each other one
(docs/science.md#all-questions). The list is read once for all of them.

The **map** is what the model takes for connected (docs/science.md#map). For two adjacent cells a
and b that the list mentions, the *belief* that they are connected is the probability that the
model goes from a straight to b when it is asked for the way from a to b, mean of both directions.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from mazewm.inference.rollout import Questions, ask_all
from mazewm.maze.mazes import Mazes
from mazewm.maze.routes import routes
from mazewm.maze.tokens import Vocabulary, encode_questions
from mazewm.maze.truths import touched_cells
from mazewm.model.interface import Model
from mazewm.model.reading import Layout, Prefix


def every_question(mazes: Mazes) -> Questions:
    """All ordered pairs of cells that each maze mentions, which must be equally many in all mazes.
    The guess of each answer is a shortest path.

    >>> from mazewm.maze.maze import Maze
    >>> corner = Maze.of(2, [((0, 0), (0, 1)), ((0, 1), (1, 1))], (0, 0), (1, 1))
    >>> questions = every_question(Mazes.of([corner]))
    >>> questions.target.tolist(), questions.guess[0, 1].tolist()
    ([[1, 3, 0, 3, 0, 1]], [0, 1, 3])
    """
    is_there = touched_cells(mazes.grid, mazes.connections)
    cells = np.nonzero(is_there)[1].reshape(len(mazes), -1)
    first, second = np.nonzero(~np.eye(cells.shape[1], dtype=bool))
    origin, target = cells[:, first], cells[:, second]
    guess = routes(mazes.grid, mazes.connections).paths(origin, target)
    return ask_all(mazes.grid, mazes.connections, origin, target, guess)


def one_by_one(mazes: Mazes, questions: Questions) -> Mazes:
    """Questions, equally many about each maze and with a shortest path as guess, as mazes with one
    question each."""
    guess = questions.guess
    return replace(
        mazes[np.repeat(np.arange(len(mazes)), guess.shape[1])],
        origin=guess[:, :, 0].ravel(),
        target=questions.target.ravel(),
        path=guess.reshape(-1, guess.shape[2]),
    )


def of_one_size(mazes: Mazes) -> Iterator[Int[np.ndarray, " row"]]:
    """Indices of the mazes that mention equally many cells, the fewest first."""
    n_cells = touched_cells(mazes.grid, mazes.connections).sum(axis=1)
    return (np.flatnonzero(n_cells == n) for n in np.unique(n_cells))


class Beliefs(NamedTuple):
    """What a model takes for connected, one row for each pair of adjacent cells that a maze
    mentions."""

    maze: Int[np.ndarray, " pair"]
    connection: Int[np.ndarray, " pair"]
    belief: Float[np.ndarray, " pair"]  # probability, mean of both directions
    n_straight: Int[np.ndarray, " pair"]  # directions in which the step is the likeliest: 0 to 2


@torch.inference_mode()
def beliefs(model: Model, prefix: Prefix, mazes: Mazes) -> Beliefs:
    """The map of each maze, whose list is the prefix's row of the same number."""
    grid, is_there = mazes.grid, touched_cells(mazes.grid, mazes.connections)
    is_pair = is_there[:, grid.ends[:, 0]] & is_there[:, grid.ends[:, 1]]
    # As many for each maze: where there are fewer, the first ones are asked for again, and dropped.
    n = int(is_pair.sum(axis=1).max())
    pairs = np.argsort(~is_pair, axis=1, kind="stable")[:, :n]
    is_pair = np.take_along_axis(is_pair, pairs, axis=1)
    pairs = np.where(is_pair, pairs, pairs[:, :1])
    origin = np.concatenate([grid.ends[pairs, 0], grid.ends[pairs, 1]], axis=1)
    target = np.concatenate([grid.ends[pairs, 1], grid.ends[pairs, 0]], axis=1)
    first_cell = Vocabulary(grid.n).first_cell
    asked = encode_questions(grid, origin, target)
    asked = np.concatenate([asked, origin[:, :, None] + first_cell], axis=2)
    layout = Layout.questions(len(prefix), [asked.shape[1:]], model.device)
    tokens = torch.from_numpy(asked).to(model.device).flatten(1)
    logits = model.ask(prefix, tokens, layout).float()
    logits = logits.reshape(*asked.shape, -1)[:, :, -1]
    wanted = torch.from_numpy(target).to(model.device) + first_cell
    share = logits.softmax(dim=-1).gather(2, wanted[:, :, None])[:, :, 0].cpu().numpy()
    is_next = (logits.argmax(dim=-1) == wanted).cpu().numpy()
    maze, nth = np.nonzero(is_pair)
    return Beliefs(
        maze,
        pairs[maze, nth],
        (share[maze, nth] + share[maze, nth + n]) / 2,
        is_next[maze, nth].astype(int) + is_next[maze, nth + n],
    )
