"""Questions posed behind adjacency lists that were read, to be compared with expected paths under
many edits.

Whether a greedy rollout is a given path takes one forward pass: the model must choose each token of
the path after those before it. Up to the last block that an edit leaves alone, the questions are
read only once for all edits. Questions from one origin share the tokens that state it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mazewm.inference.resuming import ReadLists
from mazewm.inference.rollout import NO_CELL, Questions
from mazewm.maze.tokens import ASKING, PADDING, PATH_END, Asking, Vocabulary, encode_paths
from mazewm.model.reading import SHARED, Layout, Prefix, Reading

MOST_TOKENS = 96  # in one row of questions, about
OPENING = Asking.TARGET  # tokens before the first that depends on the target

Row = Int[np.ndarray, " row"]
Slots = Int[np.ndarray, "row slot"]
# what is added to the residual stream at tokens of the question, for each maze
Pushes = Mapping[Asking, Float[Tensor, "maze d_model"]]


class Compared(NamedTuple):
    """What the model writes in answer to each question, beside the expected path. Of questions
    that were not asked, the numbers are 0, ``instead`` is -1, and nothing agrees."""

    agrees: Bool[np.ndarray, "maze question"]  # the rollout is the expected path
    n_right: Int[np.ndarray, "maze question"]  # cells of it before the first other token
    # the other token: a cell, -1 for <PATH_END>, NO_CELL for any other; -1 where it agrees
    instead: Int[np.ndarray, "maze question"]
    # probability that the origin is followed by the target itself, and whether nothing is likelier
    straight: Float[np.ndarray, "maze question"]
    is_straight: Bool[np.ndarray, "maze question"]


@dataclass(frozen=True)
class _Pack:
    """Rows of questions, each about one maze and from one origin: the tokens that state the origin,
    those that state the target of every question, and then ``<PATH_START>`` and its path. The
    model's answers are needed only at the latter."""

    maze: Row
    index: Slots  # which questions of the maze; -1 where a row has fewer
    wanted: Int[Tensor, "row slot step"]  # the expected path and <PATH_END>, padded
    target: Int[Tensor, "row slot"]  # tokens
    at: Int[np.ndarray, "slot step"]  # where each token of a path is asked for, among the answers
    since: int  # the first position of which the answer is needed
    reading: Reading  # without the prefix
    resid: dict[int, Tensor]  # the residual stream after a block, by its layer

    def pushed(self, layer: int, pushes: Pushes) -> Tensor:
        """The residual stream after a block with something added at tokens of the questions."""
        if not pushes:
            return self.resid[layer]
        resid = self.resid[layer].clone()
        maze = torch.from_numpy(self.maze).to(resid.device)
        for token, push in pushes.items():
            resid[:, self._positions(token)] += push.to(resid)[maze][:, None]
        return resid

    def _positions(self, token: Asking) -> Int[np.ndarray, " pos"]:
        """Where a token of the question stands in a row: once, or once for each question."""
        if token < OPENING:
            return np.array([int(token)])
        if token == Asking.PATH_START:
            return self.since + self.at[:, 0]
        return np.arange(int(token), self.since, ASKING - 1 - OPENING)


@dataclass(frozen=True)
class Posed:
    """Questions, each with the path expected, behind lists that a model has read."""

    lists: ReadLists
    questions: Questions
    packs: list[_Pack]

    @classmethod
    @torch.inference_mode()
    def of(
        cls,
        lists: ReadLists,
        questions: Questions,
        layers: set[int],
        is_asked: Bool[np.ndarray, "maze question"] | None = None,
    ) -> "Posed":
        """Read the questions up to the last of ``layers``, after which lists will be edited.
        The guess of each question is the path expected; it begins with the origin. With
        ``is_asked`` only some are read; the answers to all others will be empty."""
        is_asked = np.ones(questions.target.shape, bool) if is_asked is None else is_asked
        rows = _rows(questions, is_asked)
        return cls(
            lists, questions, [_pack(lists, questions, maze, index, layers) for maze, index in rows]
        )

    @torch.inference_mode()
    def compare(self, prefix: Prefix, layer: int, pushes: Pushes | None = None) -> Compared:
        """The answers behind the lists, which were edited after block ``layer``; with ``pushes``
        the questions are edited there, too."""
        shape = self.questions.target.shape
        n_right, instead = np.zeros(shape, int), np.full(shape, -1)
        straight, is_straight = np.zeros(shape), np.zeros(shape, bool)
        agrees = np.zeros(shape, bool)
        model = self.lists.model
        first_cell = Vocabulary(self.questions.grid.n).first_cell
        for pack in self.packs:
            resid = model.run_blocks(
                pack.pushed(layer, pushes or {}),
                pack.reading._replace(after=_of_mazes(prefix, pack.maze)),
                layer + 1,
                since=pack.since,
            )
            logits = model.unembed(resid)
            chosen = logits.argmax(dim=-1)[:, pack.at]
            is_wrong = (chosen != pack.wanted) & (pack.wanted != PADDING)
            n_cells = (pack.wanted != PADDING).sum(dim=-1) - 1
            right = (~is_wrong).cumprod(dim=-1).sum(dim=-1).minimum(n_cells)
            other = chosen.gather(2, right[:, :, None])[:, :, 0]
            share = logits[:, pack.at[:, 1]].float().softmax(dim=-1)
            row, slot = np.nonzero(pack.index >= 0)
            at = pack.maze[row], pack.index[row, slot]

            def asked(values: Tensor, row: Row = row, slot: Row = slot) -> np.ndarray:
                return values.cpu().numpy()[row, slot]

            agrees[at] = ~asked(is_wrong.any(dim=-1))
            n_right[at] = asked(right)
            token = asked(other)
            instead[at] = np.where(
                token >= first_cell, token - first_cell, np.where(token == PATH_END, -1, NO_CELL)
            )
            straight[at] = asked(share.gather(2, pack.target[:, :, None])[:, :, 0])
            is_straight[at] = asked(chosen[:, :, 1] == pack.target)
        return Compared(agrees, n_right, np.where(agrees, -1, instead), straight, is_straight)


