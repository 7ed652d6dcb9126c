"""Pairs of mazes against the drawings' own search: that each is what it says, and that none that
fits is left out.
"""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from circuits import planted_circuit
from counterfactuals.small_trees import small_trees
from toys import HOOK, RING, Drawing, batch, draw, drawing_of

from mazewm.counterfactuals.pairs import Pairs, corridors, flip, moves, singles, trees_of, twins
from mazewm.maze.lattice import lattice

TREES = trees_of(planted_circuit.trees(61), 8)
ALL = 10_000  # more than there are


def rng(seed=0):
    return np.random.default_rng(seed)


FOUR = small_trees()


def edges(n: int) -> list[frozenset]:
    return [frozenset(divmod(int(cell), n) for cell in ends) for ends in lattice(n).ends]


def sets(grid, connections) -> list[frozenset]:
    return [drawing_of(grid.n, row).pairs for row in connections]


def cells_of(pairs: frozenset) -> set:
    return set().union(*pairs)


def could_add(n: int, tree: frozenset) -> set[frozenset]:
    """Absent connections between two cells of a tree."""
    return {e for e in edges(n) if e not in tree and e <= cells_of(tree)}


TWO_PARTS = draw("O-T o\n| | |\no-o o\n. . .\no o o")  # as many connections as a tree would have
FOREST = draw("O-T o\n. . .\no o o\n|    \no o o")
TWIG = draw("O-T o\n|    \no o o\n. . .\no o o")


def test_only_different_trees_of_at_most_so_many_connections_are_kept():
    many = batch(HOOK, TWO_PARTS, TWIG, HOOK, FOREST, replace(TWIG, origin=TWIG.target,
                 target=TWIG.origin), draw("O-o o\n| |  \no-T-o\n. . .\no o o"))  # fmt: skip
    assert trees_of(many, 8).maze_id.tolist() == [0, 2]
    assert trees_of(many, 7).maze_id.tolist() == [2]
    assert trees_of(many, 2).maze_id.tolist() == [2]
    assert len(trees_of(many, 1)) == 0 == len(trees_of(batch(RING), 8))


@pytest.mark.parametrize("n", [1, 3, ALL])
def test_twins_are_trees_with_one_connection_more(n):
    found = twins(TREES, rng(), n)
    tree_of = dict(zip(TREES.maze_id.tolist(), sets(TREES.grid, TREES.connections), strict=True))
    before, after = sets(found.grid, found.before), sets(found.grid, found.after)
    e = [edges(3)[one] for [one] in found.added]
    for id, small, large, added in zip(found.maze_id, before, after, e, strict=True):
        assert small == tree_of[int(id)] and large == small | {added}
        assert added in could_add(3, small)
    assert len(set(zip(before, e, strict=True))) == len(found)
    possible = Counter(e for tree in tree_of.values() for e in could_add(3, tree))
    assert Counter(e) == {one: min(n, count) for one, count in possible.items()}
    assert max(possible.values()) > 3 and found.removed.shape == (len(found), 0)
    assert found.kind == "add" and (found.end == -1).all() and (np.diff(found.maze_id) >= 0).all()


def test_draws_are_random_and_repeatable():
    one, again, other = (twins(TREES, rng(seed), 1).maze_id.tolist() for seed in (0, 0, 1))
    assert one == again != other


def test_twins_backwards_lose_what_was_added():
    found = twins(TREES, rng(), 2)
    back = found.backwards()
    assert np.array_equal(back.before, found.after) and np.array_equal(back.after, found.before)
    assert np.array_equal(back.removed, found.added) and back.added.shape == (len(found), 0)
    assert back.kind == "remove" and np.array_equal(back.maze_id, found.maze_id)
    assert not np.array_equal(back.before, back.after)


