"""Behaviour of a model on mazes: which mazes its greedy rollouts solve, and which rollouts are
valid paths (docs/science.md#behaviour).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int

from mazewm.inference.rollout import questions_of, rollouts
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.maze.mazes import Mazes
from mazewm.model.interface import Model
from mazewm.model.taps import Tap


class Behaviour(NamedTuple):
    """The rollouts of a batch of mazes, and how they compare with the mazes."""

    solved: Bool[np.ndarray, " maze"]  # the rollout is the unique shortest path
    valid: Bool[np.ndarray, " maze"]  # from origin to target along existing connections
    cells: Int[np.ndarray, "maze step"]  # the rollouts, padded with -1


def judge(mazes: Mazes, cells: Int[np.ndarray, "maze step"]) -> Behaviour:
    """Compare rollouts (cells padded with -1, as from ``rollouts``) with their mazes.

    >>> from mazewm.maze.maze import Maze
    >>> maze = Maze.of(2, [((0, 0), (0, 1)), ((0, 1), (1, 1))], origin=(0, 0), target=(1, 1))
    >>> mazes = Mazes.of([maze, maze, maze])
    >>> detour, closed = [0, 1, 0, 1, 3], [0, 2, 3, -1, -1]
    >>> judged = judge(mazes, np.array([[0, 1, 3, -1, -1], detour, closed]))
    >>> judged.solved, judged.valid
    (array([ True, False, False]), array([ True,  True, False]))
    """
    width = max(cells.shape[1], mazes.path.shape[1])
    walked = np.pad(cells, ((0, 0), (0, width - cells.shape[1])), constant_values=-1)
    path = np.pad(mazes.path, ((0, 0), (0, width - mazes.path.shape[1])), constant_values=-1)
    solved = (walked == path).all(axis=1)
    # The added last column is a closed connection, to which -1 points: the connection of two cells
    # that are not adjacent.
    is_open = np.concatenate([mazes.connections, np.zeros((len(mazes), 1), bool)], axis=1)
    step = mazes.grid.connection_of[walked[:, :-1], walked[:, 1:]]
    legal = is_open[np.arange(len(mazes))[:, None], step] | (walked[:, 1:] == -1)
    last = walked[np.arange(len(mazes)), np.maximum((walked != -1).sum(axis=1) - 1, 0)]
    valid = (
        legal.all(axis=1)
        & (walked != -2).all(axis=1)
        & (walked[:, 0] == mazes.origin)
        & (last == mazes.target)
    )
    return Behaviour(solved, valid, walked)


def behave(subject: Subject, tap: Tap | None = None) -> Behaviour:
    """Roll out greedily once for each maze of the subject, and judge. ``tap`` is used for all
    tokens of prompt and rollout; it must treat all rows alike."""
    model, mazes = subject.model, subject.mazes
    solved, valid = np.zeros(len(mazes), bool), np.zeros(len(mazes), bool)
    walked = np.full((len(mazes), mazes.grid.n_cells + 1), -1, np.int16)
    for part, encoded in subject.encoded():
        cells = walk(model, mazes[part], encoded.lists, tap, tap)
        solved[part], valid[part], walked[part] = judge(mazes[part], cells)
    return Behaviour(solved, valid, walked)


@torch.inference_mode()
def walk(
    model: Model,
    mazes: Mazes,
    lists: Int[np.ndarray, "maze pos"],
    list_tap: Tap | None = None,
    tap: Tap | None = None,
) -> Int[np.ndarray, "maze step"]:
    """The greedy rollout of each maze's question after the given adjacency lists: cell numbers,
    padded with -1 (see ``rollouts``). ``list_tap`` is used while the lists are read, ``tap`` for
    the tokens after them; ``tap`` must treat all rows alike."""
    prefix = model.read(torch.from_numpy(lists).to(model.device), list_tap)
    return rollouts(model, prefix, questions_of(mazes), lambda _: tap)[:, 0]


@dataclass(frozen=True)
class BehaviourRow:
    """The result of one rollout."""

    split: tables.Text
    maze_id: tables.Int
    family: tables.Text
    n_connections: tables.Int
    path_length: tables.Int
    solved: tables.Flag
    valid: tables.Flag


def behaviour_rows(subject: Subject, split: str) -> list[BehaviourRow]:
    """Roll out once for each maze of the subject, and judge: one row for each maze. ``split`` is
    the name of the split that the mazes are from."""
    mazes, result = subject.mazes, behave(subject)
    columns = (
        mazes.maze_id,
        mazes.family,
        mazes.n_connections,
        mazes.path_length,
        result.solved,
        result.valid,
    )
    return [
        BehaviourRow(
            split=split,
            maze_id=int(maze),
            family=str(family),
            n_connections=int(n),
            path_length=int(length),
            solved=bool(solved),
            valid=bool(valid),
        )
        for maze, family, n, length, solved, valid in zip(*columns, strict=True)
    ]
