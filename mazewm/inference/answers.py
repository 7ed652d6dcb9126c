"""How a model answers all questions of its mazes, and what it takes for connected
(docs/science.md#all-questions, docs/science.md#map).

Beside the shares of questions solved stand those of walkers without a map
(``mazewm.inference.walkers``): one that is blind, and others that look one, two and three steps
ahead. A question *tells* if the blind and the near-sighted walker, who looks one step ahead, would
each solve it less than half of the time; *beyond* two steps, if so does the next walker. Two more
see one and two steps ahead and choose no questions (``mazewm.inference.random_walkers``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int

from mazewm.inference.asking import beliefs, every_question, of_one_size, one_by_one
from mazewm.inference.behaviour import judge
from mazewm.inference.random_walkers import RANDOM_SIGHTS, random_chance
from mazewm.inference.rollout import Questions, rollouts
from mazewm.inference.subject import Subject
from mazewm.inference.walkers import SIGHTS, TELLING, blind_chance, near_sighted_chance
from mazewm.io import tables
from mazewm.maze.mazes import Mazes


@dataclass(frozen=True)
class AnswerRow:
    """All questions about one maze whose shortest paths are equally long."""

    model: tables.Text  # trained or untrained
    split: tables.Text
    maze_id: tables.Int
    family: tables.Text
    n_connections: tables.Int
    path_length: tables.Int  # cells on the shortest path
    n_asked: tables.Int
    n_valid: tables.Int  # answers that lead from origin to target along connections
    n_steps: tables.Int  # pairs of successive cells, of all answers
    n_crossings: tables.Int  # of these: to an adjacent cell where there is no connection
    n_jumps: tables.Int  # of these: to a cell that is not adjacent, or the same one
    n_unique: tables.Int  # questions with one and only one shortest path
    n_solved: tables.Int  # of these: answers that are it
    blind: tables.Real  # of these: how many the blind walker solves on average
    near: tables.Real  # the same of the near-sighted walker
    ahead_2: tables.Real  # the same of walkers that look two and three steps ahead
    ahead_3: tables.Real
    random: tables.Real  # the same of random walkers that look one and two steps ahead
    random_2: tables.Real
    n_telling: tables.Int
    n_telling_solved: tables.Int
    blind_telling: tables.Real  # what the walkers solve of those that tell
    near_telling: tables.Real
    ahead_2_telling: tables.Real
    ahead_3_telling: tables.Real
    random_telling: tables.Real
    random_2_telling: tables.Real
    n_beyond: tables.Int  # of those that tell: beyond two steps
    n_beyond_solved: tables.Int
    blind_beyond: tables.Real
    near_beyond: tables.Real
    ahead_2_beyond: tables.Real
    ahead_3_beyond: tables.Real
    random_beyond: tables.Real
    random_2_beyond: tables.Real


@dataclass(frozen=True)
class BeliefRow:
    """One pair of adjacent cells that a maze mentions."""

    model: tables.Text  # trained or untrained
    split: tables.Text
    maze_id: tables.Int
    family: tables.Text
    n_connections: tables.Int
    connection: tables.Int
    is_open: tables.Flag  # whether the maze connects them
    belief: tables.Real  # probability, mean of both directions
    n_straight: tables.Int  # in how many of the two directions the step is the likeliest


class Answers(NamedTuple):
    """Both tables, of AnswerRow and BeliefRow."""

    answers: pd.DataFrame
    beliefs: pd.DataFrame

    def write(self, folder: Path) -> None:
        """``answers.parquet`` and ``beliefs.parquet``."""
        tables.write(folder / "answers.parquet", AnswerRow, dict(self.answers.items()))
        tables.write(folder / "beliefs.parquet", BeliefRow, dict(self.beliefs.items()))

    @classmethod
    def joined(cls, parts: Sequence["Answers"]) -> "Answers":
        """The rows of all, one after another."""
        return cls(*(pd.concat(each, ignore_index=True) for each in zip(*parts, strict=True)))


def measure_answers(subject: Subject, split: str, name: str) -> Iterator[Answers]:
    """Ask a model, called ``name``, about the subject's mazes, which are of ``split``; batch by
    batch."""
    for part, encoded in subject.encoded():
        mazes, model = subject.mazes[part], subject.model
        with torch.inference_mode():
            prefix = model.read(torch.from_numpy(encoded.lists).to(model.device))
        for index in of_one_size(mazes):
            some = mazes[index]
            behind = prefix.of(torch.from_numpy(index).to(model.device))
            questions = every_question(some)
            asked = judged(some, questions, rollouts(model, behind, questions))
            believed = pd.DataFrame(beliefs(model, behind, some)._asdict())
            believed["is_open"] = some.connections[believed.maze, believed.connection]
            yield Answers(*(_known(each, some, split, name) for each in (asked, believed)))


def _known(rows: pd.DataFrame, mazes: Mazes, split: str, name: str) -> pd.DataFrame:
    """Rows with what is known of their maze, in place of its index."""
    maze = rows.pop("maze").to_numpy()
    of_maze = {
        "maze_id": mazes.maze_id[maze],
        "family": mazes.family[maze],
        "n_connections": mazes.n_connections[maze],
    }
    return rows.assign(model=name, split=split, **of_maze)


def judged(
    mazes: Mazes, questions: Questions, cells: Int[np.ndarray, "maze question step"]
) -> pd.DataFrame:
    """The counts of AnswerRow for each maze (its index, as ``maze``) and length of path, given the
    cells that were walked."""
    grid, guess, maze = mazes.grid, questions.guess, np.arange(len(mazes))
    asked = one_by_one(mazes, questions)
    is_path, is_valid, _ = judge(asked, cells.reshape(len(asked), -1))
    here, there = cells[:, :, :-1], cells[:, :, 1:]
    is_step = (here >= 0) & (there >= 0)
    connection = np.where(is_step, grid.connection_of[here, there], -1)
    is_open = (connection >= 0) & mazes.connections[maze[:, None, None], connection]
    is_unique = questions.ways.is_unique[maze[:, None], guess[:, :, 0], questions.target]
    is_solved = is_unique & is_path.reshape(is_unique.shape)
    walkers = {"blind": blind_chance(grid, guess)} | {
        name: near_sighted_chance(grid, mazes.connections, guess, sight)
        for name, sight in SIGHTS.items()
    }
    walkers |= {
        name: random_chance(grid, mazes.connections, guess, sight)
        for name, sight in RANDOM_SIGHTS.items()
    }
    is_telling = is_unique & (np.maximum(walkers["blind"], walkers["near"]) < TELLING)
    of_some = {"telling": is_telling, "beyond": is_telling & (walkers["ahead_2"] < TELLING)}
    every = {
        "maze": np.broadcast_to(maze[:, None], is_unique.shape),
        "path_length": (guess >= 0).sum(axis=2),
        "n_asked": np.ones(is_unique.shape, int),
        "n_valid": is_valid,
        "n_steps": is_step.sum(axis=2),
        "n_crossings": (is_step & ~is_open & (connection >= 0)).sum(axis=2),
        "n_jumps": (is_step & (connection < 0)).sum(axis=2),
        "n_unique": is_unique,
        "n_solved": is_solved,
        **{name: chance * is_unique for name, chance in walkers.items()},
    }
    for name, some in of_some.items():
        every |= {f"n_{name}": some, f"n_{name}_solved": some & is_solved}
        every |= {f"{walker}_{name}": chance * some for walker, chance in walkers.items()}
    flat = pd.DataFrame({name: values.ravel() for name, values in every.items()})
    return flat.groupby(["maze", "path_length"], as_index=False).sum()
