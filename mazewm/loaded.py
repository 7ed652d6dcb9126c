"""A loaded run: let its transformer solve mazes, switch connections on and off inside it, and read
any of its tables. Start with ``mazewm.load``.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int

from mazewm.counterfactuals.pairs import Pairs
from mazewm.counterfactuals.spelling import Lists
from mazewm.inference.behaviour import walk
from mazewm.inference.edits import Edit
from mazewm.inference.resuming import ReadLists
from mazewm.inference.rollout import questions_of, rollouts_behind
from mazewm.interventions.choosing import Best, best_doses
from mazewm.interventions.directions import Dictionary, Directions, Units
from mazewm.interventions.edits import Condition, Method, Writer
from mazewm.interventions.labels import MAIN, Where, tokens_in_words
from mazewm.io.errors import BadInput
from mazewm.localize.activations import read
from mazewm.localize.directions import mean_differences
from mazewm.localize.locations import Locations
from mazewm.maze.lattice import Lattice
from mazewm.maze.maze import Cell, Maze
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import Encoded, encode, encoding_rng
from mazewm.model.transformer import Transformer
from mazewm.results import table, table_file
from mazewm.run import ARTIFACTS, Run
from mazewm.sae.autoencoder import SparseAutoencoder
from mazewm.sae.files import load_sae

Connections = Iterable[tuple[Cell, Cell]]
# by ``add``, ``remove`` or ``corridor`` (several are added), and the number of connections
Settings = dict[tuple[str, int], Condition]
PLACES: dict[str, Where] = {"add": MAIN["add"], "remove": MAIN["remove"], "corridor": "dealt"}


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
    def settings(self) -> Settings:
        """How latents are edited: at which tokens, how many latents, and with which dose. Chosen on
        validation mazes."""
        best: dict[tuple[str, int], Best] = {}
        for one in self._tried:
            known = best.get((one.kind, one.k))
            is_better = known is None or one.score > known.score
            if one.label.method == "latents" and is_better:
                best[one.kind, one.k] = one
        return {key: self._condition(one) for key, one in best.items()}

    def settings_of(self, method: str, n_units: int = 0) -> Settings:
        """How a method is used with ``n_units`` units (0 for an arrow): at the best dose of the
        nearest number of units that was tried. BadInput if the ledger has nothing of the method."""
        mine = [one for one in self._tried if one.label.method == method]
        if not mine:
            raise BadInput(
                f"{table_file(self, 'ledger')}: no edit by {method} at the writing site; expected "
                "some of validation mazes."
            )
        found: Settings = {}
        for kind, k in dict.fromkeys((one.kind, one.k) for one in mine):
            nearest = min(
                (one for one in mine if (one.kind, one.k) == (kind, k)),
                key=lambda one: (abs(one.label.n_units - n_units), one.label.n_units),
            )
            condition = self._condition(nearest)
            found[kind, k] = replace(condition, method=Method(method, n_units))
        return found

    @cached_property
    def _tried(self) -> list[Best]:
        """Every method at its best dose on validation mazes, where it is mainly written."""
        ledger, site = self.table("ledger"), self.locations.writing
        rows = ledger[(ledger.split == "validation") & (ledger.place == str(site.place))]
        return [
            one
            for one in best_doses(rows)
            if one.kind in PLACES and one.label.tokens == tokens_in_words(site, PLACES[one.kind])
        ]

    def _condition(self, one: Best) -> Condition:
        method = Method(one.label.method, one.label.n_units)
        return Condition(method, self.locations.writing, PLACES[one.kind], one.label.dose)

    @cached_property
    def known(self) -> dict[str, Directions]:
        """The latents of every connection, where those that are written were chosen."""
        source, units = self.locations.writing.source, self.table("units")
        mine = units[(units.site == str(source)) & (units.method == "latents")]
        if mine.empty:
            raise BadInput(
                f"{table_file(self, 'units')}: no latents at {source}; expected those of every "
                "connection."
            )
        wide = mine.pivot(index="connection", columns="rank")
        ids, correlation, mean_on = (
            wide[name].to_numpy() for name in ("unit", "correlation", "mean_on")
        )
        one = Dictionary(self.sae, Units(ids, correlation), mean_on)
        return {str(source): Directions(source, {"latents": one}, {}, Units(ids, correlation))}

    @cached_property
    def known_arrows(self) -> dict[str, Directions]:
        """The mean difference of every connection, where it is written. Random directions are as
        long."""
        source, nothing = self.locations.writing.source, np.zeros((self.grid.n_connections, 0))
        train = read(self.folder("activations") / "trained" / "train" / str(source.place)).at(
            source.token_class
        )
        difference = mean_differences(train.values, train.connection, self.grid.n_connections)
        none = Units(nothing.astype(int), nothing)
        return {str(source): Directions(source, {}, {"mean_difference": difference}, none)}

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
            np.array([maze.connection(a, b) for a, b in some], int) for some in (add, remove)
        )
        edit = self.edit(
            encoded, added, removed, conditions_of(self.settings, len(add), len(remove)), self.known
        )
        lists = ReadLists.of(self.model, encoded.lists, {edit.place.layer})
        return self._answer(
            maze, rollouts_behind(self.model, [lists.edited(edit)], questions_of(mazes))[0][0, 0]
        )

    def edit(
        self,
        encoded: Encoded,
        added: Int[np.ndarray, " n"],
        removed: Int[np.ndarray, " m"],
        conditions: Sequence[Condition],
        known: Mapping[str, Directions],
    ) -> Edit:
        """The edit of one encoded maze that adds and removes connections inside the model, by
        ``conditions_of`` settings. ``known`` has what they write: ``known`` for latents,
        ``known_arrows`` for other methods."""
        before = np.zeros((1, self.grid.n_connections), bool)
        before[0, encoded.order[0]] = True
        nothing = np.array([-1])
        pairs = Pairs("add", self.grid, nothing, before, added[None], removed[None], nothing)
        lists = Lists(encoded.lists, encoded.lists, encoded.order)
        return Writer(pairs, lists, known, self.seed).edit(conditions)

    def _answer(self, maze: Maze, cells: Int[np.ndarray, " step"]) -> Answer:
        is_cell = np.logical_and.accumulate(cells >= 0)
        return Answer(
            maze,
            tuple((int(cell) // self.grid.n, int(cell) % self.grid.n) for cell in cells[is_cell]),
        )


def conditions_of(settings: Settings, n_added: int, n_removed: int) -> list[Condition]:
    """What is edited at once; several connections are added as was best for the nearest number of
    them that was tried, and several removed as one is. BadInput if the settings have no such
    edit."""
    wanted = [("add", 1)] if n_added == 1 else []
    if n_added > 1:
        tried = [k for kind, k in settings if kind == "corridor" and k > 1]
        if not tried:
            raise BadInput(
                f"add: expected one connection, found {n_added}; the run's ledger has no "
                "corridors of several."
            )
        wanted.append(("corridor", min(tried, key=lambda k: (abs(k - n_added), k))))
    if n_removed:
        wanted.append(("remove", 1))
    for kind, k in wanted:
        if (kind, k) not in settings:
            raise BadInput(
                f"{kind}: the run's ledger has no edit of this kind; expected one of {k}."
            )
    return [settings[key] for key in wanted]


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
