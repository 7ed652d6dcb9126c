"""The early and the late tokens of some token class (docs/science.md#transfer): one rule for
latents, directions and edits."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

EARLY, LATE = "early", "late"


class Middle(NamedTuple):
    """Where early and late tokens part."""

    last: float  # the last early position

    @classmethod
    def of(cls, positions: Int[np.ndarray, " token"]) -> "Middle":
        """The median position, which is early.

        >>> Middle.of(np.array([3, 7, 11])).is_early(np.array([3, 7, 11])).tolist()
        [True, True, False]
        """
        return cls(float(np.median(positions)))

    def is_early(self, positions: Int[np.ndarray, " token"]) -> Bool[np.ndarray, " token"]:
        """Which of these positions are early."""
        found: Bool[np.ndarray, " token"] = positions <= self.last
        return found
