"""What the benchmarks take of mazewm: mazes, model, training step, rollouts under an edit.

Sizes are those of scale laptop in params.yaml; mazes are trees of 6 to 11 cells, with the
vocabulary of a 5x5 lattice.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from benchmarks.pairing import Contender
from mazewm.maze.generators import dfs
from mazewm.maze.lattice import lattice
from mazewm.maze.mazes import Mazes, solve
from mazewm.maze.truths import touched_cells
from mazewm.model.batches import Batches, on_device
from mazewm.model.edits import Taps, add_at
from mazewm.model.rollout import rollout
from mazewm.model.sites import Place, Site
from mazewm.model.training import TrainingParams, backward, forward_of, optimizers
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.params import Params, check, read_yaml
from mazewm.tokens import TokenClass, Vocabulary, prompt_length, spell, spelling_positions

ROOT = Path(__file__).parent.parent
VOCABULARY = Vocabulary(5)
MIN_CELLS, MAX_CELLS = 6, 11
N_STEPS = 500  # of the short training after which rollouts end where paths do
KEPT = ROOT / "artifacts" / "benchmarks"
P = TypeVar("P", bound=Params)


def laptop(cls: type[P], section: str) -> P:
    """A section of params.yaml at scale laptop, whichever scale the file chooses."""
    content = read_yaml(ROOT / "params.yaml")
    sized = content["scales"]["laptop"].get(section) or {}
    return check(cls, (content.get(section) or {}) | sized, f"params.yaml: {section}")


def mazes(n: int, seed: int = 0, n_cells: int | None = None) -> Mazes:
    """``n`` depth-first trees in a 5x5 lattice, over 6 to 11 cells or over just ``n_cells``."""
    rng, grid = np.random.default_rng(seed), lattice(VOCABULARY.n)
    least, most = (MIN_CELLS, MAX_CELLS) if n_cells is None else (n_cells, n_cells)
    connections = dfs(rng, VOCABULARY.n, rng.integers(least, most + 1, size=n))
    reached = touched_cells(grid, connections)
    ends = np.argsort(rng.random(reached.shape) * reached, axis=1)[:, -2:]
    return solve(grid, connections, ends[:, 1], ends[:, 0], np.full(n, "trees"))


def untrained(encoding: str = "learned") -> Transformer:
    """The model as it is before training."""
    torch.manual_seed(0)
    params = laptop(TransformerParams, "transformer")
    return Transformer(params, encoding, len(VOCABULARY), VOCABULARY.max_length)


def whole_step(model: Transformer) -> Contender:
    """Training as the pipeline does it: a batch drawn and encoded, backward, both optimizers."""
    params = laptop(TrainingParams, "training")
    batches, opts, forward = (
        Batches(mazes(20_000), params.batch_size, 0),
        optimizers(model, params),
        forward_of(model, params),
    )
    n_done = 0

    def step() -> float:
        nonlocal n_done
        backward(
            forward,
            on_device(batches[n_done], model.device),
            params.batch_size,
            params.other_weight,
        )
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        n_done += 1
        return params.batch_size

    return step


def trained() -> Transformer:
    """The model after a short training; it is kept, and made again if the file is gone."""
    path = KEPT / "transformer.safetensors"
    if not path.exists():
        model = untrained()
        model.silence()
        step = whole_step(model)
        for _ in range(N_STEPS):
            step()
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
    return Transformer.load(path)


def sequences(n: int, n_cells: int = MAX_CELLS) -> Tensor:
    """Whole sequences of ``n`` mazes with equally many connections, cut where the first path ends,
    so that none is padded."""
    some = mazes(n, n_cells=n_cells)
    spelled = spell(some, np.random.default_rng(0))
    return torch.from_numpy(
        spelled.tokens[:, : prompt_length(spelled.n_connections) + int(some.path_length.min())]
    )


class Questions(NamedTuple):
    """Every (origin, target) pair of mazes with equally many cells, each maze encoded once."""

    prompts: Tensor  # [maze * question, pos], the questions of a maze one after the other
    n_each: int  # questions of each maze
    edited: Tensor  # the positions of every connection's second cell, [pos]


def questions(n_mazes: int, n_cells: int = 9) -> Questions:
    """All n_cells * (n_cells - 1) questions of each of ``n_mazes`` trees."""
    some = mazes(n_mazes, n_cells=n_cells)
    spelled = spell(some, np.random.default_rng(0))
    cells = np.nonzero(touched_cells(some.grid, some.connections))[1].reshape(n_mazes, n_cells)
    origin, target = (axis.ravel() for axis in np.nonzero(~np.eye(n_cells, dtype=bool)))
    prompts = np.repeat(spelled.prompt[:, None], len(origin), axis=1)
    end = prompts.shape[-1]
    prompts[:, :, end - 6] = cells[:, origin] + VOCABULARY.first_cell
    prompts[:, :, end - 3] = cells[:, target] + VOCABULARY.first_cell
    edited = spelling_positions(spelled.n_connections, TokenClass.C2)
    flat = torch.from_numpy(prompts.reshape(-1, end))
    return Questions(flat, len(origin), torch.from_numpy(edited))


def walker(
    model: Transformer, asked: Questions, direction: Tensor | None
) -> Callable[[], np.ndarray]:
    """A function that lets the model answer all questions, ``direction`` added after block 0 at the
    edited positions unless it is None; returns cells, [maze * question, step], padded with -1."""
    edited = asked.edited.expand(len(asked.prompts), -1)

    def walk() -> np.ndarray:
        edits = (
            []
            if direction is None
            else [add_at(Place(0, Site.RESID_POST), edited, lambda _: direction)]
        )
        return rollout(model, asked.prompts, Taps(edits) if edits else None)

    return walk
