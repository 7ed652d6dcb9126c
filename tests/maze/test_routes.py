"""All ways at once agree with the search for one way, on trees, on mazes with cycles and islands,
and where there is a choice.
"""

import numpy as np
import pytest

from mazewm.datasets import generators
from mazewm.maze.lattice import lattice
from mazewm.maze.routes import NO_WAY, routes
from mazewm.maze.truths import shortest_paths

N_MAZES = 11


def drawn(generator, n):
    rng = np.random.default_rng(0)
    if generator == "dfs":
        return generators.dfs(rng, n, rng.integers(2, n * n + 1, size=N_MAZES))
    return generators.percolation(rng, n, N_MAZES, 0.6)


@pytest.mark.parametrize("n", [2, 3, 5])
@pytest.mark.parametrize("generator", ["dfs", "percolation"])
def test_every_question_has_the_answer_of_the_search_for_one_path(generator, n):
    grid, connections = lattice(n), drawn(generator, n)
    found = routes(grid, connections)
    for target in range(0, grid.n_cells, n):
        for origin in range(grid.n_cells):
            asked = [np.full(N_MAZES, cell) for cell in (origin, target)]
            one = shortest_paths(grid, connections, *asked)
            there_is = one.length > 0
            assert np.array_equal(
                found.distance[:, origin, target], np.where(there_is, one.length - 1, NO_WAY)
            )
            assert np.array_equal(found.is_unique[:, origin, target], one.is_unique)
            if there_is.any():
                some = routes(grid, connections[there_is])
                cells = some.paths(*(cell[there_is][:, None] for cell in asked))[:, 0]
                assert np.array_equal(cells, one.cells[there_is, : cells.shape[1]])


def test_the_longest_way_of_a_large_lattice_is_exact():
    n = 13
    grid = lattice(n)
    cells = [
        row * n + (col if row % 2 == 0 else n - 1 - col) for row in range(n) for col in range(n)
    ]
    connections = np.zeros((1, grid.n_connections), bool)
    connections[0, grid.connection_of[cells[:-1], cells[1:]]] = True
    found = routes(grid, connections)
    assert found.distance[0, cells[0], cells[-1]] == n * n - 1
    assert found.paths(np.array([[cells[0]]]), np.array([[cells[-1]]]))[0, 0].tolist() == cells


def pairs(asked, maze):
    """Origins and targets of one maze's questions."""
    return list(zip(*(cells[maze].tolist() for cells in asked), strict=True))


def test_questions_are_unique_ones_drawn_evenly_and_without_repetition():
    connections = generators.percolation(np.random.default_rng(1), 3, 2, 0.7)
    found = routes(lattice(3), connections)
    may = found.is_unique & (found.distance > 0)
    rng, counts, n_draws = np.random.default_rng(0), np.zeros((2, 9, 9), int), 4000
    for _ in range(n_draws):
        asked = found.questions(rng, 5)
        assert all(len(set(pairs(asked, maze))) == 5 for maze in range(2))
        np.add.at(counts, (np.arange(2)[:, None], *asked), 1)
    assert np.array_equal(counts > 0, may)
    for maze in range(2):
        share = counts[maze][may[maze]] * may[maze].sum() / (5 * n_draws)
        assert share.min() > 0.8 and share.max() < 1.2


def test_the_shorter_questions_come_first():
    found = routes(lattice(5), drawn("dfs", 5))
    length = found.distance[
        np.arange(N_MAZES)[:, None], *found.questions(np.random.default_rng(0), 7)
    ]
    assert (np.diff(length, axis=1) >= 0).all() and len(np.unique(length)) > 4


def test_a_maze_with_fewer_questions_than_are_asked_repeats_them():
    """It never asks what is no question: from a cell to itself, to a cell that is out of reach, or
    with two answers."""
    connections = np.array([[True, False, False, False], [True, True, True, True]])
    found, rng = routes(lattice(2), connections), np.random.default_rng(0)
    for _ in range(50):
        asked = found.questions(rng, 13)
        assert sorted(set(pairs(asked, 0))) == [(0, 2), (2, 0)] and len(pairs(asked, 0)) == 13
        # Of a square all questions but the two diagonals, in both directions, have one shortest
        # path.
        assert set(pairs(asked, 1)) == {
            (a, b) for a in range(4) for b in range(4) if a != b and {a, b} not in ({0, 3}, {1, 2})
        }


def test_the_same_seed_asks_the_same():
    found = routes(lattice(3), drawn("dfs", 3))
    one, same, other = (
        pairs(found.questions(np.random.default_rng(seed), 4), 0) for seed in (0, 0, 1)
    )
    assert one == same != other
