"""Mazes encoded as token sequences, and the positions that encode each connection.

    <ADJLIST_START> (0,0) <--> (1,0) ; (1,0) <--> (1,1) ; ... <ADJLIST_END> <ORIGIN_START> (0,0)
    <ORIGIN_END> <TARGET_START> (1,1) <TARGET_END> <PATH_START> (0,0) (1,0) (1,1) <PATH_END>

This is the format "AOTP" (adjacency list, origin, target, path) of the maze-dataset library, with
one token for each cell (docs/science.md#adjacency-list). Connections come in random order, each in
a random direction. The *list* is the adjacency list with its two markers; the *prompt* is all up to
and including ``<PATH_START>``.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

from mazewm.maze.lattice import Lattice, lattice
from mazewm.maze.mazes import Mazes

SPECIALS = (
    "<PADDING>",
    "<ADJLIST_START>",
    "<ADJLIST_END>",
    "<ORIGIN_START>",
    "<ORIGIN_END>",
    "<TARGET_START>",
    "<TARGET_END>",
    "<PATH_START>",
    "<PATH_END>",
    "<-->",
    ";",
)
(
    PADDING,
    ADJLIST_START,
    ADJLIST_END,
    ORIGIN_START,
    ORIGIN_END,
    TARGET_START,
    TARGET_END,
    PATH_START,
    PATH_END,
    CONNECTOR,
    DELIMITER,
) = range(len(SPECIALS))
TOKENS_PER_CONNECTION = 4


class Asking(IntEnum):
    """The tokens that encode a question, after the adjacency list, each by its index among them."""

    ORIGIN_START = 0
    ORIGIN = 1
    ORIGIN_END = 2
    TARGET_START = 3
    TARGET = 4
    TARGET_END = 5
    PATH_START = 6


ASKING = len(Asking)


class TokenClass(StrEnum):
    """The role of a position in a sequence. The first four classes are the tokens that encode a
    connection: ``c1 <--> c2 ;``."""

    C1 = "c1"
    CONNECTOR = "<-->"
    C2 = "c2"
    DELIMITER = ";"
    FRAME = "frame"  # the markers up to <PATH_START>, and origin and target between them
    PATH = "path"  # all after <PATH_START>: the cells of the path, and <PATH_END>


CONNECTION_CLASSES = (TokenClass.C1, TokenClass.CONNECTOR, TokenClass.C2, TokenClass.DELIMITER)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens for mazes on an n x n lattice: the special ones, then one for each cell.

    >>> vocabulary = Vocabulary(5)
    >>> len(vocabulary), vocabulary.first_cell, vocabulary.names[11:14]
    (36, 11, ('(0,0)', '(0,1)', '(0,2)'))
    """

    n: int

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The text of every token, by token id."""
        return SPECIALS + tuple(f"({row},{col})" for row in range(self.n) for col in range(self.n))

    def __len__(self) -> int:
        return len(SPECIALS) + self.n * self.n

    @property
    def first_cell(self) -> int:
        """The token id of cell 0; cell c has token ``first_cell + c``."""
        return len(SPECIALS)

    @property
    def grid(self) -> Lattice:
        """The lattice whose cells have tokens."""
        return lattice(self.n)

    @property
    def max_length(self) -> int:
        """The length of the longest possible sequence: all connections of the lattice, and a path
        through all cells."""
        return prompt_length(self.grid.n_connections) + self.grid.n_cells + 1

    def text(self, tokens: np.ndarray) -> str:
        """One sequence as text, in the format of the maze-dataset library, without padding."""
        return " ".join(self.names[token] for token in tokens if token != PADDING)


def list_length(n_connections: int) -> int:
    """The number of tokens of an adjacency list, with ``<ADJLIST_START>`` and ``<ADJLIST_END>``.
    All questions about a maze share this part of the prompt."""
    return TOKENS_PER_CONNECTION * n_connections + 2


def prompt_length(n_connections: int) -> int:
    """The number of tokens of a prompt, up to and including ``<PATH_START>``.

    >>> prompt_length(10)  # 4 for each connection, 2 markers, 7 for the question
    49
    """
    return list_length(n_connections) + ASKING


def connection_positions(n_connections: int, token_class: TokenClass) -> np.ndarray:
    """The positions of one of the four tokens of every connection, in the order of the list.

    >>> connection_positions(3, TokenClass.C2)
    array([ 3,  7, 11])
    """
    return (
        1 + TOKENS_PER_CONNECTION * np.arange(n_connections) + CONNECTION_CLASSES.index(token_class)
    )


def token_classes(n_connections: int, length: int) -> list[TokenClass]:
    """The class of each of the first ``length`` positions of a sequence.

    >>> [str(c) for c in token_classes(n_connections=1, length=6)]
    ['frame', 'c1', '<-->', 'c2', ';', 'frame']
    """
    adjacency = list(CONNECTION_CLASSES) * n_connections
    # <ADJLIST_START>, the connections, then <ADJLIST_END> and the question
    classes = [TokenClass.FRAME, *adjacency, *[TokenClass.FRAME] * (1 + ASKING)]
    return (classes + [TokenClass.PATH] * max(0, length - len(classes)))[:length]


@dataclass(frozen=True)
class Encoded:
    """Encoded mazes: all have equally many connections, and so prompts of equal length. Shorter
    paths are padded at the end."""

    tokens: Int[np.ndarray, "maze pos"]
    order: Int[np.ndarray, "maze nth"]  # which connection is n-th in the list
    is_flipped: Bool[np.ndarray, "maze nth"]  # whether its lower or right cell is c1
    n_connections: int

    @property
    def lists(self) -> Int[np.ndarray, "maze pos"]:
        """The first part of the sequences, up to and including ``<ADJLIST_END>``."""
        return self.tokens[:, : list_length(self.n_connections)]

    @property
    def prompt(self) -> Int[np.ndarray, "maze pos"]:
        """The sequences up to and including ``<PATH_START>``."""
        return self.tokens[:, : prompt_length(self.n_connections)]


def encoding_rng(seed: int) -> np.random.Generator:
    """The random generator for encoding mazes. It is the same for all studies of a seed, so that
    two studies of the same mazes in the same batches read the same prompts."""
    return np.random.default_rng(seed)


def random_order(mazes: Mazes, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random order and random directions of the connections of each maze: ``order`` and
    ``is_flipped`` of ``Encoded``. All mazes must have equally many connections."""
    n = int(mazes.n_connections[0])
    # Sorting random keys gives a random order; connections that are absent come last and are cut.
    keys = rng.random(mazes.connections.shape, dtype=np.float32)
    keys[~mazes.connections] = 2
    return np.argsort(keys, axis=1)[:, :n], rng.random((len(mazes), n), dtype=np.float32) < 0.5


