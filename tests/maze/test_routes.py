"""All ways at once agree with the search for one way, on trees, on mazes with cycles and islands, and where there is a choice."""

from collections import Counter

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
    """Each maze's questions of a length come equally often; how often a length comes is its share among all mazes' questions."""
    grid = lattice(3)
    connections = generators.percolation(np.random.default_rng(1), 3, 2, 0.7)
    found = routes(grid, connections)
    may = found.is_unique & (found.distance > 0)
    n_of = np.array([[(found.distance[maze][may[maze]] == length).sum() for length in range(1, 9)] for maze in range(2)])
    rng, counts, n_draws = np.random.default_rng(0), np.zeros((2, 9, 9), int), 3000
    lengths = Counter()
    for _ in range(n_draws):
        asked = found.questions(rng, 5)
        assert sum(origin.shape[1] for origin, _ in asked) == 5
        # Only lengths that every maze has enough of are sure to come without repetition.
        for origin, target in asked:
            of_maze = found.distance[np.arange(2)[:, None], origin, target]
            length = of_maze.max() if (n_of[:, of_maze.max() - 1] > 0).all() else of_maze[n_of[:, of_maze.max() - 1].argmax(), 0]
            lengths[int(length)] += origin.shape[1]
            for maze in range(2):
                pairs = set(zip(origin[maze].tolist(), target[maze].tolist(), strict=True))
                assert len(pairs) == origin.shape[1]
                if n_of[maze, length - 1] >= origin.shape[1]:
                    assert (of_maze[maze] == length).all()
        every = [np.concatenate(side, axis=1) for side in zip(*asked, strict=True)]
        np.add.at(counts, (np.arange(2)[:, None], *every), 1)
    assert np.array_equal(counts > 0, may)
    share = n_of.sum(axis=0) / n_of.sum()
    for length in range(1, 9):
        assert abs(lengths[length] / (5 * n_draws) - share[length - 1]) < 0.02
        for maze in range(2):
            mine = counts[maze][may[maze] & (found.distance[maze] == length)]
            assert len(mine) == 0 or mine.max() - mine.min() < 0.25 * mine.mean() + 30


def pairs_of(asked, maze):
    return [tuple(pair) for origin, target in asked for pair in zip(origin[maze].tolist(), target[maze].tolist(), strict=True)]


def test_a_maze_without_a_length_takes_the_nearest():
    """A corridor of nine cells has questions of all lengths up to 8, a maze of one connection two of length 1."""
    grid = lattice(3)
    snake = [0, 1, 2, 5, 4, 3, 6, 7, 8]
    connections = np.zeros((2, grid.n_connections), bool)
    connections[0, grid.connection_of[snake[:-1], snake[1:]]] = True
    connections[1, grid.connection_of[3, 4]] = True
    found, rng = routes(grid, connections), np.random.default_rng(0)
    for _ in range(200):
        for origin, target in found.questions(rng, 3):
            length = found.distance[0, origin[0, 0], target[0, 0]]
            assert (found.distance[0, origin[0], target[0]] == length).all()
            assert set(zip(origin[1].tolist(), target[1].tolist(), strict=True)) <= {(3, 4), (4, 3)}
    # A star has no length above 2: whatever is longer is asked of it at length 2, and not twice before all of them are asked.
    connections[1] = False
    connections[1, grid.connection_of[[4] * 4, [1, 3, 5, 7]]] = True
    found = routes(grid, connections)
    for _ in range(200):
        asked = found.questions(rng, 4)
        lengths = [found.distance[0, origin[0, 0], target[0, 0]] for origin, target in asked]
        for (origin, target), length in zip(asked, lengths, strict=True):
            assert (found.distance[1, origin[1], target[1]] == min(length, 2)).all()
        assert len(set(pairs_of(asked, 1))) == 4


def test_a_maze_with_fewer_questions_than_are_asked_repeats_them():
    """It never asks what is no question: from a cell to itself, to a cell that is out of reach, or with two answers."""
    grid = lattice(2)
    connections = np.array([[True, False, False, False], [True, True, True, True]])
    found, rng = routes(grid, connections), np.random.default_rng(0)
    for _ in range(50):
        asked = found.questions(rng, 13)
        assert sorted(set(pairs_of(asked, 0))) == [(0, 2), (2, 0)] and len(pairs_of(asked, 0)) == 13
        # Of a square all questions but the two diagonals, in both directions, have one shortest path.
        assert set(pairs_of(asked, 1)) == {(a, b) for a in range(4) for b in range(4) if a != b and {a, b} not in ({0, 3}, {1, 2})}


def test_the_same_seed_asks_the_same():
    found = routes(lattice(3), drawn("dfs", 3))
    one, same, other = ([pairs_of(found.questions(np.random.default_rng(seed), 4), maze) for maze in range(5)] for seed in (0, 0, 1))
    assert one == same != other
