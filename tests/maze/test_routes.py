"""All ways at once agree with the search for one way, on trees, on mazes with cycles and islands, and where there is a choice."""

import numpy as np
import pytest

from mazewm.maze import generators
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
            assert np.array_equal(found.distance[:, origin, target], np.where(there_is, one.length - 1, NO_WAY))
            assert np.array_equal(found.is_unique[:, origin, target], one.is_unique)
            if there_is.any():
                some = routes(grid, connections[there_is])
                cells = some.paths(*(cell[there_is][:, None] for cell in asked))[:, 0]
                assert np.array_equal(cells, one.cells[there_is, : cells.shape[1]])


def test_the_longest_way_of_a_large_lattice_is_exact():
    n = 13
    grid = lattice(n)
    cells = [row * n + (col if row % 2 == 0 else n - 1 - col) for row in range(n) for col in range(n)]
    connections = np.zeros((1, grid.n_connections), bool)
    connections[0, grid.connection_of[cells[:-1], cells[1:]]] = True
    found = routes(grid, connections)
    assert found.distance[0, cells[0], cells[-1]] == n * n - 1
    assert found.paths(np.array([[cells[0]]]), np.array([[cells[-1]]]))[0, 0].tolist() == cells


def test_questions_are_unique_ones_drawn_evenly_and_without_repetition():
    grid = lattice(3)
    connections = generators.percolation(np.random.default_rng(1), 3, 2, 0.7)
    found = routes(grid, connections)
    rng, counts = np.random.default_rng(0), np.zeros((2, 9, 9), int)
    for _ in range(4000):
        origin, target = found.pick_questions(rng, 5)
        for maze in range(2):
            pairs = set(zip(origin[maze].tolist(), target[maze].tolist(), strict=True))
            assert len(pairs) == 5
        np.add.at(counts, (np.arange(2)[:, None], origin, target), 1)
    may = found.is_unique & ~np.eye(9, dtype=bool)
    assert np.array_equal(counts > 0, may)
    for maze in range(2):
        share = counts[maze][may[maze]] / 4000 * may[maze].sum() / 5
        assert share.min() > 0.75 and share.max() < 1.25


def test_a_maze_with_few_questions_repeats_them():
    grid = lattice(2)
    connections = np.array([[True, False, False, False], [True, True, True, True]])
    origin, target = routes(grid, connections).pick_questions(np.random.default_rng(0), 5)
    assert sorted(zip(origin[0].tolist(), target[0].tolist(), strict=True)) == sorted([(0, 2), (2, 0)] * 3)[:5] or len(set(origin[0])) == 2
    # Of a square all questions but the two diagonals, in both directions, have one shortest path.
    assert all({o, t} not in ({0, 3}, {1, 2}) for o, t in zip(origin[1].tolist(), target[1].tolist(), strict=True))
