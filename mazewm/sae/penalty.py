"""The weight of the L1 penalty at which a ``relu`` SAE has a wanted number of active latents."""

from collections.abc import Callable

import numpy as np

FIRST = 1.0  # the penalty that is tried first
STEP = 4.0  # factor between tries until the wanted number lies between two
FEWEST = 1e-3  # active latents per token; an SAE with none is taken to have so many


def penalty_for(l0_of: Callable[[float], float], wanted: float, n_tries: int) -> float:
    """Of ``n_tries`` penalties, that whose L0, ``l0_of(penalty)``, is nearest to ``wanted`` by
    ratio. A larger penalty should leave fewer latents active. Until two tries enclose the wanted
    L0, penalties grow or shrink by STEP; then each is interpolated between the two that enclose it
    most closely, on logarithmic scales.

    >>> round(penalty_for(lambda penalty: 8 / penalty, wanted=2.0, n_tries=3), 6)
    4.0
    """
    tried: dict[float, float] = {}
    penalty = FIRST
    for _ in range(n_tries):
        tried[penalty] = np.log(max(l0_of(penalty), FEWEST) / wanted)
        penalty = _next(tried)
    return min(tried, key=lambda each: abs(tried[each]))


def _next(tried: dict[float, float]) -> float:
    """The penalty to try next; ``tried`` has the log ratio of L0 to the wanted one by penalty."""
    low = max((penalty for penalty, ratio in tried.items() if ratio > 0), default=None)
    high = min(
        (penalty for penalty, ratio in tried.items() if ratio <= 0 and penalty > (low or 0)),
        default=None,
    )
    if low is None:
        return min(tried) / STEP
    if high is None:
        return low * STEP
    above, below = tried[low], tried[high]
    # L0 is no power of the penalty, so that a step would often end next to one of the two.
    share = float(np.clip(above / (above - below), 0.1, 0.9))
    return float(np.exp((1 - share) * np.log(low) + share * np.log(high)))
