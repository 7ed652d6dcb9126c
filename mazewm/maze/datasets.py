"""From parameters and a seed to the data sets of a study: training, validation and held-out mazes, and the overload set.

1. Each family draws connection sets; a connection set belongs to one split only, decided by its hash, so that **no
   held-out maze shares its connection set with a training maze**.
2. Origin and target are two different cells drawn at random from the cells that the maze touches.
3. Mazes whose shortest path is not unique are drawn again.

Splits: ``train``; ``validation`` (every choice is made here: sites, doses, trees); ``test`` (what is reported).
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, model_validator

from mazewm.errors import BadInput
from mazewm.maze import generators
from mazewm.maze.lattice import Lattice, lattice
from mazewm.maze.mazes import Mazes, solve
from mazewm.maze.truths import touched_cells
from mazewm.params import Params

SPLITS = ("train", "validation", "test")
BATCH = 20_000  # mazes drawn in lockstep


class FamilyParams(Params):
    """One family of mazes and its share of the data."""

    generator: Literal["dfs", "wilson", "percolation"]
    size: Annotated[int, Field(ge=2)]
    min_cells: Annotated[int, Field(ge=2)] | None = None  # dfs: cells reached, drawn evenly between the two
    max_cells: Annotated[int, Field(ge=2)] | None = None
    p: Annotated[float, Field(gt=0, lt=1)] | None = None  # percolation: share of open connections
    share: Annotated[float, Field(gt=0)]

    @model_validator(mode="after")
    def _fits_its_generator(self) -> "FamilyParams":
        if self.generator == "dfs":
            if self.min_cells is None or self.max_cells is None or not self.min_cells <= self.max_cells <= self.size**2:
                raise ValueError(f"a dfs family needs min_cells <= max_cells <= size*size = {self.size**2}")
        elif self.min_cells is not None or self.max_cells is not None:
            raise ValueError("min_cells and max_cells belong to dfs families only")
        if (self.p is not None) != (self.generator == "percolation"):
            raise ValueError("p belongs to percolation families, and they need it")
        return self


class MazeParams(Params):
    """What generate_mazes makes."""

    vocabulary_size: Annotated[int, Field(ge=2)]  # n of the n x n lattice whose cells have a token
    families: dict[str, FamilyParams]
    overload: FamilyParams  # mazes with more connections than any training maze
    n_train: Annotated[int, Field(gt=0)]
    n_validation: Annotated[int, Field(gt=0)]
    n_test: Annotated[int, Field(gt=0)]
    n_overload: Annotated[int, Field(gt=0)]
    held_out_share: Annotated[float, Field(gt=0, lt=1)]  # of connection sets, halved between validation and test

    @model_validator(mode="after")
    def _fits_the_vocabulary(self) -> "MazeParams":
        for name, family in [*self.families.items(), ("overload", self.overload)]:
            if family.size > self.vocabulary_size:
                raise ValueError(f"family {name} has size {family.size}, larger than vocabulary_size {self.vocabulary_size}")
        if not self.families:
            raise ValueError("expected at least one family")
        return self


def connection_sets(rng: np.random.Generator, grid: Lattice, family: FamilyParams, n_mazes: int) -> np.ndarray:
    """``[maze, connection]`` bits on the vocabulary lattice ``grid``."""
    if family.generator == "dfs":
        assert family.min_cells is not None and family.max_cells is not None
        n_visit = rng.integers(family.min_cells, family.max_cells + 1, size=n_mazes)
        inner = generators.dfs(rng, family.size, n_visit)
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


def split_of(connections: np.ndarray, held_out_share: float) -> np.ndarray:
    """The name of the split that each connection set belongs to."""
    u = set_hash(connections)
    return np.where(u >= held_out_share, "train", np.where(u >= held_out_share / 2, "validation", "test"))


def random_ends(rng: np.random.Generator, touched: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two different cells of each maze, drawn evenly from those that it touches (at least two)."""
    ends = np.argsort(rng.random(touched.shape) * touched, axis=1)[:, -2:]
    return ends[:, 1], ends[:, 0]


def draw(rng: np.random.Generator, grid: Lattice, name: str, family: FamilyParams, n_mazes: int) -> Mazes:
    """Up to ``n_mazes`` mazes of one family: those of that many draws that have a unique shortest path."""
    connections = connection_sets(rng, grid, family, n_mazes)
    touched = touched_cells(grid, connections)
    some = touched.any(axis=1)
    connections, touched = connections[some], touched[some]
    origin, target = random_ends(rng, touched)
    return solve(grid, connections, origin, target, np.full(len(connections), name))


def concatenate(parts: list[Mazes]) -> Mazes:
    """One batch, numbered anew."""
    columns = [np.concatenate([getattr(p, name) for p in parts]) for name in ("family", "connections", "origin", "target", "path")]
    return Mazes(parts[0].grid, np.arange(len(columns[0])), *columns)


def fill(
    rng: np.random.Generator, grid: Lattice, families: dict[str, FamilyParams], split: str | None, held_out_share: float, n_mazes: int
) -> Mazes:
    """``n_mazes`` mazes of the families in their shares, from one split's connection sets (any, if ``split`` is None), shuffled."""
    total = sum(family.share for family in families.values())
    so_far, parts = 0.0, list[Mazes]()
    for name, family in families.items():
        so_far += family.share
        wanted = round(n_mazes * so_far / total) - sum(len(part) for part in parts)
        while wanted > 0:
            drawn = draw(rng, grid, name, family, BATCH)
            if split is not None:
                drawn = drawn[split_of(drawn.connections, held_out_share) == split]
            if len(drawn) == 0:
                raise BadInput(
                    f"params.yaml: mazes.held_out_share: family {name} has no connection set in the split {split}; "
                    f"expected a larger lattice or another share, found {held_out_share}."
                )
            parts.append(drawn[:wanted])
            wanted -= len(parts[-1])
    together = concatenate(parts)
    order = rng.permutation(len(together))
    shuffled = together[order]
    return Mazes(grid, np.arange(len(order)), shuffled.family, shuffled.connections, shuffled.origin, shuffled.target, shuffled.path)


def generate(params: MazeParams, seed: int) -> dict[str, Mazes]:
    """The data sets by name: train, validation, test, overload. The same seed gives the same mazes."""
    grid = lattice(params.vocabulary_size)
    sizes = {"train": params.n_train, "validation": params.n_validation, "test": params.n_test}
    sets = {}
    for number, split in enumerate(SPLITS):
        rng = np.random.default_rng([seed, number])
        sets[split] = fill(rng, grid, params.families, split, params.held_out_share, sizes[split])
    rng = np.random.default_rng([seed, len(SPLITS)])
    sets["overload"] = fill(rng, grid, {"overload": params.overload}, None, params.held_out_share, params.n_overload)
    return sets
