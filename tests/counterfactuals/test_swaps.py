"""What swaps promise, by the drawings' own search; and that none that fits is left out."""

from collections import Counter

import numpy as np
import pytest
from circuits.planted_circuit import trees
from toys import WHOLE, Drawing, batch, draw, drawing_of

from mazewm.counterfactuals.swaps import MOST_PER_MAZE, swaps
from mazewm.maze.mazes import Mazes

MAZES = trees(53)
EVERY = [((r, c), (r + 1, c)) for r in range(2) for c in range(3)] + [
    ((r, c), (r, c + 1)) for r in range(3) for c in range(2)
]
EDGES = [frozenset(pair) for pair in EVERY]


def drawings(mazes: Mazes) -> list[Drawing]:
    return [
        drawing_of(3, *row)
        for row in zip(mazes.connections, mazes.origin, mazes.target, strict=True)
    ]


def cells_of(path):
    return [divmod(int(cell), 3) for cell in path if cell >= 0]


def possible(drawing: Drawing) -> set[tuple[frozenset, frozenset]]:
    """Every (removed, added) that fits, by trying all."""
    [path] = drawing.shortest_paths()
    touched = set().union(*drawing.pairs)
    found = set()
    for removed in map(frozenset, zip(path, path[1:], strict=False)):
        for added in EDGES:
            after = Drawing(3, drawing.pairs - {removed} | {added}, drawing.origin, drawing.target)
            if added not in drawing.pairs and added <= touched and len(after.shortest_paths()) == 1:
                found.add((removed, added))
    return found


@pytest.fixture(scope="module")
def every():
    return swaps(MAZES, np.random.default_rng(0), 10_000)


def test_a_swap_moves_one_connection_and_the_path(every):
    assert len(every) > 100
    for nth, (before, after) in enumerate(
        zip(drawings(every.mazes), drawings(every.swapped), strict=True)
    ):
        removed, added = EDGES[every.removed[nth]], EDGES[every.added[nth]]
        assert (removed, added) in possible(before)
        assert after.pairs == before.pairs - {removed} | {added}
        assert (after.origin, after.target) == (before.origin, before.target)
        [old], [new] = before.shortest_paths(), after.shortest_paths()
        assert (
            cells_of(every.mazes.path[nth]) == old
            and cells_of(every.swapped.path[nth]) == new != old
        )
    assert (every.mazes.maze_id == every.swapped.maze_id).all()


def test_every_maze_gives_as_many_as_it_can_up_to_the_most(every):
    given = Counter(every.mazes.maze_id.tolist())
    fits = {
        int(id): possible(drawing)
        for id, drawing in zip(MAZES.maze_id, drawings(MAZES), strict=True)
    }
    assert given == {id: min(MOST_PER_MAZE, len(some)) for id, some in fits.items() if some}
    assert any(len(some) > MOST_PER_MAZE for some in fits.values()) and not all(fits.values())
    pairs = list(zip(every.mazes.maze_id, every.removed, every.added, strict=True))
    assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("n", [7, 61])
def test_swaps_are_spread_over_mazes(every, n):
    few = swaps(MAZES, np.random.default_rng(1), n)
    able = Counter(every.mazes.maze_id.tolist())
    given = Counter(few.mazes.maze_id.tolist())
    assert len(few) == n
    most = max(given.values())
    assert most == (1 if n == 7 else 2)
    assert all(given[id] >= min(most - 1, can) for id, can in able.items())


def test_draws_are_random_and_repeatable():
    one, again, other = (swaps(MAZES, np.random.default_rng(seed), 19) for seed in (0, 0, 1))
    assert np.array_equal(one.removed, again.removed) and np.array_equal(
        one.mazes.maze_id, again.mazes.maze_id
    )
    assert not np.array_equal(one.mazes.maze_id, other.mazes.maze_id)


CYCLE = draw("O-o-o\n| | |\no o o\n| | |\nT-o-o")
NO_CELL_TO_SPARE = draw("O-o o\n| |  \no-o o\n|    \nT o o")


@pytest.mark.parametrize(
    "drawing, n", [(CYCLE, 2), (NO_CELL_TO_SPARE, 0)], ids=["cycle", "no cell to spare"]
)
def test_mazes_with_cycles(drawing, n):
    """The second one has another way round, but all connections that are absent lead to cells that
    it does not spell."""
    assert min(MOST_PER_MAZE, len(possible(drawing))) == n
    found = swaps(batch(drawing), np.random.default_rng(0), 100)
    pairs = {
        (EDGES[removed], EDGES[added])
        for removed, added in zip(found.removed, found.added, strict=True)
    }
    assert len(found) == len(pairs) == n and pairs <= possible(drawing)


def test_there_may_be_none_and_a_part_can_be_picked(every):
    assert len(swaps(batch(WHOLE), np.random.default_rng(0), 5)) == 0
    part = every[np.array([2, 5])]
    assert len(part) == 2 and part.added.tolist() == every.added[[2, 5]].tolist()
    assert np.array_equal(part.swapped.path, every.swapped.path[[2, 5]])
