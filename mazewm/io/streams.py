"""Random numbers by name."""

import zlib

import numpy as np


def stream(name: str, seed: int, *parts: int) -> np.random.Generator:
    """The random numbers of one use, named by what they are for: ``stream("swaps", seed)``.

    They follow from the name, the seed and the parts (of which batch, say), so no two uses share
    random numbers by accident, and a use more leaves the others' as they were.

    >>> stream("swaps", 0).integers(100) == stream("swaps", 0).integers(100)
    True
    >>> stream("swaps", 0).random() == stream("forks", 0).random()
    False
    """
    return np.random.default_rng([seed, zlib.crc32(name.encode()), *parts])
