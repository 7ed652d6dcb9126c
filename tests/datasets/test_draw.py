"""Data sets: disjoint splits, unique shortest paths, the same seed the same bytes, and strict
parameters.
"""

import numpy as np
import pytest
import yaml
from toys import drawing_of

from mazewm.datasets import draw
from mazewm.io.errors import BadInput
from mazewm.io.params import load
from mazewm.maze import mazes
from mazewm.maze.lattice import lattice
from mazewm.maze.truths import touched_cells

SPARSE = {"generator": "dfs", "size": 3, "min_cells": 4, "max_cells": 7, "share": 2.0}
LOOPS = {"generator": "loop", "size": 3, "min_cells": 6, "max_cells": 7, "share": 1.0}
OPEN = {"generator": "percolation", "size": 3, "p": 0.6, "share": 1.0}
TREES = {"generator": "wilson", "size": 3, "share": 1.0}
FULL = {"generator": "dfs", "size": 4, "min_cells": 14, "max_cells": 16, "share": 1.0}
SIZES = {"n_train": 307, "n_validation": 53, "n_test": 59, "n_overload": 31}
FAMILIES = {"sparse": SPARSE, "loops": LOOPS, "open": OPEN}
SECTION = {
    "world": "all",
    "vocabulary_size": 4,
    "families": FAMILIES,
    "overload": FULL,
    "held_out_share": 0.3,
    **SIZES,
}


def read_params(folder, section):
    path = folder / "params.yaml"
    path.write_text(
        yaml.safe_dump({"scale": "tiny", "mazes": {}, "scales": {"tiny": {"mazes": section}}})
    )
    return load(draw.MazeParams, "mazes", path)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    return draw.generate(read_params(tmp_path_factory.mktemp("params"), SECTION), 0)


def test_the_sizes_are_those_asked_for(sets):
    assert {name: len(batch) for name, batch in sets.items()} == {
        "train": 307,
        "validation": 53,
        "test": 59,
        "overload": 31,
    }
    for batch in sets.values():
        assert batch.maze_id.tolist() == list(range(len(batch)))


def test_families_that_do_not_divide_the_size_still_fill_it(tmp_path):
    families = {"a": TREES, "b": TREES, "c": TREES}
    sets = draw.generate(read_params(tmp_path, SECTION | {"families": families}), 0)
    assert [len(sets[name]) for name in draw.SPLITS] == [307, 53, 59]


def test_families_come_in_their_shares(sets):
    for name in draw.SPLITS:
        for family, share in (("sparse", 2 / 4), ("loops", 1 / 4), ("open", 1 / 4)):
            assert abs((sets[name].family == family).sum() - len(sets[name]) * share) <= 1
    assert set(sets["overload"].family) == {"overload"}


def test_no_connection_set_is_in_two_splits(sets):
    seen = [{bits.tobytes() for bits in sets[name].connections} for name in draw.SPLITS]
    assert all(seen)
    assert not seen[0] & seen[1]
    assert not seen[0] & seen[2]
    assert not seen[1] & seen[2]


def test_no_maze_is_in_two_splits_turned_mirrored_or_moved(sets):
    seen = [
        {drawing_of(4, bits).canonical() for bits in sets[name].connections} for name in draw.SPLITS
    ]
    assert min(map(len, seen)) > 10
    assert not seen[0] & seen[1] and not seen[0] & seen[2] and not seen[1] & seen[2]


@pytest.mark.parametrize("name", ["validation", "test", "overload"])
def test_no_question_is_held_out_twice(tmp_path, name):
    """Also where most of those that there are must be found; in training they may come again."""
    small = {"trees": SPARSE | {"min_cells": 5, "max_cells": 5}}
    full = FULL | {"min_cells": 16}
    sets = draw.generate(
        read_params(tmp_path, SECTION | {"families": small, "overload": full, f"n_{name}": 101}), 0
    )
    asked = {
        (bits.tobytes(), int(o), int(t))
        for bits, o, t in zip(
            sets[name].connections, sets[name].origin, sets[name].target, strict=True
        )
    }
    assert len(asked) == len(sets[name]) == 101