@pytest.mark.parametrize("n", [2, ALL])
def test_moves_put_another_connection_into_the_same_tree(n):
    found = moves(TREES, rng(), n)
    tree_of = dict(zip(TREES.maze_id.tolist(), sets(TREES.grid, TREES.connections), strict=True))
    seen = set()
    for nth, id in enumerate(found.maze_id.tolist()):
        [e], [f] = found.removed[nth], found.added[nth]
        e, f, tree = edges(3)[e], edges(3)[f], tree_of[id]
        assert e != f and {e, f} <= could_add(3, tree)
        assert drawing_of(3, found.before[nth]).pairs == tree | {e}
        assert drawing_of(3, found.after[nth]).pairs == tree | {f}
        seen.add((id, e, f))
    assert len(seen) == len(found) and found.kind == "move"
    possible = Counter(
        e for tree in tree_of.values() for e in could_add(3, tree) for f in could_add(3, tree) - {e}
    )
    assert Counter(e for _, e, _ in seen) == {e: min(n, count) for e, count in possible.items()}


def has_corridor(n: int, tree: frozenset, k: int) -> bool:
    """Whether ``k`` steps lead out of a tree's cells and touch no cell twice, by trying all."""
    ways = [[cell] for cell in cells_of(tree)]
    for _ in range(k):
        ways = [
            [*way, cell]
            for way in ways
            for e in edges(n)
            if way[-1] in e
            for cell in e - {way[-1]}
            if cell not in way and cell not in cells_of(tree)
        ]
    return bool(ways)


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_corridors_are_the_only_way_to_their_end(k):
    found = corridors(FOUR, rng(), k, ALL)
    trees = sets(FOUR.grid, FOUR.connections)
    able = [
        int(id) for id, tree in zip(FOUR.maze_id, trees, strict=True) if has_corridor(4, tree, k)
    ]
    assert sorted(found.maze_id.tolist()) == sorted(able) and len(able) > 0
    for nth, added in enumerate(found.added):
        before = drawing_of(4, found.before[nth]).pairs
        corridor, end = [edges(4)[e] for e in added], divmod(int(found.end[nth]), 4)
        after = drawing_of(4, found.after[nth]).pairs
        assert after == before | set(corridor) and len(after) == len(before) + k
        assert len(cells_of(after) - cells_of(before)) == k and end not in cells_of(before)
        for one, following in zip(corridor, corridor[1:], strict=False):
            assert len(one & following) == 1, "in a row"
        assert end in corridor[-1] and (k == 1 or end not in corridor[-2])
        for origin in cells_of(before):
            for gone in corridor:
                assert end not in Drawing(4, after - {gone}, origin, end).steps_from(origin)
            [path] = Drawing(4, after, origin, end).shortest_paths()
            assert set(corridor) <= {frozenset(step) for step in zip(path, path[1:], strict=False)}


def test_corridors_of_one_tree_each_and_of_no_more_trees_than_asked():
    few = corridors(FOUR, rng(), 2, 5)
    assert len(few) == len(set(few.maze_id.tolist())) == 5
    assert few.maze_id.tolist() != corridors(FOUR, rng(1), 2, 5).maze_id.tolist()
    none = corridors(batch(HOOK), rng(), 1, 5)  # it mentions every cell
    assert len(none) == 0 and none.added.shape == (0, 1) and none.end.shape == (0,)


def test_the_end_of_a_corridor_is_asked_for_from_every_mentioned_cell():
    found = corridors(FOUR, rng(), 2, ALL)
    for index in found.batches(3):
        part = found[index]
        origin, target = part.ends()
        for nth in range(len(part)):
            mentioned = cells_of(drawing_of(4, part.before[nth]).pairs)
            assert [divmod(int(cell), 4) for cell in origin[nth]] == sorted(mentioned)
            assert (target[nth] == part.end[nth]).all()


