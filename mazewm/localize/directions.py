"""Supervised directions in the residual stream, one for every connection: the baselines that SAE
latents are compared with.
"""

import numpy as np
from jaxtyping import Float, Int


def mean_differences(
    x: Float[np.ndarray, "token d_model"], connection: Int[np.ndarray, " token"], n_connections: int
) -> Float[np.ndarray, "connection d_model"]:
    """For each connection, the mean activation at the tokens that encode it, minus the mean at all
    other tokens (docs/science.md#mean-difference). Zero for a connection that no token encodes, or
    that all do.

    >>> x, connection = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 6.0]]), np.array([0, 0, 1])
    >>> mean_differences(x, connection, n_connections=3).tolist()
    [[2.0, -6.0], [-2.0, 6.0], [0.0, 0.0]]
    """
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
    """For each connection, the weights of a linear probe (ridge classifier, balanced classes) for
    "which connection is this"; zero for a connection that no token encodes, or that all do."""
    # imported here because it is slow, and most users of this module fit nothing
    from sklearn.linear_model import RidgeClassifier

    directions, present = np.zeros((n_connections, x.shape[1])), np.unique(connection)
    if len(present) < 2:
        return directions
    probe = RidgeClassifier(class_weight="balanced").fit(x.astype(np.float64), connection)
    weights = probe.coef_.reshape(-1, x.shape[1])
    # of two classes the classifier has the weights of the second only
    directions[present] = np.concatenate([-weights, weights]) if len(present) == 2 else weights
    return directions
