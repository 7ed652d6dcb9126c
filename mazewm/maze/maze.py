"""One maze: its connections, its shortest path, and drawings of it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool

from mazewm.io.errors import BadInput
from mazewm.maze.lattice import Lattice, lattice
from mazewm.maze.truths import Paths, shortest_paths, touched_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Cell = tuple[int, int]  # (row, column), from the top left


@dataclass(frozen=True, eq=False)
class Maze:
    """A set of connections on an n x n lattice, with a question: the shortest path from ``origin``
    to ``target``. ``add`` and ``remove`` return a new maze; mazes can be compared and hashed.

    >>> connections = [((0, 0), (0, 1)), ((0, 1), (1, 1)), ((1, 1), (2, 1))]
    >>> maze = Maze.of(3, connections, origin=(0, 0), target=(2, 1))
    >>> maze.path
    ((0, 0), (0, 1), (1, 1), (2, 1))
    >>> print(maze)
    S═══o   ·
        ║
    ·   o   ·
        ║
    ·   T   ·
    >>> maze.add((0, 0), (1, 0)).add((1, 0), (1, 1)).has_one_path  # two paths of the same length
    False
    """

    grid: Lattice
    bits: Bool[np.ndarray, " connection"]  # which of the lattice's connections are present
    origin: Cell
    target: Cell

    @classmethod
    def of(
        cls, n: int, connections: Iterable[tuple[Cell, Cell]], origin: Cell, target: Cell
    ) -> "Maze":
        """A maze on an n x n lattice. BadInput for a cell outside the lattice, or a connection
        between two cells that are not adjacent."""
        grid = lattice(n)
        maze = cls(grid, np.zeros(grid.n_connections, bool), origin, target)
        for cell in (origin, target):
            maze.number(cell)
        for a, b in connections:
            maze.bits[maze.connection(a, b)] = True
        return maze

    def number(self, cell: Cell) -> int:
        """The number of a cell on the lattice; BadInput if the cell is outside."""
        row, col = cell
        if not (0 <= row < self.grid.n and 0 <= col < self.grid.n):
            raise BadInput(f"cell {cell}: expected row and column from 0 to {self.grid.n - 1}.")
        return row * self.grid.n + col

    def connection(self, a: Cell, b: Cell) -> int:
        """The number of the connection between two cells; BadInput if they are not adjacent."""
        found = int(self.grid.connection_of[self.number(a), self.number(b)])
        if found < 0:
            raise BadInput(f"connection {a} {b}: expected two cells that are next to each other.")
        return found

    def has(self, a: Cell, b: Cell) -> bool:
        """Whether two adjacent cells are connected; BadInput if they are not adjacent."""
        return bool(self.bits[self.connection(a, b)])

    def add(self, a: Cell, b: Cell) -> "Maze":
        """The maze with one more connection; BadInput if it is present already."""
        return self._with(a, b, True)

    def remove(self, a: Cell, b: Cell) -> "Maze":
        """The maze without one of its connections; BadInput if it is absent."""
        return self._with(a, b, False)

    def _with(self, a: Cell, b: Cell, is_open: bool) -> "Maze":
        if self.has(a, b) == is_open:
            raise BadInput(
                f"connection {a} {b}: the maze {'has it' if is_open else 'does not have it'}."
            )
        bits = self.bits.copy()
        bits[self.connection(a, b)] = is_open
        return replace(self, bits=bits)

    @cached_property
    def path(self) -> tuple[Cell, ...]:
        """The cells of a shortest path, with origin and target. If several are shortest, one of
        them; ``()`` if the target cannot be reached."""
        cells = self._paths.cells[0]
        return tuple(
            (int(cell) // self.grid.n, int(cell) % self.grid.n) for cell in cells[cells >= 0]
        )

    @property
    def has_one_path(self) -> bool:
        """Whether exactly one path is shortest."""
        return bool(self._paths.is_unique[0])

    @cached_property
    def _paths(self) -> Paths:
        ends = (np.array([self.number(cell)]) for cell in (self.origin, self.target))
        return shortest_paths(self.grid, self.bits[None], *ends)

    @property
    def connections(self) -> list[tuple[Cell, Cell]]:
        """The pairs of cells that are connected, the upper or left cell of each first."""
        ends = np.stack(np.divmod(self.grid.ends[self.bits], self.grid.n), axis=-1)
        return [((int(a[0]), int(a[1])), (int(b[0]), int(b[1]))) for a, b in ends]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Maze) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Lattice, Cell, Cell, bytes]:
        return self.grid, self.origin, self.target, self.bits.tobytes()

    def __repr__(self) -> str:
        n = self.grid.n
        ends = f"from {self.origin} to {self.target}"
        return f"<Maze {n}x{n}, {int(self.bits.sum())} connections, {ends}>"

    def __str__(self) -> str:
        """The maze drawn as text: S and T are origin and target, o other cells with a connection, ·
        cells without any. Double lines are the shortest path."""
        n, steps = (
            self.grid.n,
            {frozenset(step) for step in zip(self.path, self.path[1:], strict=False)},
        )
        is_touched = touched_cells(self.grid, self.bits[None])[0].reshape(n, n)
        canvas = np.full((2 * n - 1, 4 * n - 3), " ")
        for row in range(n):
            for col in range(n):
                canvas[2 * row, 4 * col] = "o" if is_touched[row, col] else "·"
        for a, b in self.connections:
            is_step = frozenset((a, b)) in steps
            if a[0] == b[0]:
                canvas[2 * a[0], 4 * a[1] + 1 : 4 * b[1]] = "═" if is_step else "─"
            else:
                canvas[2 * a[0] + 1, 4 * a[1]] = "║" if is_step else "│"
        canvas[2 * self.origin[0], 4 * self.origin[1]] = "S"
        canvas[2 * self.target[0], 4 * self.target[1]] = "T"
        return "\n".join("".join(line).rstrip() for line in canvas)

    def plot(self, path: Iterable[Cell] | None = None, ax: "Axes | None" = None) -> "Axes":
        """Draw the maze with matplotlib, with ``path`` (by default the shortest path) in blue.
        Returns the axes."""
        import matplotlib.pyplot as plt

        ax = ax or plt.subplots(figsize=(3, 3), dpi=200)[1]
        for a, b in self.connections:
            ax.plot(
                [a[1], b[1]], [a[0], b[0]], color="#D0D0D0", linewidth=12, solid_capstyle="round"
            )
        walked = list(self.path if path is None else path)
        ax.plot(
            [cell[1] for cell in walked], [cell[0] for cell in walked], color="#0072B2", linewidth=3
        )
        for name, cell in (("origin", self.origin), ("target", self.target)):
            ax.annotate(name, (cell[1], cell[0]), ha="center", va="center", fontsize=7)
        ax.set_xlim(-0.6, self.grid.n - 0.4)
        ax.set_ylim(self.grid.n - 0.4, -0.6)
        ax.set_aspect("equal")
        ax.set_axis_off()
        return ax
