"""The numbering of cells and connections."""

import numpy as np
import pytest

from mazewm.maze.lattice import lattice


def test_the_2x2_lattice_by_hand():
    grid = lattice(2)
    assert (grid.n_cells, grid.n_connections) == (4, 4)
    assert grid.ends.tolist() == [[0, 2], [1, 3], [0, 1], [2, 3]]
    assert grid.neighbours.tolist() == [
        [-1, 2, -1, 1],
        [-1, 3, 0, -1],
        [0, -1, -1, 3],
        [1, -1, 2, -1],
    ]


@pytest.mark.parametrize("n", [2, 3, 5, 7])
def test_every_adjacent_pair_has_one_number_and_no_other_pair_has(n):
    grid = lattice(n)
    numbers = []
    for a in range(n * n):
        for b in range(n * n):
            apart = abs(a // n - b // n) + abs(a % n - b % n)
            number = grid.connection_of[a, b]
            assert (number >= 0) == (apart == 1)
            if apart == 1:
                assert sorted((a, b)) == grid.ends[number].tolist()
                assert number == grid.connection_of[b, a]
                numbers.append(number)
    assert sorted(numbers) == sorted(2 * list(range(2 * n * (n - 1))))


def test_neighbours_are_the_adjacent_cells():
    grid = lattice(5)
    for cell in range(25):
        around = {other for other in grid.neighbours[cell].tolist() if other >= 0}
        assert around == set(np.flatnonzero(grid.connection_of[cell] >= 0).tolist())


def test_name():
    assert lattice(3).name(0) == "(0,0)-(1,0)"
    assert lattice(3).name(11) == "(2,1)-(2,2)"


def test_the_corner_keeps_the_names_of_its_connections():
    small, large = lattice(3), lattice(5)
    names = [large.name(number) for number in large.corner_connections(3).tolist()]
    assert names == [small.name(number) for number in range(small.n_connections)]
    assert large.corner_connections(5).tolist() == list(range(40))