def encode(mazes: Mazes, rng: np.random.Generator) -> Encoded:
    """Encode mazes with their connections in random order and direction. All mazes must have
    equally many connections (see ``Mazes.batches``)."""
    return encode_as(mazes, *random_order(mazes, rng))


def encode_lists(
    grid: Lattice, order: np.ndarray, is_flipped: np.ndarray
) -> Int[np.ndarray, "maze pos"]:
    """The adjacency lists of the given connections: ``order`` and ``is_flipped`` are
    ``[maze, nth]``, as in ``Encoded``."""
    n_mazes, n = order.shape
    ends = grid.ends[order] + Vocabulary(grid.n).first_cell
    tokens = np.empty((n_mazes, list_length(n)), np.int64)
    tokens[:, 0] = ADJLIST_START
    tokens[:, connection_positions(n, TokenClass.C1)] = np.where(
        is_flipped, ends[..., 1], ends[..., 0]
    )
    tokens[:, connection_positions(n, TokenClass.CONNECTOR)] = CONNECTOR
    tokens[:, connection_positions(n, TokenClass.C2)] = np.where(
        is_flipped, ends[..., 0], ends[..., 1]
    )
    tokens[:, connection_positions(n, TokenClass.DELIMITER)] = DELIMITER
    tokens[:, -1] = ADJLIST_END
    return tokens


def encode_questions(
    grid: Lattice, origin: np.ndarray, target: np.ndarray
) -> Int[np.ndarray, "*question pos"]:
    """The tokens of each question (see ``Asking``), ``<ORIGIN_START>`` to ``<PATH_START>``.
    ``origin`` and ``target`` are cell numbers, in arrays of any shape."""
    first_cell = Vocabulary(grid.n).first_cell
    tokens = np.empty((*origin.shape, ASKING), np.int64)
    tokens[...] = [ORIGIN_START, 0, ORIGIN_END, TARGET_START, 0, TARGET_END, PATH_START]
    tokens[..., Asking.ORIGIN] = origin + first_cell
    tokens[..., Asking.TARGET] = target + first_cell
    return tokens


def encode_paths(grid: Lattice, path: np.ndarray) -> Int[np.ndarray, "*question pos"]:
    """Paths (cell numbers, padded with -1 on the last axis) as tokens, each with ``<PATH_END>``,
    padded to the longest of them."""
    length = (path >= 0).sum(axis=-1, keepdims=True)
    n = int(length.max())
    tokens = np.full((*path.shape[:-1], n + 1), PADDING, np.int64)
    tokens[..., :n] = np.where(
        path[..., :n] >= 0, path[..., :n] + Vocabulary(grid.n).first_cell, PADDING
    )
    np.put_along_axis(tokens, length, PATH_END, axis=-1)
    return tokens


def encode_as(mazes: Mazes, order: np.ndarray, is_flipped: np.ndarray) -> Encoded:
    """Encode mazes with their connections in the given order and directions (``[maze, nth]``, as in
    ``Encoded``). Paths are padded to the longest of the batch.

    >>> from mazewm.maze.maze import Maze
    >>> maze = Maze.of(2, [((0, 0), (1, 0)), ((1, 0), (1, 1))], origin=(0, 0), target=(1, 1))
    >>> order = np.flatnonzero(maze.bits)[None]
    >>> encoded = encode_as(Mazes.of([maze]), order, is_flipped=np.array([[False, True]]))
    >>> Vocabulary(2).text(encoded.lists[0])
    '<ADJLIST_START> (0,0) <--> (1,0) ; (1,1) <--> (1,0) ; <ADJLIST_END>'
    """
    grid = mazes.grid
    parts = [
        encode_lists(grid, order, is_flipped),
        encode_questions(grid, mazes.origin, mazes.target),
        encode_paths(grid, mazes.path),
    ]
    return Encoded(np.concatenate(parts, axis=1), order, is_flipped, order.shape[1])
