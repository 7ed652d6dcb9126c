"""Distances, shortest paths and their uniqueness, against a search on the drawing itself."""

import numpy as np
import pytest
import toys
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import breadth_first_order
from toys import BRIDGE, HOOK, ISLANDS, LADDER, RING, drawing_of

from mazewm.maze.lattice import lattice
from mazewm.maze.truths import UNREACHABLE, distances, shortest_paths, touched_cells


def assert_truths_of(drawings):
    """All truths of a batch equal what the drawings' own search finds."""
    grid = lattice(drawings[0].n)
    connections = np.stack([d.bits for d in drawings])
    origin = np.array([d.number(d.origin) for d in drawings])
    target = np.array([d.number(d.target) for d in drawings])
    steps = distances(grid, connections, target)
    paths = shortest_paths(grid, connections, origin, target)
    touched = touched_cells(grid, connections)
    for i, drawing in enumerate(drawings):
        expected = {
            drawing.number(cell): n for cell, n in drawing.steps_from(drawing.target).items()
        }
        assert steps[i].tolist() == [
            expected.get(cell, UNREACHABLE) for cell in range(grid.n_cells)
        ]
        every = [[drawing.number(cell) for cell in path] for path in drawing.shortest_paths()]
        found = [cell for cell in paths.cells[i].tolist() if cell >= 0]
        assert found in every if every else found == []
        assert paths.cells[i, : len(found)].tolist() == found
        assert paths.length[i] == len(found)
        assert paths.is_unique[i] == (len(every) == 1)
        assert set(np.flatnonzero(touched[i]).tolist()) == {
            drawing.number(cell) for pair in drawing.pairs for cell in pair
        }


@pytest.mark.parametrize(
    "drawing",
    [HOOK, LADDER, RING, ISLANDS, BRIDGE],
    ids=["hook", "ladder", "ring", "islands", "bridge"],
)
def test_hand_drawn_mazes(drawing):
    assert_truths_of([drawing])


def test_the_answers_by_hand():
    paths = shortest_paths(lattice(3), HOOK.bits[None], np.array([0]), np.array([4]))
    assert paths.cells.tolist() == [[0, 1, 2, 5, 8, 7, 6, 3, 4]]
    assert paths.length.tolist() == [9]
    ring = shortest_paths(lattice(2), RING.bits[None], np.array([0]), np.array([3]))
    assert not ring.is_unique[0]
    assert ring.length[0] == 3
    ladder = shortest_paths(lattice(3), LADDER.bits[None], np.array([3]), np.array([2]))
    assert ladder.cells[0, :4].tolist() == [3, 4, 5, 2]
    assert ladder.is_unique[0]


def corridor(n, cells):
    """The bits of one corridor through these cells."""
    bits = np.zeros(2 * n * (n - 1), bool)
    bits[lattice(n).connection_of[cells[:-1], cells[1:]]] = True
    return bits


def serpentine(n):
    """Every row in turn, there and back."""
    cell = np.arange(n * n).reshape(n, n)
    return np.concatenate([row[:: 1 if r % 2 == 0 else -1] for r, row in enumerate(cell)])


def spiral(n):
    """From the top left corner inwards."""
    left, cells = np.arange(n * n).reshape(n, n), []
    while left.size:
        cells.append(left[0])
        left = np.rot90(left[1:])
    return np.concatenate(cells)


def searched(n, bits, source):
    """Steps from one cell to each, by scipy's search."""
    a, b = lattice(n).ends[bits].T
    graph = coo_matrix(
        (np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(n * n, n * n)
    ).tocsr()
    order, before = breadth_first_order(graph, source)
    steps = np.full(n * n, UNREACHABLE)
    steps[source] = 0
    for cell in order[1:]:
        steps[cell] = steps[before[cell]] + 1
    return steps


@pytest.mark.parametrize(("n", "length"), [(12, 144), (20, 400), (20, 201)])
@pytest.mark.parametrize("course", [serpentine, spiral])
def test_long_corridors_are_measured_exactly(n, length, course):
    cells = course(n)[:length]
    bits = corridor(n, cells)
    assert bits.sum() == length - 1
    [steps] = distances(lattice(n), bits[None], cells[:1])
    assert steps[cells].tolist() == list(range(length))
    assert np.array_equal(steps, searched(n, bits, cells[0]))
    paths = shortest_paths(lattice(n), bits[None], cells[:1], cells[-1:])
    assert paths.cells[0, :length].tolist() == cells.tolist()
    assert paths.length.tolist() == [length] and paths.is_unique[0]


def test_a_large_lattice_with_cycles_and_islands():
    n, rng = 20, np.random.default_rng(0)
    bits = rng.random((5, 2 * n * (n - 1))) < 0.55
    source = rng.integers(n * n, size=5)
    steps = distances(lattice(n), bits, source)
    assert np.array_equal(
        steps, np.stack([searched(n, row, cell) for row, cell in zip(bits, source, strict=True)])
    )
    assert steps[steps < UNREACHABLE].max() > 30 and (steps == UNREACHABLE).any()


def test_origin_and_target_in_one_cell():
    paths = shortest_paths(lattice(3), HOOK.bits[None], np.array([4]), np.array([4]))
    assert paths.cells[0].tolist() == [4, *[-1] * 8]
    assert paths.length[0] == 1
    assert paths.is_unique[0]


@pytest.mark.parametrize("n", [3, 5])
def test_random_mazes_with_cycles_and_islands(n):
    rng = np.random.default_rng(0)
    bits = rng.random((211, 2 * n * (n - 1))) < 0.55
    ends = rng.integers(n * n, size=(211, 2))
    drawings = [drawing_of(n, b, o, t) for b, (o, t) in zip(bits, ends, strict=True)]
    n_paths = [len(d.shortest_paths()) for d in drawings]
    assert min(n_paths) == 0
    assert max(n_paths) > 1
    assert_truths_of(drawings)


def test_the_drawings_are_parsed_as_drawn():
    assert toys.ISLANDS.steps_from((0, 0)) == {(0, 0): 0, (0, 1): 1, (1, 0): 1}
    assert len(BRIDGE.pairs) == 15
