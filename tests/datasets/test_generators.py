"""What the generators promise: trees of a given size, uniform spanning trees, independent
connections.
"""

import numpy as np
import pytest
from scipy.stats import chisquare
from toys import drawing_of

from mazewm.datasets import generators
from mazewm.maze.lattice import lattice

N_SPANNING_TREES = 192  # of the 3x3 lattice, by Kirchhoff's theorem


def assert_tree(n, bits, n_cells):
    """Connected, and one connection fewer than cells."""
    drawing = drawing_of(n, bits)
    cells = {cell for pair in drawing.pairs for cell in pair}
    assert len(cells) == n_cells
    assert len(drawing.pairs) == n_cells - 1
    assert set(drawing.steps_from(next(iter(cells)))) == cells


@pytest.mark.parametrize("n", [2, 3, 5])
def test_dfs_grows_trees_of_exactly_the_cells_asked_for(n):
    n_visit = np.repeat(np.arange(2, n * n + 1), 7)
    for bits, cells in zip(
        generators.dfs(np.random.default_rng(0), n, n_visit), n_visit, strict=True
    ):
        assert_tree(n, bits, cells)


def test_dfs_over_one_cell_has_no_connection():
    assert not generators.dfs(np.random.default_rng(0), 3, np.array([1, 1])).any()


def test_dfs_over_two_cells_has_one_connection():
    assert (
        generators.dfs(np.random.default_rng(0), 3, np.full(7, 2)).sum(axis=1).tolist() == [1] * 7
    )


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_loop_is_a_tree_of_the_cells_asked_for_and_one_connection_more(n):
    n_visit = np.repeat(np.arange(4, n * n + 1), 7)
    for bits, n_cells in zip(
        generators.loop(np.random.default_rng(0), n, n_visit), n_visit, strict=True
    ):
        drawing = drawing_of(n, bits)
        cells = {cell for pair in drawing.pairs for cell in pair}
        assert len(cells) == len(drawing.pairs) == n_cells
        assert set(drawing.steps_from(next(iter(cells)))) == cells


def bits_through(cells):
    """The 3x3 lattice's corridor through these cells."""
    bits = np.zeros(12, bool)
    bits[lattice(3).connection_of[cells[:-1], cells[1:]]] = True
    return bits


def test_the_connection_that_closes_a_loop_is_drawn_evenly(monkeypatch):
    """Where the tree spirals inwards over the whole 3x3 lattice there are four places for it."""
    spiral = bits_through([0, 1, 2, 5, 8, 7, 6, 3, 4])
    monkeypatch.setattr(
        generators, "dfs", lambda rng, size, n_visit: np.tile(spiral, (len(n_visit), 1))
    )
    loops = generators.loop(np.random.default_rng(0), 3, np.full(4001, 9))
    assert loops[:, spiral].all() and (loops.sum(axis=1) == 9).all()
    assert chisquare(loops[:, ~spiral].sum(axis=0)).pvalue > 0.01


def test_a_tree_that_cannot_be_closed_is_grown_again(monkeypatch):
    """Of the corridor along two sides nothing touches but what is joined; the other goes back
    beside itself."""
    closed, can_be_closed = bits_through([0, 1, 2, 5, 8]), bits_through([0, 1, 2, 5, 4])
    grown = iter([[closed, can_be_closed, closed], [closed, can_be_closed], [can_be_closed]])
    monkeypatch.setattr(generators, "dfs", lambda rng, size, n_visit: np.stack(next(grown)))
    loops = generators.loop(np.random.default_rng(0), 3, np.full(3, 5))
    can_be_closed[lattice(3).connection_of[1, 4]] = True
    assert np.array_equal(loops, np.tile(can_be_closed, (3, 1)))
    assert next(grown, None) is None


def test_wilson_grows_spanning_trees():
    for bits in generators.wilson(np.random.default_rng(0), 5, 53):
        assert_tree(5, bits, 25)


def p_uniform(connections):
    """The p-value of "every spanning tree of the 3x3 lattice is equally likely"."""
    _, counts = np.unique(np.packbits(connections, axis=1), axis=0, return_counts=True)
    assert len(counts) <= N_SPANNING_TREES
    return chisquare(np.pad(counts, (0, N_SPANNING_TREES - len(counts)))).pvalue


def test_wilson_is_uniform_over_spanning_trees_and_dfs_is_not():
    n_mazes = N_SPANNING_TREES * 53
    assert p_uniform(generators.wilson(np.random.default_rng(0), 3, n_mazes)) > 0.01
    assert p_uniform(generators.dfs(np.random.default_rng(0), 3, np.full(n_mazes, 9))) < 1e-9


def test_percolation_opens_each_connection_independently():
    n_mazes, p = 10_007, 0.3
    connections = generators.percolation(np.random.default_rng(0), 3, n_mazes, p)
    sd = (p * (1 - p) / n_mazes) ** 0.5
    assert connections.shape == (n_mazes, 12)
    assert np.abs(connections.mean(axis=0) - p).max() < 4 * sd
    correlation = np.corrcoef(connections.T)[~np.eye(12, dtype=bool)]
    assert np.abs(correlation).max() < 5 / n_mazes**0.5


@pytest.mark.parametrize(
    "draw",
    [lambda rng: generators.wilson(rng, 3, 7), lambda rng: generators.dfs(rng, 3, np.full(7, 5))],
)
def test_the_same_seed_gives_the_same_mazes(draw):
    first, again, other = (draw(np.random.default_rng(seed)) for seed in (3, 3, 5))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
