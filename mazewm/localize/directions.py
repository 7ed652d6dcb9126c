"""One supervised direction in the residual stream for every connection, the
baselines of SAE latents.
"""

import numpy as np
from jaxtyping import Float, Int


def mean_differences(
    x: Float[np.ndarray, "token d_model"], connection: Int[np.ndarray, " token"], n_connections: int
) -> Float[np.ndarray, "connection d_model"]:
    """Mean activation at the tokens that spell a connection, less the mean at the site's other
    tokens (zero if never encoded)."""
    x = x.astype(np.float64)
    total, n = x.sum(axis=0), len(x)
    directions = np.zeros((n_connections, x.shape[1]))
    for e in range(n_connections):
        on = connection == e
        if on.any() and not on.all():
            inside = x[on].sum(axis=0)
            directions[e] = inside / on.sum() - (total - inside) / (n - on.sum())
    return directions


def probe_directions(
    x: Float[np.ndarray, "token d_model"], connection: Int[np.ndarray, " token"], n_connections: int
) -> Float[np.ndarray, "connection d_model"]:
    """Weights of a linear probe (ridge classifier) for "which connection is this"."""
    # slow, and most who import this module fit nothing
    from sklearn.linear_model import RidgeClassifier

    probe = RidgeClassifier(class_weight="balanced").fit(x.astype(np.float64), connection)
    directions = np.zeros((n_connections, x.shape[1]))
    directions[probe.classes_] = probe.coef_
    return directions