def test_a_training_question_may_come_again(tmp_path):
    small = {"trees": SPARSE | {"min_cells": 5, "max_cells": 5}}
    train = draw.generate(
        read_params(tmp_path, SECTION | {"families": small, "n_train": 20_000}), 0
    )["train"]
    assert len(set(draw.questions(train))) < len(train) == 20_000


def test_questions_differ_by_maze_origin_and_target(sets):
    test = sets["test"]
    assert len(set(draw.questions(test))) == len(test)
    turned = mazes.Mazes(
        test.grid, test.maze_id, test.family, test.connections, test.target, test.origin, test.path
    )
    assert not set(draw.questions(turned[:1])) & set(draw.questions(test[:1]))
    closed = mazes.Mazes(
        test.grid, test.maze_id, test.family, ~test.connections, test.origin, test.target, test.path
    )
    assert not set(draw.questions(closed)) & set(draw.questions(test))


@pytest.mark.parametrize(("name", "n"), [("validation", 5000), ("test", 5000), ("overload", 3000)])
def test_more_questions_than_there_are_are_refused(tmp_path, name, n):
    """A tree of 9 of the 3x3 cells is one of 192, and has 72 questions; fewer are held out, and
    fewer are grown by dfs."""
    families = {"trees": SPARSE | {"min_cells": 5, "max_cells": 5}}
    section = SECTION | {
        "families": families,
        "vocabulary_size": 3,
        "overload": SPARSE | {"min_cells": 6, "max_cells": 6},
    }
    with pytest.raises(BadInput, match=f"mazes.n_{name}: .* found {n:,}"):
        draw.generate(read_params(tmp_path, section | {f"n_{name}": n}), 0)


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
    for name in draw.SPLITS:
        assert not sets[name].connections[:, outside].any()
        assert sets[name].connections[:, ~outside].any(axis=0).all()
    assert sets["overload"].connections.any(axis=0).all()


@pytest.mark.parametrize("name", draw.SPLITS)
def test_every_number_of_cells_comes_as_often_in_every_split(sets, name):
    for family, numbers in (("sparse", [3, 4, 5, 6]), ("loops", [6, 7])):
        found, counts = np.unique(
            sets[name].n_connections[sets[name].family == family], return_counts=True
        )
        assert found.tolist() == numbers and np.ptp(counts) <= 1


def test_overload_mazes_have_more_connections_than_any_training_maze(sets):
    assert set(sets["overload"].n_connections.tolist()) == {13, 14, 15}
    assert sets["train"].n_connections.max() < 13


def test_loops_have_one_cycle(sets):
    loops = sets["train"][sets["train"].family == "loops"]
    assert (
        len(loops)
        and (touched_cells(loops.grid, loops.connections).sum(axis=1) == loops.n_connections).all()
    )


def test_the_world_of_trees_has_no_cycle(tmp_path):
    families = {"sparse": SPARSE, "loops": LOOPS, "open": OPEN, "trees": TREES}
    sets = draw.generate(
        read_params(tmp_path, SECTION | {"families": families, "world": "trees"}), 0
    )
    for name in draw.SPLITS:
        split = sets[name]
        assert abs((split.family == "sparse").sum() - len(split) * 2 / 3) <= 1 and set(
            split.family
        ) == {"sparse", "trees"}
        assert (
            touched_cells(split.grid, split.connections).sum(axis=1) == split.n_connections + 1
        ).all()
    assert len(sets["train"]) == 307


def test_the_world_of_trees_needs_a_family_of_trees(tmp_path):
    with pytest.raises(BadInput, match="at least one family without a cycle in world trees"):
        read_params(
            tmp_path, SECTION | {"families": {"loops": LOOPS, "open": OPEN}, "world": "trees"}
        )


