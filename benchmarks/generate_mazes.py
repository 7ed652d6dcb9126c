"""Generating mazes, against maze-dataset: ``python -m benchmarks generate_mazes``.

Both generate depth-first trees over all cells of a 4x4 or 7x7 lattice, draw two random cells, find
the shortest path between them, and encode maze and path (as text in maze-dataset, as token ids in
mazewm).
"""

import warnings
from typing import Any

import numpy as np

from benchmarks.pairing import OURS, Contender, Line, race, rows
from mazewm.datasets.generators import dfs
from mazewm.maze.lattice import lattice
from mazewm.maze.mazes import Mazes, solve
from mazewm.maze.tokens import Vocabulary, encode

SIZES = (4, 7)
N_OURS, N_THEIRS = 20_000, 50  # mazes of one call: ours at once, theirs one after the other
N_CHECKED = 200
PEER = "maze-dataset"


def drawn(rng: np.random.Generator, size: int, n: int) -> Mazes:
    """Trees over all cells, each with two different cells and the path between them."""
    n_cells = size**2
    origin = rng.integers(n_cells, size=n)
    target = (origin + rng.integers(1, n_cells, size=n)) % n_cells
    connections = dfs(rng, size, np.full(n, n_cells))
    return solve(lattice(size), connections, origin, target, np.full(n, "full"))


def our_contender(size: int) -> Contender:
    """A contender that makes one batch."""
    rng = np.random.default_rng(0)
    return lambda: float(len(encode(drawn(rng, size, N_OURS), rng).tokens))


def their_contender(size: int) -> Contender:
    """A contender that makes mazes one by one, for a fraction of a second."""
    from maze_dataset import SolvedMaze
    from maze_dataset.generation import LatticeMazeGenerators
    from maze_dataset.tokenization import MazeTokenizerModular

    tokenizer = MazeTokenizerModular()

    def make() -> float:
        for _ in range(N_THEIRS):
            maze = LatticeMazeGenerators.gen_dfs((size, size))
            path = maze.generate_random_path()
            SolvedMaze(connection_list=maze.connection_list, solution=path).as_tokens(tokenizer)
        return N_THEIRS

    return make


def checked(size: int) -> str:
    """Check that maze-dataset reads our mazes as spanning trees with the shortest paths that it
    finds itself; RuntimeError if not."""
    from maze_dataset import SolvedMaze
    from maze_dataset.tokenization import TokenizationMode

    tokenizer = TokenizationMode.AOTP_UT_uniform.to_legacy_tokenizer(size)
    rng = np.random.default_rng(1)
    mazes = drawn(rng, size, N_CHECKED)
    for tokens in encode(mazes, rng).tokens:
        maze = SolvedMaze.from_tokens(Vocabulary(size).text(tokens).split(), tokenizer)
        if maze.connection_list.sum() != size**2 - 1:
            raise RuntimeError(
                f"generate_mazes: maze-dataset reads a {size}x{size} maze that is no spanning tree."
            )
        if not np.array_equal(
            maze.find_shortest_path(maze.solution[0], maze.solution[-1]), maze.solution
        ):
            raise RuntimeError(
                f"generate_mazes: maze-dataset finds another way through a {size}x{size} maze."
            )
    return f"{N_CHECKED} of ours read by the library: spanning trees, the same shortest paths"


def run() -> list[dict[str, Any]]:
    """The rows of this benchmark: one line of work for each size of lattice."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecation warnings of the library
        for size in SIZES:
            line = Line(
                f"mazes, {size}x{size}",
                f"generate, solve and encode depth-first trees over all {size**2} cells",
                "mazes/s",
                checked(size),
            )
            found += rows(line, race({OURS: our_contender(size), PEER: their_contender(size)}))
    return found
