"""Data sets: disjoint splits, unique shortest paths, the same seed the same bytes, and strict parameters."""

import numpy as np
import pytest
import yaml
from toys import drawing_of

from mazewm.errors import BadInput
from mazewm.maze import datasets, mazes
from mazewm.maze.lattice import lattice
from mazewm.params import load

SPARSE = {"generator": "dfs", "size": 3, "min_cells": 4, "max_cells": 7, "share": 2.0}
LOOPS = {"generator": "percolation", "size": 3, "p": 0.6, "share": 1.0}
TREES = {"generator": "wilson", "size": 3, "share": 1.0}
FULL = {"generator": "dfs", "size": 3, "min_cells": 9, "max_cells": 9, "share": 1.0}
SIZES = {"n_train": 307, "n_validation": 53, "n_test": 59, "n_overload": 31}
SECTION = {"vocabulary_size": 4, "families": {"sparse": SPARSE, "loops": LOOPS}, "overload": FULL, **SIZES, "held_out_share": 0.3}


def read_params(folder, section):
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump({"scale": "tiny", "scales": {"tiny": {"mazes": section}}}))
    return load(datasets.MazeParams, "mazes", path)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return datasets.generate(read_params(tmp_path_factory.mktemp("params"), SECTION), 0)


def test_the_sizes_are_those_asked_for(sets):
    assert {name: len(batch) for name, batch in sets.items()} == {"train": 307, "validation": 53, "test": 59, "overload": 31}
    for batch in sets.values():
        assert batch.maze_id.tolist() == list(range(len(batch)))


def test_families_that_do_not_divide_the_size_still_fill_it(tmp_path):
    families = {"a": TREES, "b": TREES, "c": TREES}
    sets = datasets.generate(read_params(tmp_path, SECTION | {"families": families}), 0)
    assert [len(sets[name]) for name in datasets.SPLITS] == [307, 53, 59]


def test_families_come_in_their_shares(sets):
    assert abs((sets["train"].family == "sparse").sum() - 307 * 2 / 3) <= 1


def test_no_connection_set_is_in_two_splits(sets):
    seen = [{bits.tobytes() for bits in sets[name].connections} for name in datasets.SPLITS]
    assert all(seen)
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


def test_origin_and_target_differ_and_lie_one_shortest_path_apart(sets):
    for batch in sets.values():
        assert (batch.origin != batch.target).all()
        for i in range(0, len(batch), 7):
            drawing = drawing_of(4, batch.connections[i], batch.origin[i], batch.target[i])
            paths = [[drawing.number(cell) for cell in path] for path in drawing.shortest_paths()]
            assert paths == [[cell for cell in batch.path[i].tolist() if cell >= 0]]


def test_a_family_lies_in_the_corner_of_the_vocabulary_lattice(sets):
    outside = np.ones(lattice(4).n_connections, bool)
    outside[lattice(4).corner_connections(3)] = False
    for batch in sets.values():
        assert not batch.connections[:, outside].any()
        assert batch.connections[:, ~outside].any(axis=0).all()


def test_dfs_sizes_are_drawn_between_the_two(sets):
    sparse = sets["train"].n_connections[sets["train"].family == "sparse"]
    assert set(sparse.tolist()) == {3, 4, 5, 6}
    assert set(sets["overload"].n_connections.tolist()) == {8}


def test_every_order_of_origin_and_target_is_drawn(sets):
    """Neither end is the lower-numbered one more often."""
    train = sets["train"]
    assert abs((train.origin < train.target).mean() - 0.5) < 4 * 0.5 / len(train) ** 0.5


def test_the_split_shares_over_all_connection_sets():
    every = np.unpackbits(np.arange(4096, dtype=">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 4:].astype(bool)
    assert len(np.unique(every, axis=0)) == 4096
    splits = datasets.split_of(every, 0.3)
    for name, share in (("train", 0.7), ("validation", 0.15), ("test", 0.15)):
        assert abs((splits == name).mean() - share) < 4 * (share * (1 - share) / 4096) ** 0.5
    assert len(np.unique(datasets.set_hash(every))) == 4096


def test_the_same_seed_is_the_same_bytes(sets, tmp_path):
    params = read_params(tmp_path, SECTION)
    again, other = datasets.generate(params, 0), datasets.generate(params, 1)
    for name in sets:
        files = []
        for number, source in enumerate((sets, again, other)):
            mazes.write(tmp_path / f"{number}.parquet", source[name])
            files.append((tmp_path / f"{number}.parquet").read_bytes())
        assert files[0] == files[1]
        assert files[0] != files[2]


def without(mapping, key):
    return {k: v for k, v in mapping.items() if k != key}


@pytest.mark.parametrize(
    ("families", "key", "reason"),
    [
        ({"f": without(SPARSE, "min_cells")}, "families.f", "min_cells <= max_cells"),
        ({"f": SPARSE | {"min_cells": 8}}, "families.f", "min_cells <= max_cells"),
        ({"f": SPARSE | {"max_cells": 10}}, "families.f", "9"),
        ({"f": SPARSE | {"p": 0.5}}, "families.f", "p belongs to percolation"),
        ({"f": without(LOOPS, "p")}, "families.f", "p belongs to percolation"),
        ({"f": LOOPS | {"p": 1.0}}, "families.f.p", "less than 1"),
        ({"f": TREES | {"min_cells": 3}}, "families.f", "dfs families only"),
        ({"f": TREES | {"generator": "prim"}}, "families.f.generator", "'prim'"),
        ({"f": TREES | {"colour": 1}}, "families.f.colour", "unknown key"),
        ({"f": without(TREES, "share")}, "families.f.share", "missing"),
        ({"f": TREES | {"size": "3"}}, "families.f.size", "'3'"),
        ({"f": TREES | {"size": 5}}, "mazes", "family f has size 5"),
        ({}, "mazes", "at least one family"),
    ],
)
def test_a_family_that_does_not_fit_is_named(tmp_path, families, key, reason):
    with pytest.raises(BadInput) as caught:
        read_params(tmp_path, SECTION | {"families": families})
    assert key in str(caught.value)
    assert reason in str(caught.value)
    assert "params.yaml" in str(caught.value)


def test_a_lattice_too_small_to_be_split_is_refused():
    ring = datasets.FamilyParams(generator="dfs", size=2, min_cells=2, max_cells=2, share=1.0)
    empty = next(s for s in datasets.SPLITS if s not in datasets.split_of(np.eye(4, dtype=bool), 0.01))
    with pytest.raises(BadInput, match="held_out_share"):
        datasets.fill(np.random.default_rng(0), lattice(2), {"ring": ring}, empty, 0.01, 3)