def _rows(
    questions: Questions, is_asked: Bool[np.ndarray, "maze question"]
) -> Iterator[tuple[Row, Slots]]:
    """The asked questions in rows, at most one row for each maze at a time: the maze of each row,
    and its questions, which have one origin. The longest rows of all mazes come together, and in a
    row the shortest questions first, so that little is padded."""
    if not is_asked.any():
        return
    maze, question = np.nonzero(is_asked)
    length = (questions.guess[maze, question] >= 0).sum(axis=1)
    origin = questions.asked[maze, question, Asking.ORIGIN]
    n_at_once = max(1, MOST_TOKENS // (ASKING - OPENING + int(length.mean())))
    asked = pd.DataFrame({"maze": maze, "origin": origin, "length": length, "question": question})
    asked = asked.sort_values(["maze", "origin", "length"], kind="stable")
    nth = asked.groupby(["maze", "origin"]).cumcount()
    asked = asked.assign(part=nth // n_at_once, slot=nth % n_at_once)
    by_row = asked.groupby(["maze", "origin", "part"])
    asked["row"] = by_row.ngroup()
    rows = by_row.agg(n=("slot", "size"), length=("length", "sum")).reset_index()
    rows = rows.sort_values(["n", "length"], ascending=False, kind="stable")
    index = np.full((len(rows), n_at_once), -1)
    index[asked.row, asked.slot] = asked.question
    for _, some in rows.groupby(rows.groupby("maze").cumcount()):
        some = some.sort_values("maze")
        yield some.maze.to_numpy(copy=True), index[some.index, : int(some.n.max())]


def _pack(
    lists: ReadLists, questions: Questions, maze: Row, index: Slots, layers: set[int]
) -> _Pack:
    (n_rows, n), model, start = index.shape, lists.model, len(lists.prefix)
    at = maze[:, None], np.maximum(index, 0)
    guess = np.where(index[:, :, None] >= 0, questions.guess[at], -1)
    wanted, asked = encode_paths(questions.grid, guess), questions.asked[at]
    inputs = np.concatenate([asked[:, :, -1:], wanted[:, :, :-1]], axis=2)
    # each question has room for the longest path of its slot, and at least for the origin
    room = np.maximum(2, (guess >= 0).sum(axis=2).max(axis=0) + 1)
    step = np.arange(wanted.shape[2])
    is_there = step < room[:, None]
    tokens = np.concatenate(
        [asked[:, 0, :OPENING], asked[:, :, OPENING:-1].reshape(n_rows, -1), inputs[:, is_there]],
        axis=1,
    )
    number, own = np.arange(n), np.arange(OPENING, ASKING - 1)
    of_paths = np.broadcast_to(ASKING - 1 + step, is_there.shape)[is_there]
    position = [np.arange(OPENING), np.tile(own, n), of_paths]
    question = [np.full(OPENING, SHARED), number.repeat(len(own)), number.repeat(room)]
    layout = Layout(
        start + torch.from_numpy(np.concatenate(position)),
        torch.from_numpy(np.concatenate(question)),
    ).to(model.device)
    resid = model.embed(torch.from_numpy(tokens).to(model.device), layout)
    reading = model.reading(layout, after=_of_mazes(lists.prefix, maze))
    kept, done = {}, 0
    for layer in sorted(layers):
        resid = model.run_blocks(resid, reading, done, layer + 1)
        kept[layer], done = resid, layer + 1
    first_cell = Vocabulary(questions.grid.n).first_cell
    target = torch.from_numpy(questions.target[at] + first_cell).to(model.device)
    where = np.zeros(is_there.shape, int)
    where[is_there] = np.arange(is_there.sum())
    since = OPENING + n * len(own)
    tokens_wanted = torch.from_numpy(wanted).to(model.device)
    reading = reading._replace(after=None)
    return _Pack(maze, index, tokens_wanted, target, where, since, reading, kept)


def _of_mazes(prefix: Prefix, maze: Row) -> Prefix:
    """The prefix of some mazes in order; a copy only where some are missing."""
    keys = prefix.keys[0]
    return prefix if len(maze) == len(keys) else prefix.of(torch.from_numpy(maze).to(keys.device))
