"""Facts and forks of hand-drawn mazes."""

from dataclasses import replace

import numpy as np
import pytest
from planning.planted_mazes import COMB, CROSSROADS, ISLAND
from toys import HOOK, batch, draw

from mazewm.counterfactuals.forks import asked_anew, forks
from mazewm.planning.facts import facts, steps


def told(drawing, name):
    """The values that count, by unit."""
    fact = facts(batch(drawing))[name]
    return {int(unit): float(fact.value[0, unit]) for unit in np.flatnonzero(fact.counts[0])}


def test_distance_counts_what_is_two_steps_from_both_ends():
    assert told(HOOK, "distance") == {2: 6, 5: 5, 6: 2, 7: 3, 8: 4}
    assert told(COMB, "distance") == {2: 4, 3: 3, 4: 2, 6: 2}
    assert told(ISLAND, "distance") == {2: 2}  # what cannot be reached does not count


def test_on_path():
    assert told(COMB, "on_path") == {2: 0, 3: 0, 4: 1, 6: 0}


def test_toward_target_at_forks():
    mazes = batch(COMB)
    number = mazes.grid.connection_of
    assert told(COMB, "toward_target") == {
        int(number[1, 2]): 0,
        int(number[1, 4]): 1,
        int(number[3, 4]): 1,
        int(number[4, 5]): 1,
    }
    assert told(HOOK, "toward_target") == {}


def test_a_distance_holds_up_to_its_cells_median():
    fact = facts(batch(HOOK, COMB, COMB, ISLAND))["distance"]  # cell 2: 6, 4, 4, 2
    assert fact.holds()[fact.counts[:, 2], 2].tolist() == [False, True, True, True]
    assert not facts(batch(COMB))["on_path"].holds()[0, 2]


def test_forks_say_where_to_go_instead():
    rng = np.random.default_rng(0)
    mazes = batch(COMB, CROSSROADS, HOOK)
    later = forks(mazes, "later", rng, 5)
    found = {
        int(m): (int(c), int(s), int(e), int(o))
        for m, c, s, e, o in zip(
            later.mazes.maze_id, later.fork, later.step, later.exit, later.other, strict=True
        )
    }
    assert found == {0: (1, 1, 4, 2), 1: (4, 1, 5, 3)}
    others = set()
    for _ in range(20):
        first = forks(mazes, "first", rng, 5)
        assert (
            first.mazes.maze_id.tolist(),
            first.fork.tolist(),
            first.step.tolist(),
            first.exit.tolist(),
        ) == ([1], [1], [0], [4])
        others.add(int(first.other[0]))
    assert others == {0, 2}


@pytest.mark.parametrize("situation", ["first", "later"])
def test_an_exit_that_is_the_target_is_no_example(situation):
    at_once = draw("""
        o O-o
        | |
        o-T o
            |
        o o-o
    """)
    at_a_fork = draw("""
        O-o-o
          |
        o T o
          |
        o-o o
    """)
    assert len(forks(batch(at_once, at_a_fork), situation, np.random.default_rng(0), 5)) == 0


def test_mazes_are_asked_anew_with_one_shortest_path():
    mazes = batch(COMB, HOOK, COMB)
    asked = asked_anew(mazes, np.random.default_rng(0), 30)
    assert 40 < len(asked) < 61, "two connection sets, thirty times each, but for ties"
    assert set(asked.maze_id) == {0, 1}, "the first maze of each connection set"
    drawings = {0: COMB, 1: HOOK}
    for nth in range(len(asked)):
        drawing = drawings[int(asked.maze_id[nth])]
        ends = (int(asked.origin[nth]), int(asked.target[nth]))
        [path] = replace_ends(drawing, *ends).shortest_paths()
        assert [drawing.number(cell) for cell in path] == asked.path[nth][
            asked.path[nth] >= 0
        ].tolist()
    assert len({(int(a), int(b)) for a, b in zip(asked.origin, asked.target, strict=True)}) > 20


def replace_ends(drawing, origin, target):
    """The same drawing with another question."""
    cells = [(r, c) for r in range(drawing.n) for c in range(drawing.n)]
    return replace(drawing, origin=cells[origin], target=cells[target])


def test_steps_of_a_search_by_hand():
    """On COMB the target is (2, 2): (1, 2) is a step away, then (1, 1), then (0, 1) and (1, 0)."""
    found = steps(batch(COMB))
    yes = {
        name: {
            divmod(int(cell), 3) for cell in np.flatnonzero(fact.counts[0] & (fact.value[0] == 1))
        }
        for name, fact in found.items()
    }
    searched = COMB.steps_from(COMB.target)
    for k in range(1, 7):
        assert yes[f"step_{k}"] == {cell for cell, step in searched.items() if step == k}
        counted = {divmod(int(cell), 3) for cell in np.flatnonzero(found[f"step_{k}"].counts[0])}
        around = {
            (r, c)
            for r in range(3)
            for c in range(3)
            if 2 - r + 2 - c <= k and (2 - r + 2 - c) % 2 == k % 2
        }
        assert counted == {c for c in around if searched.get(c, 0) >= k}
