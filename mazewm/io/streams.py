"""Random generators, each determined by a name and a seed."""

import zlib

import numpy as np


def stream(name: str, seed: int, *parts: int) -> np.random.Generator:
    """A new random generator for one use, named by what it is for: ``stream("swaps", seed)``.

    It is determined by the name, the seed and ``parts`` (such as the number of a batch). So no two
    uses share random numbers by accident, and a new use does not change those of the others.

    >>> draws = [stream(name, seed=0).random() for name in ("swaps", "swaps", "forks")]
    >>> draws[0] == draws[1], draws[0] == draws[2]
    (True, False)
    """
    return np.random.default_rng([seed, zlib.crc32(name.encode()), len(parts), *parts])
