"""What examples promise, by the drawings' own search; and that none that fits is left out."""

import numpy as np
import pytest
from planted import trees
from toys import Drawing, drawing_of

from mazewm.counterfactuals import examples

MAZES = trees(211)
EVERY = [((r, c), (r + 1, c)) for r in range(2) for c in range(3)] + [
    ((r, c), (r, c + 1)) for r in range(3) for c in range(2)
]
EDGES = [frozenset(pair) for pair in EVERY]
MAX_CONNECTIONS = 8


def drawings(mazes):
    return [
        drawing_of(3, *row)
        for row in zip(mazes.connections, mazes.origin, mazes.target, strict=True)
    ]


def cells_of(path):
    return [divmod(int(cell), 3) for cell in path if cell >= 0]


def without(drawing, edge):
    return Drawing(drawing.n, drawing.pairs - {edge}, drawing.origin, drawing.target)


def with_one_more(drawing, edge):
    return Drawing(drawing.n, drawing.pairs | {edge}, drawing.origin, drawing.target)


def touched(drawing):
    return set().union(*drawing.pairs)


@pytest.fixture(scope="module")
def added():
    return examples.additions(MAZES, np.random.default_rng(0), 5)


@pytest.fixture(scope="module")
def removed():
    return examples.removals(MAZES, np.random.default_rng(0), 5, MAX_CONNECTIONS)


def test_additions_open_a_shorter_unique_path(added):
    assert added.kind == "add" and len(added) > 40
    for nth, (before, after) in enumerate(
        zip(drawings(added.mazes), drawings(added.edited), strict=True)
    ):
        edge = EDGES[added.added[nth, 0]]
        assert edge not in before.pairs and edge <= touched(before)
        assert after == with_one_more(before, edge)
        [old], [new] = before.shortest_paths(), after.shortest_paths()
        assert len(new) < len(old)
        assert cells_of(added.mazes.path[nth]) == old and cells_of(added.edited.path[nth]) == new
        assert edge in map(frozenset, zip(new, new[1:], strict=False))


def test_removals_close_the_path_of_a_maze_with_one_cycle(removed):
    assert removed.kind == "remove" and len(removed) > 40
    for nth, (before, after) in enumerate(
        zip(drawings(removed.mazes), drawings(removed.edited), strict=True)
    ):
        edge = EDGES[removed.removed[nth, 0]]
        assert len(before.pairs) == len(touched(before)) <= MAX_CONNECTIONS
        assert set(before.steps_from(before.origin)) == touched(before), (
            "connected, so exactly one cycle"
        )
        [old] = before.shortest_paths()
        assert edge in map(frozenset, zip(old, old[1:], strict=False))
        assert after == without(before, edge)
        [new] = after.shortest_paths()
        assert new != old
        assert (
            cells_of(removed.mazes.path[nth]) == old and cells_of(removed.edited.path[nth]) == new
        )


@pytest.mark.parametrize("limit", [6, 8])
def test_removals_stay_within_the_longest_training_maze(limit):
    some = examples.removals(MAZES, np.random.default_rng(0), 3, limit)
    assert len(some) and some.mazes.n_connections.max() == limit


def fitting_additions(mazes):
    """(maze, connection) of everything that can be added, by search."""
    found = set()
    for maze, drawing in enumerate(drawings(mazes)):
        for e, edge in enumerate(EDGES):
            if edge not in drawing.pairs and edge <= touched(drawing):
                new = with_one_more(drawing, edge).shortest_paths()
                if len(new) == 1 and len(new[0]) < len(drawing.shortest_paths()[0]):
                    found.add((maze, e))
    return found


def fitting_removals(mazes, limit):
    """(maze, added connection, removed connection) of everything that can be removed, by search."""
    found = set()
    for maze, drawing in enumerate(drawings(mazes)):
        for extra, edge in enumerate(EDGES):
            if edge in drawing.pairs or not edge <= touched(drawing) or len(drawing.pairs) >= limit:
                continue
            cyclic = with_one_more(drawing, edge)
            paths = cyclic.shortest_paths()
            if len(paths) > 1:
                continue
            for step in zip(paths[0], paths[0][1:], strict=False):
                if len(without(cyclic, frozenset(step)).shortest_paths()) == 1:
                    found.add((maze, extra, EDGES.index(frozenset(step))))
    return found


