"""Permutation tests over runs: encodings exchanged among the runs, and the two objectives of a pair
of runs exchanged (docs/science.md#over-seeds).

Every way to exchange them is tried where there are at most MOST; otherwise N_DRAWN drawn at random,
and the ways as they are. So no p value lies below what the number of runs allows, which is known
before anything is measured.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from math import factorial, prod

import numpy as np
from jaxtyping import Float, Int

MOST, N_DRAWN, SEED = 200_000, 9_999, 0

Labels = Int[np.ndarray, "way run"]


def n_ways(sizes: Sequence[int]) -> int:
    """How many ways there are to deal all runs to groups of these sizes.

    >>> n_ways([5, 5]), n_ways([5] * 5)
    (252, 623360743125120)
    """
    return factorial(sum(sizes)) // prod(factorial(size) for size in sizes)


def smallest_p(sizes: Sequence[int]) -> float:
    """The smallest p that a test can have whose statistic does not depend on which group is which:
    groups of equal sizes can change places.

    >>> round(smallest_p([5, 5]), 4), smallest_p([1, 1]), smallest_p([5] * 5)
    (0.0079, 1.0, 0.0001)
    """
    alike = prod(factorial(n) for n in Counter(sizes).values())
    exact = alike / n_ways(sizes)
    return exact if n_ways(sizes) <= MOST else max(exact, 1 / (N_DRAWN + 1))


def ways(groups: Sequence[int]) -> Labels:
    """The group of every run, the first time as given (0, 1, ...), then exchanged in all other
    ways, or in N_DRAWN ways at random.

    >>> ways([0, 0, 1]).tolist()
    [[0, 0, 1], [0, 1, 0], [1, 0, 0]]
    """
    given = np.asarray(groups)
    sizes = np.bincount(given)
    if n_ways(sizes.tolist()) > MOST:
        rng = np.random.default_rng(SEED)
        drawn = rng.permuted(np.tile(given, (N_DRAWN, 1)), axis=1)
        return np.concatenate([given[None], drawn])
    every = np.array(list(_deal(len(given), sizes.tolist())))
    is_given = (every == given).all(axis=1)
    return np.concatenate([given[None], every[~is_given]])


def _deal(n: int, sizes: list[int]) -> Iterator[Int[np.ndarray, " run"]]:
    """All ways to deal n runs; the last group takes the rest."""
    first, rest = sizes[0], sizes[1:]
    for chosen in combinations(range(n), first):
        found = np.zeros(n, int)
        if not rest:
            yield found
            continue
        others = np.setdiff1d(np.arange(n), chosen)
        for inner in _deal(n - first, rest):
            found[others] = inner + 1
            yield found.copy()


def smallest_p_of_signs(n: int) -> float:
    """The same for n pairs, where the sign of all differences together says nothing.

    >>> smallest_p_of_signs(5), smallest_p_of_signs(6)
    (0.0625, 0.03125)
    """
    return max(2.0 ** (1 - n), 1 / (N_DRAWN + 1) if 2**n > MOST else 0.0)


def signs(n: int) -> Float[np.ndarray, "way pair"]:
    """All ways to exchange the two members of each of n pairs, or N_DRAWN of them at random, as
    signs of their differences; the first time as they are."""
    if 2**n <= MOST:
        bits = np.arange(2**n)[:, None] >> np.arange(n) & 1
    else:
        bits = np.random.default_rng(SEED).integers(0, 2, (N_DRAWN + 1, n))
        bits[0] = 0
    return 1.0 - 2.0 * bits


def p_of(statistic: Float[np.ndarray, " way"]) -> float:
    """The share of ways with a statistic at least as large as the first, which counts, too; 1 if
    there is none (NaN)."""
    return float((~(statistic < statistic[0] - 1e-9 * max(1.0, abs(statistic[0])))).mean())
