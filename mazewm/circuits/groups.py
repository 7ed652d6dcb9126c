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
# Origin and target with the markers around them, and where they stand behind the list.
FRAME = {
    "<ADJLIST_END>": [-1],
    "origin": [Asking.ORIGIN_START, Asking.ORIGIN, Asking.ORIGIN_END],
    "target": [Asking.TARGET_START, Asking.TARGET, Asking.TARGET_END],
    "<PATH_START>": [Asking.PATH_START],
}
# The groups of one kind at once: what is spread over them shows only here.
JOINT = ("own, all", "later, all", "frame, all")
# In reading order; the last group's logits are read.
TOKEN_GROUPS = (*OWN, JOINT[0], *LATER, JOINT[1], *FRAME, JOINT[2], "earlier path", "last path")


def token_groups(
    n_connections: int,
    nth: Int[np.ndarray, " pair"],
    n_common: Int[np.ndarray, " pair"],
    length: int,
) -> Bool[np.ndarray, "pair group pos"]:
    """Which positions are of which of ``TOKEN_GROUPS``."""
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
