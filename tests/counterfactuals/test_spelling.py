"""The two lists of a pair, read token by token."""

import numpy as np
import pytest
from counterfactuals.small_trees import every_kind

from mazewm.counterfactuals.spelling import lists_of
from mazewm.maze.tokens import Vocabulary

KINDS = every_kind(61, 5, 99)
TWINS = KINDS["add"]


def spelled(n: int, tokens: np.ndarray) -> list[tuple[str, str]]:
    """The cells of each connection, in order and direction, of the text of a list."""
    first, *middle, last = Vocabulary(n).text(tokens).split(" ")
    assert (first, last) == ("<ADJLIST_START>", "<ADJLIST_END>")
    assert middle[1::4] == ["<-->"] * (len(middle) // 4) and set(middle[3::4]) == {";"}
    return list(zip(middle[::4], middle[2::4], strict=True))


def name(grid, connection) -> frozenset[str]:
    return frozenset(grid.name(int(connection)).replace(")-(", ") (").split(" "))


@pytest.mark.parametrize("kind", list(KINDS))
def test_both_lists_say_the_same_in_the_same_order_but_for_the_edit(kind):
    pairs, rng, places, n_swapped = KINDS[kind], np.random.default_rng(1), set(), 0
    for index in pairs.batches(13):
        part = pairs[index]
        lists, grid = lists_of(part, rng), part.grid
        assert lists.n_connections == part.before[0].sum()
        for nth in range(len(part)):
            before, after = (spelled(grid.n, tokens[nth]) for tokens in lists[:2])
            added = {name(grid, e) for e in part.added[nth]}
            removed = {name(grid, e) for e in part.removed[nth]}
            said = {name(grid, e) for e in np.flatnonzero(part.before[nth])}
            assert set(map(frozenset, before)) == said and len(before) == len(said)
            assert set(map(frozenset, after)) == said - removed | added
            kept = [one for one in before if frozenset(one) not in removed]
            assert [one for one in after if frozenset(one) not in added] == kept
            assert [name(grid, e) for e in lists.order[nth]] == list(map(frozenset, before))
            more, edited = (before, removed) if removed else (after, added)
            places |= {at for at, one in enumerate(more) if frozenset(one) in edited}
            n_swapped += sum(a > b for a, b in before)
    assert len(places) >= 6, "anywhere"
    total = int(pairs.before.sum())
    assert 0.3 * total < n_swapped < 0.7 * total, "in either direction"


@pytest.mark.parametrize("kind", ["remove", "move"])
def test_the_place_of_a_connection_is_known(kind):
    for index in KINDS[kind].batches(13):
        part = KINDS[kind][index]
        lists = lists_of(part, np.random.default_rng(1))
        [place] = lists.nth(part.removed).T
        for nth, at in enumerate(place):
            there = spelled(part.grid.n, lists.before[nth])[at]
            assert frozenset(there) == name(part.grid, part.removed[nth, 0])
        whole = np.stack([np.flatnonzero(row) for row in part.before])
        assert np.array_equal(np.take_along_axis(lists.order, lists.nth(whole), axis=1), whole)


def test_lists_are_random_and_repeatable():
    part = TWINS[next(TWINS.batches(50))]
    one, again, other = (lists_of(part, np.random.default_rng(seed)).before for seed in (0, 0, 1))
    assert np.array_equal(one, again) and not np.array_equal(one, other)
