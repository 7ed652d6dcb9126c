"""Families of mazes (docs/science.md#families): a generator with its parameters, and the
connection sets that it draws.
"""

from typing import Annotated, Literal

import numpy as np
from jaxtyping import Bool
from pydantic import Field, model_validator

from mazewm.datasets import generators
from mazewm.io.params import Params
from mazewm.maze.lattice import Lattice


class FamilyParams(Params):
    """One family of mazes, and its share of the data relative to the other families."""

    generator: Literal["dfs", "loop", "wilson", "percolation"]
    size: Annotated[int, Field(ge=2)]
    # dfs and loop: the number of cells of the tree, drawn evenly from this range
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
                most = f"size*size = {self.size**2}"
                raise ValueError(
                    f"a {self.generator} family needs {least} <= min_cells <= max_cells <= {most}",
                )
        elif low is not None or high is not None:
            raise ValueError("min_cells and max_cells belong to dfs and loop families only")
        if (self.p is not None) != (self.generator == "percolation"):
            raise ValueError("p belongs to percolation families, and they need it")
        return self

    @property
    def is_acyclic(self) -> bool:
        """Whether no maze of the family has a cycle."""
        return self.generator in ("dfs", "wilson")

    def by_size(self) -> list["FamilyParams"]:
        """The family split by the number of cells of its trees: one family for each number, with
        equal shares."""
        if self.min_cells is None or self.max_cells is None:
            return [self]
        sizes = range(self.min_cells, self.max_cells + 1)
        one = self.share / len(sizes)
        changes = [{"min_cells": n, "max_cells": n, "share": one} for n in sizes]
        return [self.model_copy(update=change) for change in changes]

    @property
    def n_connections(self) -> tuple[int, int]:
        """The fewest and the most connections that a maze of the family may have."""
        if self.generator == "percolation":
            return 1, 2 * self.size * (self.size - 1)
        low, high = self.min_cells or self.size**2, self.max_cells or self.size**2
        extra = 0 if self.is_acyclic else 1
        return low - 1 + extra, high - 1 + extra


def connection_sets(
    rng: np.random.Generator,
    grid: Lattice,
    family: FamilyParams,
    n_mazes: int,
) -> Bool[np.ndarray, "maze connection"]:
    """Draw connection sets of a family. They lie in the top left corner of the vocabulary lattice
    ``grid``."""
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
