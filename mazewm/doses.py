"""Doses beyond those tried (docs/science.md#own-best-dose)."""

from collections.abc import Mapping

MOST_GROWTH = 6  # times that a method's doses are doubled or halved further


def next_dose(scores: Mapping[float, float]) -> float | None:
    """Twice or half of the best dose where this is at an end of those tried; None where it lies
    between others.

    >>> next_dose({1.0: 0.2, 2.0: 0.3}), next_dose({1.0: 0.1, 2.0: 0.3, 4.0: 0.2})
    (4.0, None)
    """
    best = max(scores, key=lambda dose: scores[dose])
    if best == max(scores):
        return best * 2
    return best / 2 if best == min(scores) else None
