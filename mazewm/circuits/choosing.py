"""How the parts of a circuit are chosen: few that are enough together."""

from collections.abc import Callable, Sequence
from typing import TypeVar

Part = TypeVar("Part")


def few_enough(parts: Sequence[Part], is_enough: Callable[[list[Part]], bool]) -> list[Part]:
    """The first of ``parts`` that are enough together, or all if they never are; then without
    those, the last ones first, that this does not need.

    >>> few_enough([5, 1, 4, 2], lambda some: sum(some) >= 9)
    [5, 4]
    """
    n = next((n for n in range(1, len(parts)) if is_enough(list(parts[:n]))), len(parts))
    chosen = list(parts[:n])
    for part in reversed(chosen):
        rest = [other for other in chosen if other != part]
        if is_enough(rest):
            chosen = rest
    return chosen
