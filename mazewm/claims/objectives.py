"""C10: the training objective changes which token binds (docs/science.md#how-the-code-is-compared).

Of what heads bring of a connection to ``<-->``, ``c2`` and ``;``, the share at ``;`` is compared
between the two objectives, in pairs of runs of one encoding and seed. p is the larger of that of
exchanging the two objectives of every pair, and of Student's interval over pairs.
"""

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from mazewm.claims.claim import LEVEL, Control, claim
from mazewm.claims.exchange import p_of, signs, smallest_p_of_signs
from mazewm.claims.tested import NO_DIFFERENCE, Exchange, Tested, nothing, of_largest

ID, STATEMENT = "C10", "the training objective changes which token binds"
NAME = "share of binding at ;"


def objective_decides(runs: pd.DataFrame) -> Tested:
    """C10, from rows with the columns encoding, seed, objective and value, the share at ``;``. The
    difference is taken so that it is positive, so the claim cannot be refuted. Unmeasured with one
    objective, if no pair differs, or if so few pairs can show nothing."""
    pairs = runs.pivot(index=["encoding", "seed"], columns="objective", values="value").dropna()
    if pairs.shape[1] < 2:
        reason = f"there is only one objective, {', '.join(pairs.columns)}".rstrip(", ")
        return nothing(ID, STATEMENT, NAME, reason)
    one, other = pairs.columns
    if pairs[one].mean() < pairs[other].mean():
        one, other = other, one
    difference, n = (pairs[one] - pairs[other]).to_numpy(float), len(pairs)
    measure = f"{NAME}: {one} - {other}, over {n} pairs of one encoding and seed"
    floor = smallest_p_of_signs(n) if n else 1.0
    if floor > LEVEL:
        reason = f"too few pairs: the smallest p that {n} can give is {floor:.2g}"
        return nothing(ID, STATEMENT, measure, reason)
    if not difference.any():
        return nothing(ID, STATEMENT, measure, "the objectives of no pair differ")
    p = p_of(np.abs((signs(n) * difference).mean(axis=1)))
    error = spread_over_pairs(difference) / n**0.5
    value = float(difference.mean())
    half = float(stats.t.ppf(1 - LEVEL / 2, n - 1)) * error
    gap = of_largest(value, half, n, max(p, 2 * float(stats.t.sf(value / error, n - 1))))
    control = Control("no difference", NO_DIFFERENCE, gap)
    return Tested(claim(ID, STATEMENT, measure, gap.interval, [control]), Exchange(p, floor))


def spread_over_pairs(difference: Float[np.ndarray, " pair"]) -> float:
    """The standard deviation over pairs; if all are equal, what it would be if one pair did not
    differ.

    >>> spread_over_pairs(np.full(4, 0.5))
    0.25
    """
    if np.ptp(difference) < 1e-9 * np.abs(difference).max():
        difference = np.append(difference[1:], 0.0)
    return float(difference.std(ddof=1))
