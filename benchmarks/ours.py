"""mazewm's side of the benchmarks: mazes, model, training step, and rollouts under an edit.

Sizes are those of scale laptop in params.yaml. Mazes are trees of 6 to 11 cells in a 5x5 lattice.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from benchmarks.pairing import Contender
from mazewm.datasets.draw import ask
from mazewm.datasets.generators import dfs
from mazewm.inference.edits import Taps, add_at
from mazewm.inference.rollout import ask_all, rollouts
from mazewm.io.params import Params, check, read_yaml
from mazewm.maze.lattice import lattice
from mazewm.maze.mazes import Mazes
from mazewm.maze.routes import routes
from mazewm.maze.tokens import (
    TokenClass,
    Vocabulary,
    connection_positions,
    encode,
    encode_lists,
    encode_questions,
    prompt_length,
    random_order,
)
from mazewm.maze.truths import touched_cells
from mazewm.model.batches import Batches
from mazewm.model.recipe import TrainingParams, backward, forward_of, optimizers
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.run import Objective

ROOT = Path(__file__).parent.parent
VOCABULARY = Vocabulary(5)
MIN_CELLS, MAX_CELLS = 6, 11
OBJECTIVE: Objective = "all"
N_STEPS = 300  # of the short training, long enough that rollouts end with <PATH_END>
KEPT = ROOT / "artifacts" / "benchmarks"
P = TypeVar("P", bound=Params)


def laptop(cls: type[P], section: str) -> P:
    """A section of params.yaml at scale laptop, whichever scale the file selects."""
    content = read_yaml(ROOT / "params.yaml")
    sized = content["scales"]["laptop"].get(section) or {}
    return check(cls, (content.get(section) or {}) | sized, f"params.yaml: {section}")


def mazes(n: int, seed: int = 0, n_cells: int | None = None) -> Mazes:
    """Questions on ``n`` depth-first trees in a 5x5 lattice, of 6 to 11 cells or of ``n_cells``."""
    rng, grid = np.random.default_rng(seed), lattice(VOCABULARY.n)
    least, most = (MIN_CELLS, MAX_CELLS) if n_cells is None else (n_cells, n_cells)
    connections = dfs(rng, VOCABULARY.n, rng.integers(least, most + 1, size=n))
    return ask(rng, grid, "trees", connections)


def untrained(encoding: str = "learned") -> Transformer:
    """The model before training."""
    torch.manual_seed(0)
    params = laptop(TransformerParams, "transformer")
    return Transformer(params, encoding, len(VOCABULARY), VOCABULARY.max_length)


def whole_step(model: Transformer) -> Contender:
    """A contender that makes a whole training step of the pipeline: draw and encode a batch,
    backward pass, both optimizers. It returns the number of questions, each of which is one
    sequence.
    """
    params = laptop(TrainingParams, "training")
    batches = Batches(mazes(20_000), params.batch_size, params.n_questions, 0)
    opts, forward, n_done = optimizers(model, params), forward_of(model, OBJECTIVE, params), 0
    other_weight = params.other_weight

    def step() -> float:
        nonlocal n_done
        backward(forward, batches[n_done], params.batch_size, other_weight)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        n_done += 1
        return params.batch_size * params.n_questions

    return step


def trained(encoding: str) -> Transformer:
    """The pipeline's model if there is one, else a model after a short training, which is saved for
    later calls."""
    by_pipeline = (
        ROOT / "artifacts" / "models" / f"{encoding}-{OBJECTIVE}-0" / "transformer.safetensors"
    )
    if by_pipeline.exists():
        return Transformer.load(by_pipeline)
    path = KEPT / f"transformer-{encoding}.safetensors"
    if not path.exists():
        model = untrained(encoding)
        model.silence()
        step = whole_step(model)
        for _ in range(N_STEPS):
            step()
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return Transformer.load(path)


def sequences(n: int, n_cells: int = MAX_CELLS) -> Tensor:
    """Sequences of ``n`` mazes with equally many connections, all cut where the shortest path of
    them ends, so that none is padded; [maze, pos]."""
    some = mazes(n, n_cells=n_cells)
    encoded = encode(some, np.random.default_rng(0))
    return torch.from_numpy(
        encoded.tokens[:, : prompt_length(encoded.n_connections) + int(some.path_length.min())]
    )


class Questions(NamedTuple):
    """Every (origin, target) pair of mazes with equally many cells, each maze encoded once."""

    mazes: Mazes
    lists: Tensor  # the adjacency lists, [maze, pos]
    origin: np.ndarray  # cells, [maze, question]
    target: np.ndarray
    prompts: Tensor  # [maze * question, pos], the questions of each maze in successive rows
    edited: Tensor  # the positions of every connection's second cell, [pos]


def questions(n_mazes: int, n_cells: int = 9) -> Questions:
    """All n_cells * (n_cells - 1) questions of each of ``n_mazes`` trees."""
    some = mazes(n_mazes, n_cells=n_cells)
    n = n_cells - 1
    lists = encode_lists(some.grid, *random_order(some, np.random.default_rng(0)))
    cells = np.nonzero(touched_cells(some.grid, some.connections))[1].reshape(n_mazes, n_cells)
    first, second = np.nonzero(~np.eye(n_cells, dtype=bool))
    origin, target = cells[:, first], cells[:, second]
    asking = encode_questions(some.grid, origin, target)
    prompts = np.concatenate([np.repeat(lists, len(first), axis=0), np.concatenate(asking)], axis=1)
    edited = torch.from_numpy(connection_positions(n, TokenClass.C2))
    return Questions(
        some, torch.from_numpy(lists), origin, target, torch.from_numpy(prompts), edited
    )


def walker(
    model: Transformer, asked: Questions, direction: Tensor | None
) -> Callable[[], np.ndarray]:
    """A function that makes the rollouts of all questions, with ``direction`` (if not None) added
    after block 0 at the edited positions; it returns cells, [maze * question, step], padded with
    -1."""
    some, (n_mazes, n_questions) = asked.mazes, asked.origin.shape
    edited = asked.edited.expand(n_mazes, -1)

    def walk() -> np.ndarray:
        guess = routes(some.grid, some.connections).paths(asked.origin, asked.target)
        questions = ask_all(some.grid, some.connections, asked.origin, asked.target, guess)
        edit = add_at(Place(0, Site.RESID_POST), edited, lambda _: direction)
        prefix = model.read(asked.lists, None if direction is None else Taps([edit]))
        return rollouts(model, prefix, questions).reshape(n_mazes * n_questions, -1)

    return walk
