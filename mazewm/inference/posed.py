"""Questions posed behind adjacency lists that were read, to be compared with expected paths under
many edits.

Whether a greedy rollout is a given path takes one forward pass: the model must choose each token of
the path after those before it. Up to the last block that an edit leaves alone, the questions are
read only once for all edits.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mazewm.inference.resuming import ReadLists
from mazewm.inference.rollout import NO_CELL, Questions
from mazewm.maze.tokens import ASKING, PADDING, PATH_END, Vocabulary, encode_paths
from mazewm.model.reading import Layout, Prefix, Reading

MOST_TOKENS = 64  # in one row of questions


class Compared(NamedTuple):
    """What the model writes in answer to each question, beside the expected path."""

    agrees: Bool[np.ndarray, "maze question"]  # the rollout is the expected path
    n_right: Int[np.ndarray, "maze question"]  # cells of it before the first other token
    # the other token: a cell, -1 for <PATH_END>, NO_CELL for any other; -1 where it agrees
    instead: Int[np.ndarray, "maze question"]
    # probability that the origin is followed by the target itself, and whether nothing is likelier
    straight: Float[np.ndarray, "maze question"]
    is_straight: Bool[np.ndarray, "maze question"]


@dataclass(frozen=True)
class _Pack:
    """Some questions about every maze of a batch, in one row each. First come the tokens that ask,
    without the last one, then the last one and the path: the model's answers are needed only at
    the latter."""

    index: Int[np.ndarray, "maze asked"]  # which questions
    wanted: Int[Tensor, "maze asked pos"]  # the expected path and <PATH_END>, padded
    target: Int[Tensor, "maze asked"]  # tokens
    since: int  # the first position of which the answer is needed
    reading: Reading
    resid: dict[int, Tensor]  # the residual stream after a block, by its layer


@dataclass(frozen=True)
class Posed:
    """Questions, each with the path expected, behind lists that a model has read."""

    lists: ReadLists
    questions: Questions
    packs: list[_Pack]

    @classmethod
    @torch.inference_mode()
    def of(cls, lists: ReadLists, questions: Questions, layers: set[int]) -> "Posed":
        """Read the questions up to the last of ``layers``, after which lists will be edited.
        The guess of each question is the path expected; it begins with the origin."""
        by_length = np.argsort((questions.guess >= 0).sum(axis=2), axis=1, kind="stable")
        n_at_once = max(1, MOST_TOKENS // questions.longest)
        packs = [
            _pack(lists, questions, by_length[:, first : first + n_at_once], layers)
            for first in range(0, by_length.shape[1], n_at_once)
        ]
        return cls(lists, questions, packs)

    @torch.inference_mode()
    def compare(self, prefix: Prefix, layer: int) -> Compared:
        """The answers behind the lists, which were edited after block ``layer``."""
        shape = self.questions.target.shape
        n_right, instead = np.zeros(shape, int), np.full(shape, -1)
        straight, is_straight = np.zeros(shape), np.zeros(shape, bool)
        agrees = np.zeros(shape, bool)
        rows = np.arange(shape[0])[:, None]
        model = self.lists.model
        first_cell = Vocabulary(self.questions.grid.n).first_cell
        for pack in self.packs:
            resid = model.run_blocks(
                pack.resid[layer],
                pack.reading._replace(after=prefix),
                layer + 1,
                since=pack.since,
            )
            logits = model.unembed(resid).unflatten(1, pack.wanted.shape[1:])
            chosen = logits.argmax(dim=-1)
            is_wrong = (chosen != pack.wanted) & (pack.wanted != PADDING)
            n_cells = (pack.wanted != PADDING).sum(dim=-1) - 1
            right = (~is_wrong).cumprod(dim=-1).sum(dim=-1).minimum(n_cells)
            other = chosen.gather(2, right[:, :, None])[:, :, 0]
            share = logits[:, :, 1].float().softmax(dim=-1)
            at = rows, pack.index
            agrees[at] = ~is_wrong.any(dim=-1).cpu().numpy()
            n_right[at] = right.cpu().numpy()
            token = other.cpu().numpy()
            instead[at] = np.where(
                token >= first_cell, token - first_cell, np.where(token == PATH_END, -1, NO_CELL)
            )
            straight[at] = share.gather(2, pack.target[:, :, None])[:, :, 0].cpu().numpy()
            is_straight[at] = (chosen[:, :, 1] == pack.target).cpu().numpy()
        return Compared(agrees, n_right, np.where(agrees, -1, instead), straight, is_straight)


def _pack(
    lists: ReadLists, questions: Questions, index: Int[np.ndarray, "maze asked"], layers: set[int]
) -> _Pack:
    n_mazes, n = index.shape
    rows, model, start = np.arange(n_mazes)[:, None], lists.model, len(lists.prefix)
    wanted = encode_paths(questions.grid, questions.guess[rows, index])
    asked = questions.asked[rows, index]
    length = wanted.shape[2]
    path = np.concatenate([asked[:, :, -1:], wanted[:, :, :-1]], axis=2)
    tokens = np.concatenate(
        [asked[:, :, :-1].reshape(n_mazes, -1), path.reshape(n_mazes, -1)], axis=1
    )
    since = n * (ASKING - 1)
    number = torch.arange(n)
    layout = Layout(
        torch.cat(
            [
                torch.arange(start, start + ASKING - 1).repeat(n),
                torch.arange(start + ASKING - 1, start + ASKING - 1 + length).repeat(n),
            ]
        ),
        torch.cat([number.repeat_interleave(ASKING - 1), number.repeat_interleave(length)]),
    ).to(model.device)
    reading = model.reading(layout, after=lists.prefix)
    resid = model.embed(torch.from_numpy(tokens).to(model.device), layout)
    kept, done = {}, 0
    for layer in sorted(layers):
        resid = model.run_blocks(resid, reading, done, layer + 1)
        kept[layer], done = resid, layer + 1
    first_cell = Vocabulary(questions.grid.n).first_cell
    target = torch.from_numpy(questions.target[rows, index] + first_cell).to(model.device)
    return _Pack(index, torch.from_numpy(wanted).to(model.device), target, since, reading, kept)
