"""From parameters and a seed to the data sets of a study: training, validation and test mazes, and the overload set.

1. Each family draws connection sets. A set belongs to one split only, decided by the hash of its canonical form, so that **no
   held-out connection set is one of training turned, mirrored or moved**.
2. Origin and target are two different cells drawn at random from the cells that the maze touches.
3. Mazes whose shortest path is not unique are drawn again, and in the held-out sets and the overload set so is a question (connection set,
   origin, target) that was asked before.

Splits: ``train``; ``validation`` (every choice is made here: sites, doses, trees); ``test`` (what is reported). Besides them
``overload``, mazes with more connections than any training maze.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from mazewm.errors import BadInput
from mazewm.maze import generators
from mazewm.maze.lattice import Lattice, lattice
from mazewm.maze.mazes import Mazes, solve
from mazewm.maze.symmetry import canonical_form
from mazewm.maze.truths import touched_cells
from mazewm.params import Params

SPLITS = ("train", "validation", "test")
BATCH = 20_000  # mazes drawn in lockstep
MOST_IDLE = 5  # batches in a row without a question that is wanted: then there are no more


class FamilyParams(Params):
    """One family of mazes and its share of the data."""

    generator: Literal["dfs", "loop", "wilson", "percolation"]
    size: Annotated[int, Field(ge=2)]
    # dfs and loop: cells of the tree, drawn evenly between the two
    min_cells: Annotated[int, Field(ge=2)] | None = None
    max_cells: Annotated[int, Field(ge=2)] | None = None
    p: Annotated[float, Field(gt=0, lt=1)] | None = None  # percolation: share of open connections
    share: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _fits_its_generator(self) -> "FamilyParams":
        low, high = self.min_cells, self.max_cells
        if self.generator in ("dfs", "loop"):
            least = 4 if self.generator == "loop" else 2
            if low is None or high is None or not least <= low <= high <= self.size**2:
                raise ValueError(
                    f"a {self.generator} family needs {least} <= min_cells <= max_cells <= size*size = {self.size**2}"
                )
        elif low is not None or high is not None:
            raise ValueError("min_cells and max_cells belong to dfs and loop families only")
        if (self.p is not None) != (self.generator == "percolation"):
            raise ValueError("p belongs to percolation families, and they need it")
        return self

    @property
    def is_acyclic(self) -> bool:
        """Whether all its mazes are trees."""
        return self.generator in ("dfs", "wilson")

    @property
    def n_connections(self) -> tuple[int, int]:
        """The fewest and the most connections that a maze of the family may have."""
        if self.generator == "percolation":
            return 1, 2 * self.size * (self.size - 1)
        low, high = self.min_cells or self.size**2, self.max_cells or self.size**2
        extra = 0 if self.is_acyclic else 1
        return low - 1 + extra, high - 1 + extra


class MazeParams(Params):
    """What generate_mazes makes."""

    world: Literal["all", "trees"]  # all families, or those without a cycle only
    vocabulary_size: Annotated[int, Field(ge=2)]  # n of the n x n lattice whose cells have a token
    families: dict[str, FamilyParams]
    overload: FamilyParams  # mazes with more connections than any training maze
    n_train: Annotated[int, Field(gt=0)]
    n_validation: Annotated[int, Field(gt=0)]
    n_test: Annotated[int, Field(gt=0)]
    n_overload: Annotated[int, Field(gt=0)]
    held_out_share: Annotated[float, Field(gt=0, lt=1)]  # of canonical forms, halved between validation and test

    @model_validator(mode="after")
    def _fits_the_vocabulary(self) -> "MazeParams":
        for name, family in [*self.families.items(), ("overload", self.overload)]:
            if family.size > self.vocabulary_size:
                raise ValueError(
                    f"family {name} has size {family.size}, larger than vocabulary_size {self.vocabulary_size}"
                )
        if not self.families_of("train"):
            raise ValueError(f"expected at least one family of trees or, with world: all, of any kind; world is {self.world}")
        return self

    @model_validator(mode="after")
    def _overload_is_more(self) -> "MazeParams":
        fewest = self.overload.n_connections[0]
        for name, family in self.families_of("train").items():
            most = family.n_connections[1]
            if fewest <= most:
                raise ValueError(
                    f"overload may have mazes of {fewest} connections; expected more than the {most} of the largest of family {name}"
                )
        return self

    def families_of(self, data_set: str) -> dict[str, FamilyParams]:
        """The families that a data set is drawn from, by name."""
        if data_set == "overload":
            return {data_set: self.overload}
        return {name: family for name, family in self.families.items() if self.world == "all" or family.is_acyclic}


def connection_sets(rng: np.random.Generator, grid: Lattice, family: FamilyParams, n_mazes: int) -> np.ndarray:
    """``[maze, connection]`` bits on the vocabulary lattice ``grid``."""
    if family.generator in ("dfs", "loop"):
        assert family.min_cells is not None and family.max_cells is not None
        n_visit = rng.integers(family.min_cells, family.max_cells + 1, size=n_mazes)
        grow = generators.dfs if family.generator == "dfs" else generators.loop
        inner = grow(rng, family.size, n_visit)
    elif family.generator == "wilson":
        inner = generators.wilson(rng, family.size, n_mazes)
    else:
        assert family.p is not None
        inner = generators.percolation(rng, family.size, n_mazes, family.p)
    connections = np.zeros((n_mazes, grid.n_connections), bool)
    connections[:, grid.corner_connections(family.size)] = inner
    return connections


def set_hash(connections: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for each connection set: the same for equal sets, and as good as random over different ones."""
    weights = np.random.default_rng(0x6D617A65).integers(2**64, size=connections.shape[1], dtype=np.uint64)
    mixed = (connections * weights).sum(axis=1, dtype=np.uint64)
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(32)
    return mixed / 2**64


