"""Random numbers by name: what they follow from, and that two names do not share them."""

import itertools

import numpy as np
import pytest

from mazewm.io.streams import stream


def numbers(*asked) -> list[int]:
    return stream(*asked).integers(1 << 62, size=7).tolist()


def test_the_same_name_and_seed_give_the_same_numbers():
    assert numbers("swaps", 3) == numbers("swaps", 3)
    assert numbers("swaps", 3, 5, 0) == numbers("swaps", 3, 5, 0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("swaps", 3), ("forks", 3)),  # another name
        (("swaps", 3), ("swaps", 4)),  # another seed
        (("swaps", 3), ("swaps", 3, 1)),  # a part more
        (("swaps", 3, 1), ("swaps", 3, 2)),  # another part
        (("swaps", 3, 1, 2), ("swaps", 3, 2, 1)),  # the same parts in another order
        (("swaps", 3, 5), ("swaps", 5, 3)),
    ],
)
def test_whatever_differs_gives_other_numbers(one, other):
    assert not set(numbers(*one)) & set(numbers(*other))


def test_parts_and_seeds_do_not_meet():
    """No two of many give the same numbers."""
    asked = [
        (name, *rest)
        for name in ("swaps", "forks: first", "forks: later", "")
        for rest in [*itertools.product(range(5)), *itertools.product(range(5), range(1, 5))]
    ]
    assert len({tuple(numbers(*each)) for each in asked}) == len(asked) == 100


def test_a_draw_leaves_the_other_streams_as_they_were():
    one, other = stream("swaps", 0), stream("forks", 0)
    expected = stream("forks", 0).random(5)
    one.random(11)
    assert np.array_equal(other.random(5), expected)