def test_every_addition_that_fits_is_found_and_so_many_are_taken():
    mazes = MAZES[:43]
    fitting = fitting_additions(mazes)
    everything = examples.additions(mazes, np.random.default_rng(0), 10_000)
    assert sorted(
        zip(everything.mazes.maze_id.tolist(), everything.added[:, 0].tolist(), strict=True)
    ) == sorted(fitting)
    per_connection = np.bincount([e for _, e in fitting], minlength=12)
    some = examples.additions(mazes, np.random.default_rng(0), 3)
    assert (
        np.bincount(some.added[:, 0], minlength=12).tolist()
        == np.minimum(per_connection, 3).tolist()
    )


def test_every_removal_that_fits_is_found_and_so_many_are_taken():
    mazes = MAZES[:43]
    fitting = fitting_removals(mazes, MAX_CONNECTIONS)
    everything = examples.removals(mazes, np.random.default_rng(0), 10_000, MAX_CONNECTIONS)
    extra = (everything.mazes.connections & ~mazes.connections[everything.mazes.maze_id]).argmax(
        axis=1
    )
    assert sorted(
        zip(
            everything.mazes.maze_id.tolist(),
            extra.tolist(),
            everything.removed[:, 0].tolist(),
            strict=True,
        )
    ) == sorted(fitting)
    per_connection = np.bincount([e for *_, e in fitting], minlength=12)
    some = examples.removals(mazes, np.random.default_rng(0), 3, MAX_CONNECTIONS)
    assert (
        np.bincount(some.removed[:, 0], minlength=12).tolist()
        == np.minimum(per_connection, 3).tolist()
    )


def test_the_choice_is_seeded_and_not_the_first():
    some, same, other = (
        examples.additions(MAZES, np.random.default_rng(seed), 2) for seed in (0, 0, 1)
    )
    assert np.array_equal(some.mazes.maze_id, same.mazes.maze_id) and np.array_equal(
        some.added, same.added
    )
    assert not np.array_equal(some.mazes.maze_id, other.mazes.maze_id)
    assert np.median(some.mazes.maze_id) > len(MAZES) / 4


def test_nothing_fits_in_a_corridor():
    corridor = MAZES[MAZES.n_connections == 5][:1]
    assert len(examples.removals(corridor, np.random.default_rng(0), 5, 5)) == 0


def test_new_ends_ask_other_questions_of_the_same_mazes():
    again = examples.with_new_ends(MAZES, np.random.default_rng(0), 3)
    assert np.array_equal(np.bincount(again.maze_id), np.full(len(MAZES), 3))
    assert np.array_equal(again.connections, MAZES.connections[again.maze_id])
    for drawing, path in zip(drawings(again), again.path, strict=True):
        assert drawing.origin != drawing.target and {drawing.origin, drawing.target} <= touched(
            drawing
        )
        assert [cells_of(path)] == drawing.shortest_paths()
    changed = (again.origin != MAZES.origin[again.maze_id]) | (
        again.target != MAZES.target[again.maze_id]
    )
    assert changed.mean() > 0.9


def test_flip():
    connection = np.arange(len(MAZES)) % 12
    flipped = examples.flip(MAZES, connection[:, None])
    assert ((flipped != MAZES.connections).sum(axis=1) == 1).all()
    assert ((flipped ^ MAZES.connections).argmax(axis=1) == connection).all()
    twice = examples.flip(MAZES, np.stack([connection, (connection + 5) % 12], axis=1))
    assert np.array_equal(twice ^ flipped, np.eye(12, dtype=bool)[(connection + 5) % 12])
    assert np.array_equal(examples.flip(MAZES, np.zeros((len(MAZES), 0), int)), MAZES.connections)


def fitting_moves(mazes):
    """(maze, removed, added) of everything that can be moved, by search."""
    found = set()
    for maze, drawing in enumerate(drawings(mazes)):
        [old] = drawing.shortest_paths()
        for step in map(frozenset, zip(old, old[1:], strict=False)):
            for f, edge in enumerate(EDGES):
                if edge in drawing.pairs or not edge <= touched(drawing):
                    continue
                paths = with_one_more(without(drawing, step), edge).shortest_paths()
                if len(paths) == 1 and edge in map(
                    frozenset, zip(paths[0], paths[0][1:], strict=False)
                ):
                    found.add((maze, EDGES.index(step), f))
    return found


