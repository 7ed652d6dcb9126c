"""The groups of tokens at which activations are patched."""

import numpy as np
from jaxtyping import Bool, Int

from mazewm.maze.tokens import (
    CONNECTION_CLASSES,
    TOKENS_PER_CONNECTION,
    Asking,
    list_length,
    prompt_length,
)

OWN = tuple(f"own {c}" for c in CONNECTION_CLASSES)  # of the swapped connection
LATER = tuple(f"later {c}" for c in CONNECTION_CLASSES)  # of all connections after it
# Origin and target with the markers around them; positions are counted from the end of the list.
FRAME = {
    "<ADJLIST_END>": [-1],
    "origin": [Asking.ORIGIN_START, Asking.ORIGIN, Asking.ORIGIN_END],
    "target": [Asking.TARGET_START, Asking.TARGET, Asking.TARGET_END],
    "<PATH_START>": [Asking.PATH_START],
}
# All groups of one kind patched at once, which shows information that is spread over them.
JOINT = ("own, all", "later, all", "frame, all")
# In order of position. The metric is read from the logits at the last group.
TOKEN_GROUPS = (*OWN, JOINT[0], *LATER, JOINT[1], *FRAME, JOINT[2], "earlier path", "last path")


def token_groups(
    n_connections: int,
    nth: Int[np.ndarray, " pair"],
    n_common: Int[np.ndarray, " pair"],
    length: int,
) -> Bool[np.ndarray, "pair group pos"]:
    """Which positions belong to which of ``TOKEN_GROUPS``.

    ``nth`` is the place of the swapped connection in the list, ``n_common`` the number of cells
    that the two paths start with, ``length`` the number of positions.

    >>> groups = token_groups(2, nth=np.array([1]), n_common=np.array([1]), length=18)
    >>> np.flatnonzero(groups[0, TOKEN_GROUPS.index("own, all")])  # of <ADJLIST_START> c1 <--> ...
    array([5, 6, 7, 8])
    """
    start, pos = prompt_length(n_connections), np.arange(length)
    slot, kind = np.divmod(pos - 1, TOKENS_PER_CONNECTION)
    slot = np.where(slot < n_connections, slot, -1)
    own = [(slot == nth[:, None]) & (kind == k) for k in range(TOKENS_PER_CONNECTION)]
    later = [(slot > nth[:, None]) & (kind == k) for k in range(TOKENS_PER_CONNECTION)]
    frame = [
        np.broadcast_to(np.isin(pos, list_length(n_connections) + np.array(offsets)), own[0].shape)
        for offsets in FRAME.values()
    ]
    last = (start + n_common - 1)[:, None]
    kinds = [[*each, np.any(each, axis=0)] for each in (own, later, frame)]
    return np.stack(
        [*kinds[0], *kinds[1], *kinds[2], (start <= pos) & (pos < last), pos == last], axis=1
    )
