"""The canonical form, against one that is found with sets of coordinates."""

import numpy as np
import pytest
from toys import drawing_of

from mazewm.maze.lattice import lattice
from mazewm.maze.symmetry import canonical_form


def rows(bits):
    return [row.tobytes() for row in bits]


def assert_same_classes(n, bits):
    """Equal forms here are equal forms there, and different ones different."""
    forms, slow = (
        rows(canonical_form(lattice(n), bits)),
        [drawing_of(n, row).canonical() for row in bits],
    )
    pairs = set(zip(forms, slow, strict=True))
    assert len(pairs) == len(set(forms)) == len(set(slow))


def every_set_of_3x3():
    return np.unpackbits(np.arange(4096, dtype=">u2").view(np.uint8).reshape(-1, 2), axis=1)[
        :, 4:
    ].astype(bool)


def test_the_classes_of_all_sets_of_the_3x3_lattice():
    assert_same_classes(3, every_set_of_3x3())


@pytest.mark.parametrize("n", [4, 5, 6, 7])
def test_the_classes_of_random_sets(n):
    """Sets of few connections, so that many are equal to another; 6 and 7 need more than one word
    of 64 bits."""
    rng = np.random.default_rng(0)
    few = rng.random((503, 2 * n * (n - 1))) < 2 / (2 * n * (n - 1))
    many = rng.random((211, 2 * n * (n - 1))) < 0.5
    assert len({drawing_of(n, row).canonical() for row in few}) < len(few) / 2
    assert_same_classes(n, np.concatenate([few, many]))


@pytest.mark.parametrize("n", [3, 5, 8])
def test_turning_and_mirroring_changes_nothing(n):
    grid = lattice(n)
    bits = np.random.default_rng(1).random((97, grid.n_connections)) < 0.3
    forms = canonical_form(grid, bits)
    a, b = grid.ends.T
    images = {tuple(image) for image in grid.symmetries.tolist()}
    assert len(images) == 8 and all(sorted(image) == list(range(n * n)) for image in images)
    for image in grid.symmetries:
        turned = np.zeros_like(bits)
        turned[:, grid.connection_of[image[a], image[b]]] = bits
        assert np.array_equal(canonical_form(grid, turned), forms)


@pytest.mark.parametrize(("n", "inner"), [(4, 3), (5, 2), (9, 6)])
def test_moving_changes_nothing(n, inner):
    grid, small = lattice(n), lattice(inner)
    drawn = np.random.default_rng(2).random((83, small.n_connections)) < 0.4
    rows_, cols = np.divmod(small.ends, inner)
    forms = []
    for down in range(n - inner + 1):
        for right in range(n - inner + 1):
            a, b = ((rows_ + down) * n + cols + right).T
            moved = np.zeros((len(drawn), grid.n_connections), bool)
            moved[:, grid.connection_of[a, b]] = drawn
            forms.append(canonical_form(grid, moved))
    assert all(np.array_equal(form, forms[0]) for form in forms)


def test_a_form_is_of_its_own_class():
    grid = lattice(5)
    bits = np.random.default_rng(3).random((101, grid.n_connections)) < 0.25
    forms = canonical_form(grid, bits)
    assert [drawing_of(5, row).canonical() for row in forms] == [
        drawing_of(5, row).canonical() for row in bits
    ]
    assert np.array_equal(canonical_form(grid, forms), forms)


def test_no_connection_and_no_maze():
    grid = lattice(4)
    assert not canonical_form(grid, np.zeros((2, grid.n_connections), bool)).any()
    assert canonical_form(grid, np.zeros((0, grid.n_connections), bool)).shape == (
        0,
        grid.n_connections,
    )


def test_connections_that_touch_no_cell_of_the_first_row_or_column():
    """A turned set lies elsewhere before it is moved."""
    corner, middle = np.zeros((2, 40), bool)
    corner[lattice(5).connection_of[0, 1]] = True
    middle[lattice(5).connection_of[12, 17]] = True
    forms = canonical_form(lattice(5), np.stack([corner, middle]))
    assert np.array_equal(forms[0], forms[1]) and forms.sum() == 2