def test_every_move_that_fits_is_found_and_so_many_are_taken():
    mazes = MAZES[:43]
    fitting = fitting_moves(mazes)
    found = examples.moves(mazes, np.random.default_rng(0), 10_000)
    columns = (
        found.mazes.maze_id.tolist(),
        found.removed[:, 0].tolist(),
        found.added[:, 0].tolist(),
    )
    assert (
        found.kind == "move"
        and len(found) > 40
        and sorted(zip(*columns, strict=True)) == sorted(fitting)
    )
    per_connection = np.bincount([e for _, e, _ in fitting], minlength=12)
    some = examples.moves(mazes, np.random.default_rng(0), 3)
    assert (
        np.bincount(some.removed[:, 0], minlength=12).tolist()
        == np.minimum(per_connection, 3).tolist()
    )


def test_moves_change_the_path_and_not_the_number_of_connections():
    found = examples.moves(MAZES, np.random.default_rng(0), 5)
    assert (
        np.array_equal(found.mazes.n_connections, found.edited.n_connections)
        and found.n_changed == 1
    )
    for nth, (before, after) in enumerate(
        zip(drawings(found.mazes), drawings(found.edited), strict=True)
    ):
        off, on = EDGES[found.removed[nth, 0]], EDGES[found.added[nth, 0]]
        assert (
            after == with_one_more(without(before, off), on)
            and off in before.pairs
            and on not in before.pairs
        )
        [old], [new] = before.shortest_paths(), after.shortest_paths()
        assert (
            new != old
            and cells_of(found.mazes.path[nth]) == old
            and cells_of(found.edited.path[nth]) == new
        )


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("kind", ["several", "overload"])
def test_several_open_a_shorter_unique_path_together(kind, k):
    limit = {"several": 10, "overload": 7}[kind]
    found = getattr(examples, kind)(MAZES, np.random.default_rng(0), k, 10_000, limit)
    assert found.kind == kind and found.n_changed == k and len(found) >= 3
    assert found.added.shape == (len(found), k) and found.removed.shape == (len(found), 0)
    for nth, (before, after) in enumerate(
        zip(drawings(found.mazes), drawings(found.edited), strict=True)
    ):
        edges = {EDGES[e] for e in found.added[nth]}
        assert (
            len(edges) == k
            and not edges & before.pairs
            and all(edge <= touched(before) for edge in edges)
        )
        assert after.pairs == before.pairs | edges
        assert len(after.pairs) <= limit if kind == "several" else len(before.pairs) == limit
        [old], [new] = before.shortest_paths(), after.shortest_paths()
        assert len(new) < len(old) and edges & set(map(frozenset, zip(new, new[1:], strict=False)))
        assert cells_of(found.mazes.path[nth]) == old and cells_of(found.edited.path[nth]) == new


def test_one_of_several_is_drawn_from_all_that_fit():
    """With k = 1, each maze tries one of its openable connections; over many draws those are the
    additions that fit."""
    fitting, seen = fitting_additions(MAZES[:43]), set()
    for seed in range(60):
        found = examples.several(MAZES[:43], np.random.default_rng(seed), 1, 10_000, 12)
        seen |= set(zip(found.mazes.maze_id.tolist(), found.added[:, 0].tolist(), strict=True))
    assert seen == fitting


def test_so_many_of_several_and_nothing_added():
    some, none = (examples.overload(MAZES, np.random.default_rng(0), k, 7, 8) for k in (1, 0))
    assert len(some) == 7 and len(none) == 7 and none.n_changed == 0
    assert (
        np.array_equal(none.edited.path, none.mazes.path) and (none.mazes.n_connections == 8).all()
    )
    assert np.array_equal(none.edited.connections, none.mazes.connections)


def test_too_many_cannot_be_had():
    assert len(examples.several(MAZES, np.random.default_rng(0), 5, 7, 8)) == 0


def test_some_of_the_examples():
    found = examples.moves(MAZES, np.random.default_rng(0), 5)
    part = found[np.array([11, 2])]
    assert len(part) == 2 and part.kind == "move"
    for whole, piece in (
        (found.added, part.added),
        (found.removed, part.removed),
        (found.edited.path, part.edited.path),
    ):
        assert np.array_equal(whole[[11, 2]], piece)
    assert np.array_equal(found.mazes.connections[[11, 2]], part.mazes.connections)
