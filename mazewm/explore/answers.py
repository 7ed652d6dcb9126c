"""What the model does with a scene: the path that it walks without and with the change, how likely
each step is, and what it then takes for connected.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int

from mazewm.explore.scene import METHODS, Scene, as_batch
from mazewm.inference.asking import Beliefs, beliefs
from mazewm.inference.edits import Edit
from mazewm.inference.resuming import ReadLists
from mazewm.inference.rollout import questions_of, rollouts
from mazewm.interventions.directions import Directions
from mazewm.interventions.edits import TOLD, Condition
from mazewm.io.errors import BadInput
from mazewm.loaded import LoadedRun, Settings, conditions_of
from mazewm.maze.maze import Cell, Maze
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import (
    Encoded,
    Vocabulary,
    encode_as,
    encode_questions,
    encoding_rng,
    random_order,
)
from mazewm.model.reading import Layout, Prefix

MOST_LIKELY = 3  # tokens that are listed for each step
MOST_KEPT = 64  # prompts whose key-value cache is kept


@dataclass(frozen=True)
class Step:
    """The likeliest tokens after one token of the path."""

    after: str
    likeliest: tuple[tuple[str, float], ...]  # token and probability, the likeliest first


@dataclass(frozen=True)
class Walk:
    """A greedy rollout: its cells, up to the first token that is not a cell."""

    path: tuple[Cell, ...]
    steps: tuple[Step, ...]  # after <PATH_START>, and after each cell


@dataclass(frozen=True)
class Told:
    """A prompt that the model has read, and what it walked without an edit."""

    encoded: Encoded
    lists: ReadLists
    walks: dict[tuple[Cell, Cell], Walk] = field(default_factory=dict)  # by origin and target


@dataclass(frozen=True)
class Answer:
    """All that the boards show."""

    scene: Scene
    before: Walk
    after: Walk  # the same walk if nothing is changed
    believed: Beliefs  # with the change, of cells that prompt or edited maze mention
    doses: tuple[Condition, ...]  # with which inside edits were made


class Explorer:
    """One run that answers scenes. Prompts that were read are kept; all else is computed anew."""

    def __init__(self, run: LoadedRun) -> None:
        self.run = run
        self._told: dict[bytes, Told] = {}
        self._mazes: dict[str, Mazes] = {}

    @cached_property
    def missing(self) -> dict[str, str]:
        """The methods that this run cannot be changed by, each with the reason. The mean
        difference, which takes a second to read, is looked for and not read."""
        found = {}
        for method in METHODS:
            try:
                if method == METHODS[0]:
                    _ = self.run.known, self.run.settings
                elif method != TOLD:
                    folder = self.run.folder("activations") / "trained" / "train"
                    place = folder / str(self.run.locations.writing.place)
                    self.run.settings_of(method)
                    if not place.is_dir():
                        raise BadInput(f"{place}: missing; expected cached activations.")
            except BadInput as error:
                found[method] = str(error)
        return found

    def mazes(self, split: str) -> Mazes:
        """The mazes of a split; BadInput if the file is missing or broken."""
        if split not in self._mazes:
            self._mazes[split] = self.run.mazes(split)
        return self._mazes[split]

    @cached_property
    def most_connections(self) -> int:
        """Of a test maze, and so of a training maze."""
        return int(self.mazes("test").n_connections.max())

    @cached_property
    def most_units(self) -> int:
        """How many latents of a connection the run knows; 0 without any."""
        if METHODS[0] in self.missing:
            return 0
        [known] = self.run.known.values()
        return int(known.dictionaries[METHODS[0]].units.ids.shape[1])

    def settings(self, scene: Scene) -> Settings:
        """At which tokens and with which dose the scene's method is written, before ``strength``.
        BadInput if the run lacks what the method needs."""
        if scene.method in self.missing:
            raise BadInput(self.missing[scene.method])
        if scene.method == METHODS[0] and not scene.n_units:
            return self.run.settings
        n_units = scene.n_units if scene.method == METHODS[0] else 0
        return self.run.settings_of(scene.method, n_units)

    def conditions(self, scene: Scene) -> list[Condition]:
        """What is written for the scene's changes; nothing if they are made in the prompt."""
        if scene.method == TOLD or not scene.changed:
            return []
        added, removed = scene.added, scene.removed
        found = conditions_of(self.settings(scene), len(added), len(removed))
        n = int(scene.maze.bits.sum())
        room = len(self.run.locations.writing.positions(n))
        if len(added) > room:
            raise BadInput(
                f"{len(added)} connections are added, but the prompt has only {room} tokens at "
                "which they are written; add fewer, or draw more into the prompt."
            )
        return [
            Condition(one.method, one.site, one.where, one.dose * scene.strength) for one in found
        ]

    def known(self, scene: Scene) -> dict[str, Directions]:
        """What the scene's method writes."""
        return self.run.known if scene.method == METHODS[0] else self.run.known_arrows

    def told(self, maze: Maze) -> Told:
        """The prompt of a maze, read by the model. Order and direction of the connections are as
        in ``LoadedRun.solve``, whatever is asked."""
        key = maze.bits.tobytes()
        if key not in self._told:
            mazes = as_batch(maze)
            encoded = encode_as(mazes, *random_order(mazes, encoding_rng(self.run.seed)))
            layers = {self.run.locations.writing.layer}
            if len(self._told) >= MOST_KEPT:
                del self._told[next(iter(self._told))]
            self._told[key] = Told(encoded, ReadLists.of(self.run.model, encoded.lists, layers))
        return self._told[key]

    def edit(self, scene: Scene) -> Edit | None:
        """The edit inside the model; None if there is none."""
        conditions = self.conditions(scene)
        if not conditions:
            return None
        encoded = self.told(scene.maze).encoded
        return self.run.edit(encoded, scene.added, scene.removed, conditions, self.known(scene))

    def answer(self, scene: Scene) -> Answer:
        """BadInput for a question from a cell to itself, and for a change that the run cannot
        make."""
        maze, edited = scene.maze, scene.edited
        if maze.origin == maze.target:
            raise BadInput(f"Start and target are both {maze.origin}; choose two cells.")
        told = self.told(maze)
        if (maze.origin, maze.target) not in told.walks:
            told.walks[maze.origin, maze.target] = self._walk(told.lists.prefix, maze)
        before = told.walks[maze.origin, maze.target]
        prefix, after = told.lists.prefix, before
        if scene.changed:
            if scene.method == TOLD:
                _at_least_one(edited)
                prefix = self.told(edited).lists.prefix
            elif edit := self.edit(scene):
                prefix = told.lists.edited(edit)
            after = self._walk(prefix, edited)
        either = as_batch(Maze(maze.grid, maze.bits | edited.bits, maze.origin, maze.target))
        return Answer(
            scene,
            before,
            after,
            beliefs(self.run.model, prefix, either),
            tuple(self.conditions(scene)),
        )

    @torch.inference_mode()
    def _walk(self, prefix: Prefix, guessed: Maze) -> Walk:
        """The rollout behind a prompt. The guess, a maze's shortest path, saves time only."""
        model, asked = self.run.model, as_batch(guessed)
        cells = rollouts(model, prefix, questions_of(asked))[0, 0]
        path = cells[np.logical_and.accumulate(cells >= 0)].astype(int)
        vocabulary = Vocabulary(guessed.grid.n)
        question = encode_questions(guessed.grid, asked.origin, asked.target)
        tokens = np.concatenate([question[0], path + vocabulary.first_cell])
        layout = Layout.questions(len(prefix), [(1, len(tokens))], model.device)
        logits = model.ask(prefix, torch.from_numpy(tokens)[None].to(model.device), layout)
        share = logits[0, -len(path) - 1 :].float().softmax(dim=-1).cpu()
        top = share.topk(MOST_LIKELY, dim=-1)
        names = vocabulary.names
        steps = tuple(
            Step(
                names[token],
                tuple((names[i], float(p)) for i, p in zip(ids.tolist(), ps.tolist(), strict=True)),
            )
            for token, ids, ps in zip(
                tokens[-len(path) - 1 :].tolist(), top.indices, top.values, strict=True
            )
        )
        return Walk(as_cells(path, guessed.grid.n), steps)


def as_cells(path: Int[np.ndarray, " step"], n: int) -> tuple[Cell, ...]:
    """Cell numbers as rows and columns."""
    return tuple((int(cell) // n, int(cell) % n) for cell in path)


def wrong_steps(maze: Maze, path: tuple[Cell, ...]) -> Bool[np.ndarray, " step"]:
    """Which steps of a path are not along a connection of a maze."""
    steps = [(maze.number(a), maze.number(b)) for a, b in zip(path, path[1:], strict=False)]
    which = [int(maze.grid.connection_of[step]) for step in steps]
    return np.array([e < 0 or not maze.bits[e] for e in which], bool)


def _at_least_one(edited: Maze) -> None:
    if not edited.bits.any():
        raise BadInput("The maze in the prompt would have no connection left.")