@pytest.mark.parametrize("k", [0, 1, 3, 7])
def test_single_additions_lead_to_different_new_cells(k):
    found = singles(FOUR, rng(), k, ALL)
    able = []
    for id, tree in zip(FOUR.maze_id, sets(FOUR.grid, FOUR.connections), strict=True):
        near = {cell for e in edges(4) if e & cells_of(tree) for cell in e} - cells_of(tree)
        # all that have no new cell, and one for each new cell
        if len(could_add(4, tree)) + len(near) >= k:
            able.append(int(id))
    assert sorted(found.maze_id.tolist()) == sorted(able) and len(able) > 0
    for nth, added in enumerate(found.added):
        before = drawing_of(4, found.before[nth]).pairs
        new = [edges(4)[e] for e in added]
        assert len(set(new) - before) == k and all(e & cells_of(before) for e in new)
        outside = [cell for e in new for cell in e - cells_of(before)]
        assert len(set(outside)) == len(outside)
    if k in (1, 3):
        is_out = [
            bool(edges(4)[e] - cells_of(drawing_of(4, row).pairs))
            for row, added in zip(found.before, found.added, strict=True)
            for e in added
        ]
        assert 0 < sum(is_out) < len(is_out), "both kinds"


def test_single_additions_are_asked_for_across_connections_and_walls_both_ways():
    found, n_walls = singles(FOUR, rng(), 2, 9), 0
    assert len(found) == 9 and len(set(found.maze_id.tolist())) == 9
    for index in found.batches(50):
        part = found[index]
        (origin, target), is_posed = part.ends(), part.is_posed()
        for nth in range(len(part)):
            e = [*np.flatnonzero(part.before[nth]), *part.added[nth]]
            cells = {int(cell) for cell in part.grid.ends[e].ravel()}
            ends = zip(origin[nth, is_posed[nth]], target[nth, is_posed[nth]], strict=True)
            asked = {(int(a), int(b)) for a, b in ends}
            there = {tuple(each) for each in part.grid.ends.tolist() if set(each) <= cells}
            assert asked == there | {(b, a) for a, b in there}
            n_walls += len(there) - len(e)
    assert n_walls > 0
    some = twins(trees_of(FOUR, 4), rng(), 1)
    assert all(some[index].is_posed().all() for index in some.batches(50))


def test_twins_are_asked_about_from_every_cell_to_every_other():
    found = twins(TREES, rng(), 2)
    for index in found.batches(4):
        part = found[index]
        origin, target = part.ends()
        for nth in range(len(part)):
            cells = {row * 3 + col for row, col in cells_of(drawing_of(3, part.before[nth]).pairs)}
            asked = set(zip(origin[nth].tolist(), target[nth].tolist(), strict=True))
            assert asked == {(a, b) for a in cells for b in cells if a != b}
            assert len(origin[nth]) == len(asked)


def test_batches_hold_prompts_of_one_length_with_equally_many_cells():
    ring = draw("O-o-o\n|   |\no-o-T\n. . .\no o o")
    mazes = batch(ring, HOOK, draw("O-o-o\n|   |\no o T\n|   |\no o o"), TWO_PARTS, ring)
    added = np.zeros((5, 0), int)
    found = Pairs("add", mazes.grid, mazes.maze_id, mazes.connections, added, added, np.full(5, -1))
    assert [index.tolist() for index in found.batches(9)] == [[3], [0, 4], [2], [1]]
    assert [index.tolist() for index in found.batches(1)] == [[3], [0], [4], [2], [1]]


def test_parts_are_picked_and_joined():
    found = corridors(FOUR, rng(), 2, 7)
    parts = [found[:2], found[np.array([6, 3])], found[found.end < 0]]
    joined = Pairs.joined(parts)
    order = [0, 1, 6, 3]
    assert joined.kind == "corridor" and joined.grid is found.grid and len(joined) == 4
    for name in ("maze_id", "before", "added", "removed", "end", "after"):
        assert np.array_equal(getattr(joined, name), getattr(found, name)[order]), name


def test_a_flip_opens_what_is_closed_and_closes_what_is_open():
    before = np.array([[True, False, False], [False, True, True]])
    kept = before.copy()
    after = flip(before, np.array([[0, 2], [1, 0]]))
    assert after.tolist() == [[False, False, True], [True, False, True]]
    assert np.array_equal(before, kept)
    assert np.array_equal(flip(before, np.zeros((2, 0), int)), before)
