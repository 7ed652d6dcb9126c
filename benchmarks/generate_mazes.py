"""Mazes generated, solved and spelled per second on one process: mazewm beside the maze-dataset library.

    python benchmarks/generate_mazes.py [SECONDS]

Both make the same thing: depth-first trees over all 16 cells of a 4x4 lattice, two random cells, the shortest path between them, and the
sequence that spells it all (text for the library, token ids for mazewm). The library needs the extra ``mazewm[peers]``.
"""

import os
import sys
import time
import warnings
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from mazewm.maze import datasets  # noqa: E402
from mazewm.maze.lattice import lattice  # noqa: E402
from mazewm.tokens import spell  # noqa: E402

SIZE = 4
FAMILY = datasets.FamilyParams(generator="dfs", size=SIZE, min_cells=SIZE**2, max_cells=SIZE**2, share=1.0)


def ours() -> Callable[[], int]:
    """A function that makes a batch and says how many mazes it holds."""
    rng = np.random.default_rng(0)

    def make() -> int:
        mazes = datasets.draw(rng, lattice(SIZE), "full", FAMILY, datasets.BATCH)
        return sum(len(spell(mazes[index], rng).tokens) for index in mazes.by_n_connections().values())

    return make


def theirs() -> Callable[[], int]:
    """The same with the library."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from maze_dataset import SolvedMaze
        from maze_dataset.generation import LatticeMazeGenerators
        from maze_dataset.tokenization import MazeTokenizerModular
    tokenizer = MazeTokenizerModular()

    def make() -> int:
        for _ in range(100):
            maze = LatticeMazeGenerators.gen_dfs((SIZE, SIZE))
            SolvedMaze(connection_list=maze.connection_list, solution=maze.generate_random_path()).as_tokens(tokenizer)
        return 100

    return make


def mazes_per_second(make: Callable[[], int], seconds: float) -> float:
    """Best of three rounds of processor time, so that other processes do not count."""
    make()
    rates = []
    for _ in range(3):
        n, start = 0, time.process_time()
        while time.process_time() - start < seconds:
            n += make()
        rates.append(n / (time.process_time() - start))
    return max(rates)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    rate = mazes_per_second(ours(), seconds)
    print(f"mazewm        {rate:>10,.0f} spelled {SIZE}x{SIZE} mazes per second and core")
    try:
        peer = theirs()
    except ImportError as error:
        sys.exit(f"maze-dataset  cannot be imported ({error}); install mazewm[peers]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = mazes_per_second(peer, seconds)
    print(f"maze-dataset  {other:>10,.0f}")
    print(f"ratio         {rate / other:>10,.1f}")


if __name__ == "__main__":
    main()
