"""Prompts that end somewhere on a path, and which next tokens are accepted along the continuation
that is right: by a model, and by the near-sighted walker (docs/science.md#states).
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int

from mazewm.inference.walkers import NearSighted
from mazewm.maze.lattice import Lattice
from mazewm.maze.tokens import (
    PADDING,
    PATH_END,
    Vocabulary,
    encode_lists,
    encode_paths,
    encode_questions,
)
from mazewm.model.interface import Model

N_AT_ONCE = 256  # sequences


@dataclass(frozen=True)
class Spelled:
    """Adjacency lists of mazes that need not have equally many connections."""

    grid: Lattice
    order: list[Int[np.ndarray, " _"]]  # of each maze: which connection is n-th in its list
    is_flipped: list[Bool[np.ndarray, " _"]]

    @classmethod
    def at_random(
        cls,
        grid: Lattice,
        connections: Bool[np.ndarray, "maze connection"],
        rng: np.random.Generator,
    ) -> "Spelled":
        """Connections in random order and direction."""
        order = [rng.permutation(np.flatnonzero(bits)) for bits in connections]
        return cls(grid, order, [rng.random(len(each)) < 0.5 for each in order])

    def without(self, removed: Int[np.ndarray, " maze"]) -> "Spelled":
        """The same lists, each without one of its connections."""
        kept = [each != one for each, one in zip(self.order, removed, strict=True)]
        return replace(
            self,
            order=[each[keep] for each, keep in zip(self.order, kept, strict=True)],
            is_flipped=[each[keep] for each, keep in zip(self.is_flipped, kept, strict=True)],
        )

    def lists(self, rows: Int[np.ndarray, " row"]) -> list[Int[np.ndarray, " _"]]:
        """The tokens of some of the lists, which may repeat."""
        tokens = [
            encode_lists(self.grid, order[None], flipped[None])[0]
            for order, flipped in zip(self.order, self.is_flipped, strict=True)
        ]
        return [tokens[row] for row in rows]


@dataclass(frozen=True)
class Prompts:
    """Prompts that end on a path: its first ``n_given`` cells are in the prompt, and the others
    with ``<PATH_END>`` are the continuation that is right."""

    connections: Bool[np.ndarray, "prompt connection"]
    lists: list[Int[np.ndarray, " _"]]
    cells: Int[np.ndarray, "prompt step"]  # of the whole path, padded with -1
    n_given: Int[np.ndarray, " prompt"]

    def __len__(self) -> int:
        return len(self.cells)

    def __add__(self, other: "Prompts") -> "Prompts":
        width = max(self.cells.shape[1], other.cells.shape[1])
        cells = [
            np.pad(each, ((0, 0), (0, width - each.shape[1])), constant_values=-1)
            for each in (self.cells, other.cells)
        ]
        return Prompts(
            np.concatenate([self.connections, other.connections]),
            self.lists + other.lists,
            np.concatenate(cells),
            np.concatenate([self.n_given, other.n_given]),
        )

    @property
    def target(self) -> Int[np.ndarray, " prompt"]:
        """The last cell of each path."""
        return self.cells[np.arange(len(self)), (self.cells >= 0).sum(axis=1) - 1]

    @property
    def n_points(self) -> Int[np.ndarray, " prompt"]:
        """The number of tokens of each continuation."""
        return (self.cells >= 0).sum(axis=1) + 1 - self.n_given

    def given(self, nth: int) -> Int[np.ndarray, "prompt step"]:
        """The cells read before the n-th token of the continuation, the others replaced by -1."""
        step = np.arange(self.cells.shape[1])
        return np.where(step < (self.n_given + nth)[:, None], self.cells, -1)


class Accepted(NamedTuple):
    """What is accepted at each point of the right continuations; points beyond their ends are
    empty."""

    right: Int[np.ndarray, "prompt point"]  # the right token, padded with PADDING
    accepted: Bool[np.ndarray, "prompt point token"]
    likeliest: Int[np.ndarray, "prompt point"]  # -1 beyond the end


@torch.inference_mode()
def accepted_by(model: Model, grid: Lattice, prompts: Prompts, above: float) -> Accepted:
    """The tokens to which the model gives a probability above a threshold, and the likeliest."""
    questions = encode_questions(grid, prompts.cells[:, 0].astype(int), prompts.target.astype(int))
    paths = encode_paths(grid, prompts.cells)
    n_points, most = prompts.n_points, int(prompts.n_points.max())
    start = np.array([len(each) for each in prompts.lists]) + questions.shape[1] - 1
    start += prompts.n_given  # where the token before the continuation is
    tokens = np.full((len(prompts), int((start + n_points).max()) + 1), PADDING, np.int64)
    for row, (adjacency, question, path) in enumerate(
        zip(prompts.lists, questions, paths, strict=True)
    ):
        text = np.concatenate([adjacency, question, path])[: tokens.shape[1]]
        tokens[row, : len(text)] = text
    point = np.arange(most)
    is_point = point < n_points[:, None]
    at = np.where(is_point, start[:, None] + point, 0)
    right = np.where(is_point, np.take_along_axis(tokens, at + 1, axis=1), PADDING)
    shape = (len(prompts), most, len(Vocabulary(grid.n)))
    accepted, likeliest = np.zeros(shape, bool), np.full(shape[:2], -1)
    by_length = np.argsort(start + n_points, kind="stable")
    for rows in np.array_split(by_length, -(-len(prompts) // N_AT_ONCE)):
        # Padding comes after all that is read at a point, and is not attended to.
        some = tokens[rows, : int((start + n_points)[rows].max()) + 1]
        logits = model(torch.from_numpy(some).to(model.device)).float()
        places = torch.from_numpy(at[rows])[:, :, None].to(model.device)
        logits = logits.gather(1, places.expand(-1, -1, logits.shape[2]))
        accepted[rows] = (logits.softmax(dim=2) > above).cpu().numpy()
        likeliest[rows] = logits.argmax(dim=2).cpu().numpy()
    accepted &= is_point[:, :, None]
    return Accepted(right, accepted, np.where(is_point, likeliest, -1))


def accepted_by_walker(
    grid: Lattice, prompts: Prompts, right: Int[np.ndarray, "prompt point"]
) -> Accepted:
    """The steps that the near-sighted walker may take, and ``<PATH_END>`` at the target. It has no
    likeliest step; the first that it may take stands for it."""
    first_cell, every = Vocabulary(grid.n).first_cell, np.arange(len(prompts))
    walker = NearSighted(grid, prompts.connections, every, prompts.target)
    accepted = np.zeros((*right.shape, len(Vocabulary(grid.n))), bool)
    for point in range(right.shape[1]):
        given = prompts.given(point)
        here = given[every, (given >= 0).sum(axis=1) - 1].astype(int)
        is_visited = np.zeros((len(prompts), grid.n_cells + 1), bool)
        is_visited[every[:, None], given] = True  # -1, the added last column, stands for no cell
        there, share = walker.steps(here, is_visited[:, :-1])
        row, side = np.nonzero(share)
        accepted[row, point, first_cell + there[row, side]] = True
        is_over = here == prompts.target
        accepted[is_over, point] = False
        accepted[is_over, point, PATH_END] = True
    is_point = right != PADDING
    accepted &= is_point[:, :, None]
    return Accepted(right, accepted, np.where(is_point, accepted.argmax(axis=2), -1))
