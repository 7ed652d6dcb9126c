"""Rollouts compared with mazes: solved, valid, and by how much of each kind of
maze.
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
from mazewm.model.taps import Tap
from mazewm.model.transformer import Transformer


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
    # A closed connection (the added last column, number -1) stands for a step between cells that
    # are not adjacent.
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
    """Greedy rollouts of all mazes, under the same tap at every token, compared with the mazes."""
    model, mazes = subject.model, subject.mazes
    solved, valid = np.zeros(len(mazes), bool), np.zeros(len(mazes), bool)
    walked = np.full((len(mazes), mazes.grid.n_cells + 1), -1, np.int16)
    for part, encoded in subject.encoded():
        cells = walk(model, mazes[part], encoded.lists, tap, tap)
        solved[part], valid[part], walked[part] = judge(mazes[part], cells)
    return Behaviour(solved, valid, walked)


@torch.inference_mode()
def walk(
    model: Transformer,
    mazes: Mazes,
    lists: Int[np.ndarray, "maze pos"],
    list_tap: Tap | None = None,
    tap: Tap | None = None,
) -> Int[np.ndarray, "maze step"]:
    """The rollout of each maze's question behind the given list, read under ``list_tap``; ``tap``
    sees the tokens behind it, and must treat all rows alike."""
    prefix = model.read(torch.from_numpy(lists).to(model.device), list_tap)
    return rollouts(model, prefix, questions_of(mazes), lambda _: tap)[:, 0]


@dataclass(frozen=True)
class BehaviourRow:
    """One rollout."""

    split: tables.Text
    maze_id: tables.Int
    family: tables.Text
    n_connections: tables.Int
    path_length: tables.Int
    solved: tables.Flag
    valid: tables.Flag


def measure_behaviour(subject: Subject, split: str) -> list[BehaviourRow]:
    """One row for each of the mazes, which are of ``split``."""
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