@pytest.mark.parametrize(
    ("families", "overload", "world", "fewest", "most"),
    [
        ({"f": SPARSE}, SPARSE | {"min_cells": 7}, "all", 6, 6),
        ({"f": LOOPS}, SPARSE | {"min_cells": 8, "max_cells": 8}, "all", 7, 7),
        ({"f": TREES}, LOOPS | {"max_cells": 9}, "all", 6, 8),
        ({"f": OPEN}, FULL | {"min_cells": 13}, "all", 12, 12),
        ({"f": SPARSE}, OPEN, "all", 1, 6),
        ({"f": SPARSE, "g": OPEN}, TREES | {"size": 2}, "trees", 3, 6),
    ],
)
def test_an_overload_of_no_more_connections_than_in_training_is_refused(
    tmp_path, families, overload, world, fewest, most
):
    with pytest.raises(BadInput, match=f"may have {most} .*may have {fewest},"):
        read_params(
            tmp_path, SECTION | {"families": families, "overload": overload, "world": world}
        )


def test_an_overload_of_one_connection_more_is_taken(tmp_path):
    for families, overload in (
        ({"f": LOOPS}, LOOPS | {"min_cells": 8, "max_cells": 8}),
        ({"f": SPARSE}, TREES),
    ):
        read_params(tmp_path, SECTION | {"families": families, "overload": overload})
    read_params(
        tmp_path,
        SECTION | {"families": {"f": SPARSE, "g": OPEN}, "overload": TREES, "world": "trees"},
    )


def test_every_order_of_origin_and_target_is_drawn(sets):
    """Neither end is the lower-numbered one more often."""
    train = sets["train"]
    assert abs((train.origin < train.target).mean() - 0.5) < 4 * 0.5 / len(train) ** 0.5


def test_the_same_seed_is_the_same_bytes(sets, tmp_path):
    params = read_params(tmp_path, SECTION)
    again, other = draw.generate(params, 0), draw.generate(params, 1)
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
        ({"f": without(OPEN, "p")}, "families.f", "p belongs to percolation"),
        ({"f": OPEN | {"p": 1.0}}, "families.f.p", "less than 1"),
        ({"f": LOOPS | {"min_cells": 3}}, "families.f", "4 <= min_cells"),
        ({"f": TREES | {"min_cells": 3}}, "families.f", "dfs and loop families only"),
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


def test_a_family_that_cannot_be_split_is_refused(tmp_path):
    """The 3x3 lattice has two trees of two connections, a corner and a line: too few for three
    splits."""
    families = {"tiny": SPARSE | {"min_cells": 3, "max_cells": 3}}
    with pytest.raises(
        BadInput, match="mazes.n_validation: .* family tiny with trees of 3 cells .*held_out_share"
    ):
        draw.generate(read_params(tmp_path, SECTION | {"families": families}), 0)


def test_no_overload_maze_is_a_training_maze_turned_mirrored_or_moved(sets):
    seen = {
        name: {drawing_of(4, bits).canonical() for bits in some.connections}
        for name, some in sets.items()
    }
    assert seen["overload"] and not seen["overload"] & (seen["train"] | seen["validation"])


def test_one_maze_of_each_data_set_is_enough(tmp_path):
    one = {name: 1 for name in SIZES}
    sets = draw.generate(read_params(tmp_path, SECTION | one), 0)
    assert {name: len(some) for name, some in sets.items()} == {
        "train": 1, "validation": 1, "test": 1, "overload": 1
    }  # fmt: skip


def test_a_family_of_hardly_any_maze_ends(tmp_path):
    """With next to no connection, hardly a draw has a question."""
    families = {"bare": OPEN | {"p": 1e-9}}
    with pytest.raises(BadInput, match="mazes.n_train: expected at most .* family bare"):
        draw.generate(read_params(tmp_path, SECTION | {"families": families}), 0)