def split_of(grid: Lattice, connections: np.ndarray, held_out_share: float) -> np.ndarray:
    """The name of the split that each connection set belongs to: one for all sets of the same canonical form."""
    u = set_hash(canonical_form(grid, connections))
    return np.where(u >= held_out_share, "train", np.where(u >= held_out_share / 2, "validation", "test"))


def random_ends(rng: np.random.Generator, touched: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two different cells of each maze, drawn evenly from those that it touches (at least two)."""
    ends = np.argsort(rng.random(touched.shape) * touched, axis=1)[:, -2:]
    return ends[:, 1], ends[:, 0]


def draw(rng: np.random.Generator, grid: Lattice, name: str, family: FamilyParams, n_mazes: int) -> Mazes:
    """Up to ``n_mazes`` mazes of one family: those of that many draws that have a unique shortest path."""
    return ask(rng, grid, name, connection_sets(rng, grid, family, n_mazes))


def ask(rng: np.random.Generator, grid: Lattice, name: str, connections: np.ndarray) -> Mazes:
    """One question about each connection set that has any connection, if it has a unique shortest path."""
    connections = connections[connections.any(axis=1)]
    origin, target = random_ends(rng, touched_cells(grid, connections))
    return solve(grid, connections, origin, target, np.full(len(connections), name))


def concatenate(parts: list[Mazes]) -> Mazes:
    """One batch, numbered anew."""
    names = ("family", "connections", "origin", "target", "path")
    columns = [np.concatenate([getattr(p, name) for p in parts]) for name in names]
    return Mazes(parts[0].grid, np.arange(len(columns[0])), *columns)


def questions(mazes: Mazes) -> list[bytes]:
    """What tells each question (connection set, origin, target) from all others."""
    ends = np.stack([mazes.origin, mazes.target], axis=1).astype(np.int16)
    whole = np.concatenate([np.packbits(mazes.connections, axis=1), ends.view(np.uint8)], axis=1)
    return [row.tobytes() for row in whole]


def draw_set(rng: np.random.Generator, params: MazeParams, data_set: str, n_mazes: int) -> Mazes:
    """``n_mazes`` mazes of a data set, its families in their shares, shuffled."""
    families = params.families_of(data_set)
    total = sum(family.share for family in families.values())
    so_far, parts, asked = 0.0, list[Mazes](), set[bytes]()
    for name, family in families.items():
        so_far += family.share
        n = round(n_mazes * so_far / total) - sum(map(len, parts))
        parts += _of_family(rng, params, data_set, name, n, asked)
    together = concatenate(parts)
    return concatenate([together[rng.permutation(len(together))]])


def _of_family(
    rng: np.random.Generator, params: MazeParams, data_set: str, name: str, n: int, asked: set[bytes]
) -> list[Mazes]:
    """``n`` mazes of one family in parts; but for training, none that asks what is in ``asked``, which grows."""
    grid, family = lattice(params.vocabulary_size), params.families_of(data_set)[name]
    parts, missing, idle = list[Mazes](), n, 0
    while missing > 0:
        connections = connection_sets(rng, grid, family, BATCH)
        if data_set in SPLITS:
            connections = connections[split_of(grid, connections, params.held_out_share) == data_set]
        found = ask(rng, grid, name, connections)
        if data_set != "train":
            found = found[_new(found, asked)]
        parts.append(found[:missing])
        missing -= len(parts[-1])
        asked.update(questions(parts[-1]) if data_set != "train" else ())
        idle = 0 if len(found) else idle + 1
        if idle == MOST_IDLE:
            raise BadInput(
                f"params.yaml: mazes.n_{data_set}: expected no more mazes of family {name} than it has different questions "
                f"(connection set, origin, target) in this data set, found {n:,}, of which {n - missing:,} could be drawn"
                + (f"; mazes.held_out_share is {params.held_out_share}." if data_set in SPLITS else ".")
            )
    return parts


def _new(mazes: Mazes, asked: set[bytes]) -> np.ndarray:
    """The first maze of each question that was not asked before."""
    first = {question: i for i, question in reversed(list(enumerate(questions(mazes)))) if question not in asked}
    return np.sort(np.fromiter(first.values(), int, len(first)))


def generate(params: MazeParams, seed: int) -> dict[str, Mazes]:
    """The data sets by name: train, validation, test, overload. The same seed gives the same mazes."""
    sizes = {
        "train": params.n_train,
        "validation": params.n_validation,
        "test": params.n_test,
        "overload": params.n_overload,
    }
    return {
        name: draw_set(np.random.default_rng([seed, number]), params, name, n)
        for number, (name, n) in enumerate(sizes.items())
    }
