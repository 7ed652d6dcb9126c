"""A run in one's hands: ask its transformer for a path, switch connections on and off inside it,
read any table.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from torch import Tensor

from mazewm.claims.effects import best_settings
from mazewm.counterfactuals.examples import Examples
from mazewm.inference.behaviour import walk
from mazewm.inference.edits import Edit, add_at
from mazewm.inference.resuming import ReadLists
from mazewm.inference.rollout import questions_of, rollouts_behind
from mazewm.interventions.conditions import Change, Condition, changed, positions
from mazewm.interventions.directions import own_latents
from mazewm.io.errors import BadInput
from mazewm.localize.locations import Locations
from mazewm.maze.lattice import Lattice
from mazewm.maze.maze import Cell, Maze
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import Encoded, encode, encoding_rng
from mazewm.model.transformer import Transformer
from mazewm.results import table
from mazewm.run import ARTIFACTS, Run
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.files import load_sae

Connections = Iterable[tuple[Cell, Cell]]


@dataclass(frozen=True)
class Answer:
    """What the transformer wrote."""

    maze: Maze  # as it stood in the prompt
    path: tuple[Cell, ...]  # the cells that it walked, up to the first token that is no cell

    @property
    def is_right(self) -> bool:
        """Whether it is the shortest path of the maze in the prompt."""
        return self.path == self.maze.path


class LoadedRun(Run):
    """A run whose model, autoencoder and tables are read when they are first asked for."""

    @cached_property
    def model(self) -> Transformer:
        """The trained transformer."""
        return Transformer.load(self.weights)

    def table(self, name: str) -> pd.DataFrame:
        """One of ``mazewm.results.TABLES`` as a data frame; BadInput if it is missing, broken, or
        of other rows."""
        return table(self, name)

    @cached_property
    def locations(self) -> Locations:
        """Where it reads connections, and where it can be made to write them."""
        return Locations.load(self.folder("activations"), self.model.params.n_layers)

    @cached_property
    def sae(self) -> SparseAutoencoder:
        """The sparse autoencoder of the place where connections are written."""
        return load_sae(self, self.locations.writing.place)

    @cached_property
    def settings(self) -> dict[str, Condition]:
        """How strongly latents are switched to add and to remove a connection: what did best on
        validation mazes."""
        ledger = self.table("ledger")
        rows = ledger[
            (ledger.site == str(self.locations.writing))
            & (ledger.method == "latents")
            & (ledger.split == "validation")
        ]
        found = {}
        for kind, some in rows.groupby("kind"):
            where, n_latents, dose = best_settings(some).iloc[0]
            found[str(kind)] = Condition("latents", where, int(n_latents), float(dose))
        return found

    @cached_property
    def grid(self) -> Lattice:
        """The lattice that it was trained on."""
        return self.mazes("test").grid

    def solve(self, maze: Maze, add: Connections = (), remove: Connections = ()) -> Answer:
        """The path that the transformer writes, with connections switched on, or one switched off,
        inside it by their latents.

        The prompt is that of ``maze`` in any case. BadInput for a maze without one and only one
        shortest path, and for connections that it has already, or has not."""
        edited, add, remove = maze, _pairs("add", add), _pairs("remove", remove)
        for a, b in add:
            edited = edited.add(a, b)
        for a, b in remove:
            edited = edited.remove(a, b)
        if maze.grid != self.grid or len(remove) > 1:
            size = f"{self.grid.n}x{self.grid.n}"
            raise BadInput(
                f"{maze!r} without {remove}: expected a maze on a {size} lattice, and one "
                "connection removed at most."
            )
        mazes, rng = Mazes.of([maze]), encoding_rng(self.seed)
        encoded = encode(mazes, rng)
        if edited == maze:
            return self._answer(maze, walk(self.model, mazes, encoded.lists)[0])
        added, removed = (
            np.array([[maze.connection(a, b) for a, b in some]], int) for some in (add, remove)
        )
        examples = Examples("several", mazes, added, removed, mazes)
        edit = self._edit(examples, encoded, self.settings["remove" if remove else "add"], rng)
        lists = ReadLists.of(self.model, encoded.lists, {edit.place.layer})
        return self._answer(
            maze, rollouts_behind(self.model, [lists.edited(edit)], questions_of(mazes))[0][0, 0]
        )

    def _edit(
        self, examples: Examples, encoded: Encoded, condition: Condition, rng: np.random.Generator
    ) -> Edit:
        """The latents of the edited connections, switched while the list is read."""
        location, ranked = self.locations.writing, self.table("latents")
        own = own_latents(ranked[ranked.site == str(location)], self.grid, condition.n_latents)
        change = Change(
            own.ids[examples.removed], own.ids[examples.added], own.mean_on[examples.added]
        )

        def push(resid: Tensor) -> Tensor:
            latents = self.sae.encode(resid)
            return (changed(latents, change, condition) - latents) @ self.sae.W_dec

        at = positions(condition.where, examples, encoded, location, rng)
        return add_at(location.place, torch.from_numpy(at).to(self.model.device), push)

    def _answer(self, maze: Maze, cells: Int[np.ndarray, " step"]) -> Answer:
        is_cell = np.logical_and.accumulate(cells >= 0)
        return Answer(
            maze,
            tuple((int(cell) // self.grid.n, int(cell) % self.grid.n) for cell in cells[is_cell]),
        )


def _pairs(what: str, connections: Connections) -> list[tuple[Cell, Cell]]:
    """The connections, known to be pairs of cells; BadInput otherwise."""
    found = list(connections)
    for each in found:
        try:
            (row, col), (other_row, other_col) = each
            is_pair = all(isinstance(n, int) for n in (row, col, other_row, other_col))
        except (TypeError, ValueError):
            is_pair = False
        if not is_pair:
            raise BadInput(
                f"{what}: expected connections such as [((1, 1), (1, 2))], found {each!r}."
            )
    return found


def load(name: str, artifacts: Path | str = ARTIFACTS) -> LoadedRun:
    """The run of a name such as ``"rotary-all-0"``, from the folder that the pipeline has written;
    BadInput if it is not there."""
    run = LoadedRun.named(name, Path(artifacts))
    if not run.weights.exists():
        raise BadInput(
            f"{run.weights}: the file is missing; expected the run {name}. `make repro` makes it."
        )
    return run
