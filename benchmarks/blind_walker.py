"""The share of mazes that a walker that ignores walls would solve: ``python -m
benchmarks.blind_walker [MAZES]``.

The walker takes a uniformly random shortest path of the lattice without walls. If the maze's path
is as short as that, it is one of these paths, and the walker takes it with a probability of one
over their number; otherwise the walker cannot solve the maze. The share is computed exactly, for
the mazes of the folder MAZES (by default artifacts/mazes).
"""

import math
import sys
from pathlib import Path

import numpy as np

from mazewm.maze.mazes import Mazes, read


def chance(mazes: Mazes) -> np.ndarray:
    """The probability that the walker solves each maze, [maze]."""
    n = mazes.grid.n
    rows = np.abs(mazes.origin // n - mazes.target // n)
    cols = np.abs(mazes.origin % n - mazes.target % n)
    one_of = [math.comb(down + across, down) for down, across in zip(rows, cols, strict=True)]
    return np.where(mazes.path_length - 1 == rows + cols, 1 / np.array(one_of), 0.0)


def main(folder: Path) -> None:
    """Print the expected share of mazes solved, by set and family."""
    for name in ("validation", "test", "overload"):
        mazes = read(folder / f"{name}.parquet")
        p = chance(mazes)
        families = {str(f): p[mazes.family == f].mean() for f in np.unique(mazes.family)}
        told = ", ".join(f"{family} {share:.1%}" for family, share in families.items())
        print(f"{name}: {p.mean():.1%} of {len(mazes):,} questions ({told})")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "artifacts/mazes"))
