"""Mazes, their shortest paths, and the walkers: connections -> what is worked out from them.

Written from docs/science.md alone. A maze comes as ``connections``, a truth value for each pair of
adjacent cells of a square lattice; a path is a tuple of cells, numbered row by row.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import comb, isqrt

Way = tuple[int, ...]
Question = tuple[int, int]  # origin and target
Near = dict[int, list[int]]  # for each cell that the maze mentions, those that it is connected to


@dataclass(frozen=True)
class Lattice:
    """A square lattice of cells."""

    side: int

    @classmethod
    def of(cls, connections: Sequence[bool]) -> "Lattice":
        """That of a maze: 2n(n - 1) pairs are adjacent in one of n x n cells."""
        return cls((1 + isqrt(1 + 2 * len(connections))) // 2)

    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of adjacent cells in the order of ``connections``: row by row, first those above
        each other, then those side by side (docs/science.md#cell-and-connection)."""
        n = self.side
        above = [(cell, cell + n) for cell in range(n * (n - 1))]
        beside = [(cell, cell + 1) for cell in range(n * n) if cell % n < n - 1]
        return above + beside

    def apart(self, a: int, b: int) -> tuple[int, int]:
        """By how many rows and by how many columns two cells are apart."""
        return abs(a // self.side - b // self.side), abs(a % self.side - b % self.side)

    def near(self, connections: Sequence[bool]) -> Near:
        """Which cells of a maze are connected to which."""
        found: Near = {}
        for (a, b), is_open in zip(self.pairs(), connections, strict=True):
            if is_open:
                found.setdefault(a, []).append(b)
                found.setdefault(b, []).append(a)
        return found

    def blind(self, path: Way) -> float:
        """How often the blind walker takes this path, one of all shortest paths of the lattice
        (docs/science.md#walkers)."""
        rows, columns = self.apart(path[0], path[-1])
        return 1 / comb(rows + columns, rows) if len(path) == rows + columns + 1 else 0.0

    def near_sighted(self, path: Way, near: Near, sight: int = 1) -> float:
        """How often the walker who looks so many steps ahead takes this path through a maze
        (docs/science.md#walkers)."""
        chance, target = 1.0, path[-1]
        for i, step in enumerate(path[1:], 1):
            walks = list(_ahead(near, path[:i], target, sight))
            left = [
                (sum(self.apart(walk[-1], target)), len(walk) if walk[-1] == target else 0)
                for walk in walks
            ]
            nearest = [walk for walk, n in zip(walks, left, strict=True) if n == min(left)]
            if not nearest:
                return 0.0
            chance *= sum(walk[i] == step for walk in nearest) / len(nearest)
        return chance

    def at_random(self, path: Way, near: Near, sight: int) -> float:
        """How often the random walker who looks so many steps ahead takes this path through a maze
        (docs/science.md#walkers)."""
        chance, target = 1.0, path[-1]
        for i, step in enumerate(path[1:], 1):
            walks = list(_ahead(near, path[:i], target, sight))
            to_it = [walk for walk in walks if walk[-1] == target]
            shortest = min((len(walk) for walk in to_it), default=0)
            seen = [walk for walk in to_it if len(walk) == shortest] or walks
            can_take = {walk[i] for walk in seen if to_it or len(walk) == i + sight}
            chance *= (step in can_take) / len(can_take)
        return chance


def _ahead(near: Near, way: Way, target: int, n: int) -> Iterable[Way]:
    """All ways that go on for n steps, or fewer to the target, and visit no cell twice."""
    if n == 0 or way[-1] == target:
        yield way
        return
    for cell in near[way[-1]]:
        if cell not in way:
            yield from _ahead(near, (*way, cell), target, n - 1)


def with_added(connections: Sequence[bool], added: Iterable[int]) -> list[bool]:
    """The connections of a maze and those added to it, given by their numbers."""
    more = {int(one) for one in added}
    return [bool(is_open) or i in more for i, is_open in enumerate(connections)]


def unique_paths(near: Near) -> dict[Question, Way]:
    """The shortest path of every question about a maze that has only one
    (docs/science.md#question)."""
    return {(origin, path[-1]): path for origin in near for path in _from(near, origin) if path[1:]}


def _from(near: Near, origin: int) -> Iterable[Way]:
    """The only shortest paths that begin in a cell, that of no step among them."""
    paths: dict[int, Way | None] = {origin: (origin,)}  # None: of several
    at = [origin]
    while at:
        further: dict[int, Way | None] = {}
        for here in at:
            for cell in near[here]:
                if cell not in paths:
                    before = paths[here]
                    is_only = before is not None and cell not in further
                    further[cell] = (*before, cell) if before and is_only else None
        paths |= further
        at = list(further)
    return (path for path in paths.values() if path)
