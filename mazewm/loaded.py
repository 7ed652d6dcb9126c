"""A loaded run: let its transformer solve mazes, switch connections on and off inside it, and read
any of its tables. Start with ``mazewm.load``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int

from mazewm.counterfactuals.pairs import Pairs
from mazewm.counterfactuals.spelling import Lists
from mazewm.inference.behaviour import walk
from mazewm.inference.resuming import ReadLists
from mazewm.inference.rollout import questions_of, rollouts_behind
from mazewm.interventions.choosing import Best, best_doses
from mazewm.interventions.directions import Dictionary, Directions, Units
from mazewm.interventions.edits import Condition, Method, Writer
from mazewm.interventions.labels import MAIN, Where, tokens_in_words
from mazewm.io.errors import BadInput
from mazewm.localize.locations import Locations
from mazewm.maze.lattice import Lattice
from mazewm.maze.maze import Cell, Maze
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import encode, encoding_rng
from mazewm.model.transformer import Transformer
from mazewm.results import table
from mazewm.run import ARTIFACTS, Run
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.files import load_sae

Connections = Iterable[tuple[Cell, Cell]]


@dataclass(frozen=True)
class Answer:
    """The path that the transformer wrote for a maze."""

    maze: Maze  # the maze in the prompt, without edits
    path: tuple[Cell, ...]  # the cells of the rollout, up to the first token that is not a cell

    @property
    def is_right(self) -> bool:
        """Whether ``path`` is the shortest path of the maze in the prompt."""
        return self.path == self.maze.path


class LoadedRun(Run):
    """A run with its model and sparse autoencoder. Each is read from its file when first used;
    BadInput if a file is missing or broken."""

    @cached_property
    def model(self) -> Transformer:
        """The trained transformer."""
        return Transformer.load(self.weights)

    def table(self, name: str) -> pd.DataFrame:
        """One of ``mazewm.results.TABLES`` as a data frame. BadInput if the file is missing,
        broken, or of another row type, or if TABLES has no such name."""
        return table(self, name)

    @cached_property
    def locations(self) -> Locations:
        """The consolidation site and the writing site of the transformer."""
        return Locations.load(self.folder("locations"), self.model.params.n_layers)

    @cached_property
    def sae(self) -> SparseAutoencoder:
        """The sparse autoencoder of the writing site."""
        return load_sae(self, self.locations.writing.place)

    @cached_property
    def settings(self) -> dict[tuple[str, int], Condition]:
        """How latents are edited, by ``add``, ``remove`` or ``corridor`` (several are added) and
        the number of connections: at which tokens, how many latents, and with which dose. Chosen
        on validation mazes."""
        ledger, site = self.table("ledger"), self.locations.writing
        rows = ledger[(ledger.split == "validation") & (ledger.method == "latents")]
        places: dict[str, Where] = {**MAIN, "corridor": "dealt"}
        found: dict[tuple[str, int], Best] = {}
        for one in best_doses(rows):
            if one.kind not in places or one.label.place != str(site.place):
                continue
            is_there = one.label.tokens == tokens_in_words(site, places[one.kind])
            known = found.get((one.kind, one.k))
            if is_there and (known is None or one.score > known.score):
                found[one.kind, one.k] = one
        return {
            key: Condition(
                Method("latents", one.label.n_units), site, places[one.kind], one.label.dose
            )
            for key, one in found.items()
        }

    @cached_property
    def known(self) -> dict[str, Directions]:
        """The latents of every connection, where those that are written were chosen."""
        source, units = self.locations.writing.source, self.table("units")
        mine = units[(units.site == str(source)) & (units.method == "latents")]
        wide = mine.pivot(index="connection", columns="rank")
        ids, correlation, mean_on = (
            wide[name].to_numpy() for name in ("unit", "correlation", "mean_on")
        )
        one = Dictionary(self.sae, Units(ids, correlation), mean_on)
        return {str(source): Directions(source, {"latents": one}, {}, Units(ids, correlation))}

    @cached_property
    def grid(self) -> Lattice:
        """The lattice of the mazes that the transformer was trained on."""
        return self.mazes("test").grid

    def solve(self, maze: Maze, add: Connections = (), remove: Connections = ()) -> Answer:
        """The greedy rollout of the transformer, with connections switched on (``add``), or one
        switched off (``remove``), by edits of their SAE latents at the writing site.

        The prompt always encodes ``maze`` itself. Order and direction of its connections depend on
        the run's seed only. BadInput for a maze of another lattice or without exactly one shortest
        path, a connection that is not a pair of cells, one to add that is present, one to remove
        that is absent, or more than one to remove."""
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
        mazes = Mazes.of([maze])
        encoded = encode(mazes, encoding_rng(self.seed))
        if edited == maze:
            return self._answer(maze, walk(self.model, mazes, encoded.lists)[0])
        added, removed = (
            np.array([[maze.connection(a, b) for a, b in some]], int) for some in (add, remove)
        )
        pairs = Pairs(
            "add", self.grid, mazes.maze_id, mazes.connections, added, removed, mazes.target
        )
        lists = Lists(encoded.lists, encoded.lists, encoded.order)
        edit = Writer(pairs, lists, self.known, self.seed).edit(
            self._conditions(len(add), len(remove))
        )
        read = ReadLists.of(self.model, encoded.lists, {edit.place.layer})
        return self._answer(
            maze, rollouts_behind(self.model, [read.edited(edit)], questions_of(mazes))[0][0, 0]
        )

    def _conditions(self, n_added: int, n_removed: int) -> list[Condition]:
        """What is edited at once; several connections as was best for the nearest number of them
        that was tried."""
        found = []
        if n_added == 1:
            found.append(self.settings["add", 1])
        elif n_added:
            tried = [k for kind, k in self.settings if kind == "corridor" and k > 1]
            if not tried:
                raise BadInput(
                    f"add: expected one connection, found {n_added}; the run's ledger has no "
                    "corridors of several."
                )
            nearest = min(tried, key=lambda k: (abs(k - n_added), k))
            found.append(self.settings["corridor", nearest])
        return found + [self.settings["remove", 1] for _ in range(n_removed)]

    def _answer(self, maze: Maze, cells: Int[np.ndarray, " step"]) -> Answer:
        is_cell = np.logical_and.accumulate(cells >= 0)
        return Answer(
            maze,
            tuple((int(cell) // self.grid.n, int(cell) % self.grid.n) for cell in cells[is_cell]),
        )


def _pairs(what: str, connections: Connections) -> list[tuple[Cell, Cell]]:
    """The connections as a list; BadInput for one that is not a pair of cells. ``what`` begins the
    message."""
    found = list(connections)
    for each in found:
        try:
            (row, col), (other_row, other_col) = each
            is_pair = all(isinstance(n, int | np.integer) for n in (row, col, other_row, other_col))
        except (TypeError, ValueError):
            is_pair = False
        if not is_pair:
            raise BadInput(
                f"{what}: expected connections such as [((1, 1), (1, 2))], found {each!r}."
            )
    return found


def load(name: str, artifacts: Path | str = ARTIFACTS) -> LoadedRun:
    """The run of a name such as ``"rotary-all-0"``, from the folder that the pipeline writes to.
    BadInput for a name of another form, or if the run's weights are missing."""
    run = LoadedRun.named(name, Path(artifacts))
    if not run.weights.exists():
        raise BadInput(
            f"{run.weights}: the file is missing; expected the run {name}. `make pull` brings it "
            "if it is released, and `make repro` makes it."
        )
    return run
