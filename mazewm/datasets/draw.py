"""The data sets of a study, drawn from parameters and a seed: three splits and the overload set
(docs/science.md#mazes).

1. Each family draws connection sets. The canonical form of a set decides which split it belongs to,
   so that **no held-out connection set is a training set turned, mirrored or moved**.
2. Origin and target are two different cells drawn at random from the cells with a connection.
3. A maze whose shortest path is not unique is drawn again. Outside training, so is a question
   (connection set, origin, target) that was drawn before.

Splits: ``train``; ``validation``, on which everything is chosen (sites, doses, trees); ``test``, on
which results are reported. The fourth data set, ``overload``, has mazes with more connections than
any training maze.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool, Int
from pydantic import Field, model_validator

from mazewm.datasets.families import FamilyParams, connection_sets
from mazewm.datasets.splits import SPLITS, Splits, deal
from mazewm.io.errors import BadInput
from mazewm.io.params import Params
from mazewm.maze.lattice import Lattice, lattice
from mazewm.maze.mazes import Mazes, solve
from mazewm.maze.truths import touched_cells

BATCH = 20_000  # mazes drawn at once
N_DEALT = 10_000  # draws of each family and number of cells from which the splits are made
MOST_IDLE = 5  # batches in a row without any maze to keep, after which drawing stops


class MazeParams(Params):
    """The section ``mazes`` of params.yaml: which data sets are generated, and how large."""

    world: Literal["all", "trees"]  # all families, or only those without a cycle
    # n of the n x n lattice whose cells have a token; their numbers are stored in 16 bits
    vocabulary_size: Annotated[int, Field(ge=2, le=181)]
    families: dict[str, FamilyParams]
    overload: FamilyParams  # mazes with more connections than any training maze
    n_train: Annotated[int, Field(gt=0)]
    n_validation: Annotated[int, Field(gt=0)]
    n_test: Annotated[int, Field(gt=0)]
    n_overload: Annotated[int, Field(gt=0)]
    held_out_share: Annotated[float, Field(gt=0, lt=1)]  # half of it for validation, half for test

    @model_validator(mode="after")
    def _fits_the_vocabulary(self) -> "MazeParams":
        for name, family in [*self.families.items(), ("overload", self.overload)]:
            if family.size > self.vocabulary_size:
                larger = f"larger than vocabulary_size {self.vocabulary_size}"
                raise ValueError(f"family {name} has size {family.size}, {larger}")
        if not self.families_of("train"):
            kind = "without a cycle " if self.world == "trees" else ""
            raise ValueError(f"expected at least one family {kind}in world {self.world}")
        return self

    @model_validator(mode="after")
    def _overload_is_more(self) -> "MazeParams":
        fewest = self.overload.n_connections[0]
        most, name = max((one.n_connections[1], name) for name, one in self.families_of("train"))
        if fewest <= most:
            raise ValueError(
                f"expected overload mazes of more connections than any of training, "
                f"which may have {most} (family {name}); overload mazes may have {fewest}"
            )
        return self

    def families_of(self, data_set: str) -> list[tuple[str, FamilyParams]]:
        """The families of a data set with their names. A family of several numbers of cells is
        split into one family for each (``FamilyParams.by_size``)."""
        if data_set == "overload":
            return [("overload", part) for part in self.overload.by_size()]
        chosen = [one for one in self.families.items() if self.world == "all" or one[1].is_acyclic]
        return [(name, part) for name, family in chosen for part in family.by_size()]


def random_ends(
    rng: np.random.Generator,
    touched: Bool[np.ndarray, "maze cell"],
) -> tuple[Int[np.ndarray, " maze"], Int[np.ndarray, " maze"]]:
    """An origin and a target for each maze: two different cells, drawn evenly from its touched
    cells, of which it must have at least two."""
    ends = np.argsort(rng.random(touched.shape) * touched, axis=1)[:, -2:]
    return ends[:, 1], ends[:, 0]


def draw(
    rng: np.random.Generator,
    grid: Lattice,
    name: str,
    family: FamilyParams,
    n_mazes: int,
) -> Mazes:
    """Draw ``n_mazes`` connection sets of one family, each with one question. Only those whose
    shortest path is unique are returned."""
    return ask(rng, grid, name, connection_sets(rng, grid, family, n_mazes))


def ask(
    rng: np.random.Generator,
    grid: Lattice,
    name: str,
    connections: Bool[np.ndarray, "maze connection"],
) -> Mazes:
    """Draw an origin and a target for each connection set. Sets without any connection, and those
    whose shortest path is not unique, are left out."""
    connections = connections[connections.any(axis=1)]
    origin, target = random_ends(rng, touched_cells(grid, connections))
    return solve(grid, connections, origin, target, np.full(len(connections), name))


def concatenate(parts: list[Mazes]) -> Mazes:
    """Several batches as one, with new maze_ids from 0 on."""
    names = ("family", "connections", "origin", "target", "path")
    columns = [np.concatenate([getattr(p, name) for p in parts]) for name in names]
    return Mazes(parts[0].grid, np.arange(len(columns[0])), *columns)


def questions(mazes: Mazes) -> list[bytes]:
    """A key for each question: equal for the same connection set, origin and target only."""
    ends = np.stack([mazes.origin, mazes.target], axis=1).astype(np.int16)
    whole = np.concatenate([np.packbits(mazes.connections, axis=1), ends.view(np.uint8)], axis=1)
    return [row.tobytes() for row in whole]


@dataclass
class Sampler:
    """Draws the mazes of one data set. Outside training, no question is drawn twice."""

    rng: np.random.Generator
    splits: Splits
    data_set: str  # one of SPLITS, or overload
    asked: set[bytes] = field(default_factory=set)

    def fill(self, families: list[tuple[str, FamilyParams]], n: int) -> Mazes:
        """``n`` mazes, shuffled, of which each family has its share. BadInput if a family has too
        few different questions."""
        total = sum(family.share for _, family in families)
        so_far, parts = 0.0, list[Mazes]()
        for name, family in families:
            so_far += family.share
            parts += self._of(name, family, round(n * so_far / total) - sum(map(len, parts)))
        together = concatenate(parts)
        return concatenate([together[self.rng.permutation(len(together))]])

    def _of(self, name: str, family: FamilyParams, n: int) -> list[Mazes]:
        """``n`` mazes of a family, in several batches."""
        parts, missing, n_draws, idle = list[Mazes](), n, min(BATCH, n), 0
        while missing > 0:
            found = self._once(name, family, n_draws, missing)
            parts.append(found)
            missing -= len(found)
            # As many draws as should suffice by the yield of the last ones, and 10 % more.
            estimate = 1.1 * missing * n_draws / max(len(found), 1)
            n_draws = max(1000, min(BATCH, int(estimate)))
            idle = 0 if len(found) else idle + 1
            if idle == MOST_IDLE:
                cells = f" with trees of {family.min_cells} cells" if family.min_cells else ""
                raise BadInput(
                    f"params.yaml: mazes.n_{self.data_set}: expected at most as many mazes of "
                    "family "
                    f"{name}{cells} as can be drawn (no question may come twice), {n - missing:,}, "
                    f"found {n:,}; a larger lattice or another mazes.held_out_share may give more."
                )
        return parts

    def _once(self, name: str, family: FamilyParams, n_draws: int, most: int) -> Mazes:
        """The mazes of the data set among ``n_draws`` draws, at most ``most``."""
        connections = connection_sets(self.rng, self.splits.grid, family, n_draws)
        if self.data_set in SPLITS:
            connections = connections[self.splits.of(connections) == self.data_set]
        mazes = ask(self.rng, self.splits.grid, name, connections)
        if self.data_set == "train":
            return mazes[:most]
        new = list[int]()
        for i, question in enumerate(questions(mazes)):
            if question not in self.asked and len(new) < most:
                self.asked.add(question)
                new.append(i)
        return mazes[np.array(new, int)]


def splits_of(params: MazeParams, rng: np.random.Generator) -> Splits:
    """The splits of the families' connection sets, made from a first draw of N_DEALT sets of each
    family and number of cells."""
    grid = lattice(params.vocabulary_size)
    families = params.families_of("train")
    drawn = [connection_sets(rng, grid, family, N_DEALT) for _, family in families]
    return deal(grid, np.concatenate(drawn), params.held_out_share)


def generate(params: MazeParams, seed: int) -> dict[str, Mazes]:
    """The data sets by name: train, validation, test and overload. The mazes depend on the
    parameters and the seed only. BadInput if a data set is larger than the number of different
    questions that can be drawn for it."""
    sizes = {
        "train": params.n_train,
        "validation": params.n_validation,
        "test": params.n_test,
        "overload": params.n_overload,
    }
    splits = splits_of(params, np.random.default_rng([seed, len(sizes)]))
    sets = {}
    for number, (name, n) in enumerate(sizes.items()):
        sampler = Sampler(np.random.default_rng([seed, number]), splits, name)
        sets[name] = sampler.fill(params.families_of(name), n)
    return sets
