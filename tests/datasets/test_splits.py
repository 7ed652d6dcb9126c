"""Classes of connection sets are dealt out to the splits, each whole, within each kind of maze."""

import numpy as np
from toys import drawing_of

from mazewm.datasets import generators, splits
from mazewm.maze.lattice import lattice


def every_set_of_3x3():
    return np.unpackbits(np.arange(4096, dtype=">u2").view(np.uint8).reshape(-1, 2), axis=1)[
        :, 4:
    ].astype(bool)


def test_hashes_differ_and_are_spread_evenly():
    every = every_set_of_3x3()
    u = splits.set_hash(every)
    assert len(np.unique(u)) == 4096
    counts, _ = np.histogram(u, bins=8, range=(0, 1))
    assert np.abs(counts / 4096 - 1 / 8).max() < 4 * (7 / 64 / 4096) ** 0.5


def trees_of(n_cells, n_mazes=1009, seed=0):
    return generators.dfs(np.random.default_rng(seed), 4, np.full(n_mazes, n_cells))


def test_a_class_is_in_one_split_whichever_mazes_were_drawn_first():
    grid = lattice(4)
    dealt = splits.deal(grid, np.concatenate([trees_of(5), trees_of(8)]), 0.3)
    other = np.concatenate(
        [trees_of(5, 501, seed=7), trees_of(8, 501, seed=7), trees_of(10, 501, seed=7)]
    )
    of = {}
    for bits, name in zip(other, dealt.of(other), strict=True):
        of.setdefault(drawing_of(4, bits).canonical(), set()).add(name)
    assert len(of) > 100
    assert all(len(names) == 1 for names in of.values())


def test_each_kind_is_in_each_split():
    grid = lattice(4)
    drawn = [trees_of(n_cells) for n_cells in (5, 6, 8, 11)]
    dealt = splits.deal(grid, np.concatenate(drawn), 0.2)
    for kind in drawn:
        names = dealt.of(kind)
        heaviest = np.unique(
            [hash(drawing_of(4, row).canonical()) for row in kind], return_counts=True
        )[1].max() / len(kind)
        for name in ("validation", "test"):
            assert 0.1 <= (names == name).mean() < 0.1 + heaviest
        assert (names == "train").any()


def test_kinds_are_numbers_of_connections_and_of_cells():
    grid = lattice(3)
    every = every_set_of_3x3()
    expected = [(row.sum(), len(set().union(*drawing_of(3, row).pairs))) for row in every]
    kinds = splits.kinds(grid, every)
    assert (
        len(set(zip(kinds.tolist(), expected, strict=True)))
        == len(set(expected))
        == len(set(kinds.tolist()))
    )


def test_a_kind_of_two_classes_is_for_training():
    """Two connections in a row are a corner or a line: one of the two for each held-out split
    leaves none."""
    grid = lattice(4)
    assert set(splits.deal(grid, trees_of(3), 0.2).of(trees_of(3))) == {"train"}


def test_a_kind_of_three_classes_is_in_all_splits_whatever_share_they_make():
    """The trees of 4 cells of the 3x3 lattice: an L, an S and an open square."""
    grid, drawn = lattice(3), generators.dfs(np.random.default_rng(0), 3, np.full(503, 4))
    for share in (0.01, 0.5, 0.99):
        names = splits.deal(grid, drawn, share).of(drawn)
        classes = {
            (drawing_of(3, row).canonical(), name) for row, name in zip(drawn, names, strict=True)
        }
        assert sorted(name for _, name in classes) == ["test", "train", "validation"]


def test_a_kind_that_was_not_drawn_is_split_by_its_hash():
    grid = lattice(4)
    dealt, later = splits.deal(grid, trees_of(5), 0.3), trees_of(9, 2003)
    classes = {
        drawing_of(4, row).canonical(): name
        for row, name in zip(later, dealt.of(later), strict=True)
    }
    names = np.array(list(classes.values()))
    for name, share in (("train", 0.7), ("validation", 0.15), ("test", 0.15)):
        assert abs((names == name).mean() - share) < 4 * (share * (1 - share) / len(names)) ** 0.5
