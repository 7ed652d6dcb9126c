"""A maze <-> the sequence that spells it, and which position speaks of which cell
or connection.

    <ADJLIST_START> (0,0) <--> (1,0) ; (1,0) <--> (1,1) ; ... <ADJLIST_END> <ORIGIN_START> (0,0)
    <ORIGIN_END> <TARGET_START> (1,1) <TARGET_END> <PATH_START> (0,0) (1,0) (1,1) <PATH_END>

This is the adjacency-list-then-path spelling ("AOTP") of the maze-dataset library, one token per
coordinate. Connections come in random order, each in a random direction.
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
    """The tokens that ask a question behind an adjacency list, by their place in it."""

    ORIGIN_START = 0
    ORIGIN = 1
    ORIGIN_END = 2
    TARGET_START = 3
    TARGET = 4
    TARGET_END = 5
    PATH_START = 6


ASKING = len(Asking)


class TokenClass(StrEnum):
    """What a position is for. The first four spell a connection: ``c1 <--> c2 ;``."""

    C1 = "c1"
    CONNECTOR = "<-->"
    C2 = "c2"
    DELIMITER = ";"
    FRAME = "frame"  # the markers, and origin and target between them
    PATH = "path"  # the cells after <PATH_START>


CONNECTION_CLASSES = (TokenClass.C1, TokenClass.CONNECTOR, TokenClass.C2, TokenClass.DELIMITER)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of an n x n lattice: the special ones, then one per cell."""

    n: int

    @cached_property
    def names(self) -> tuple[str, ...]:
        return SPECIALS + tuple(f"({row},{col})" for row in range(self.n) for col in range(self.n))

    def __len__(self) -> int:
        return len(SPECIALS) + self.n * self.n

    @property
    def first_cell(self) -> int:
        """The token id of cell 0; cell c has token ``first_cell + c``."""
        return len(SPECIALS)

    @property
    def grid(self) -> Lattice:
        return lattice(self.n)

    @property
    def max_length(self) -> int:
        """The longest sequence there can be: every connection encoded, and a path over all
        cells."""
        return prompt_length(self.grid.n_connections) + self.grid.n_cells + 1

    def text(self, tokens: np.ndarray) -> str:
        """One sequence as people and the maze-dataset library write it."""
        return " ".join(self.names[token] for token in tokens if token != PADDING)


def list_length(n_connections: int) -> int:
    """Tokens of the adjacency list, ``<ADJLIST_START>`` and ``<ADJLIST_END>`` included: what all
    questions about a maze share."""
    return TOKENS_PER_CONNECTION * n_connections + 2


def prompt_length(n_connections: int) -> int:
    """Tokens up to and including ``<PATH_START>``."""
    return list_length(n_connections) + ASKING


def connection_positions(n_connections: int, token_class: TokenClass) -> np.ndarray:
    """The positions of one of the four tokens of every connection, in order of spelling."""
    return (
        1 + TOKENS_PER_CONNECTION * np.arange(n_connections) + CONNECTION_CLASSES.index(token_class)
    )


def token_classes(n_connections: int, length: int) -> list[TokenClass]:
    """The class of each of the first ``length`` positions."""
    adjacency = list(CONNECTION_CLASSES) * n_connections
    # <ADJLIST_START>, the connections, <ADJLIST_END> and the question
    classes = [TokenClass.FRAME, *adjacency, *[TokenClass.FRAME] * (1 + ASKING)]
    return (classes + [TokenClass.PATH] * max(0, length - len(classes)))[:length]


@dataclass(frozen=True)
class Encoded:
    """Mazes with equally many connections as equally long sequences, padded after the path."""

    tokens: Int[np.ndarray, "maze pos"]
    order: Int[np.ndarray, "maze nth"]  # which connection is spelled n-th
    is_flipped: Bool[np.ndarray, "maze nth"]  # whether its lower or right cell comes first
    n_connections: int

    @property
    def lists(self) -> Int[np.ndarray, "maze pos"]:
        """The adjacency lists, the first part of the sequences."""
        return self.tokens[:, : list_length(self.n_connections)]

    @property
    def prompt(self) -> Int[np.ndarray, "maze pos"]:
        """The sequences up to and including ``<PATH_START>``."""
        return self.tokens[:, : prompt_length(self.n_connections)]


def encoding_rng(seed: int) -> np.random.Generator:
    """The random numbers by which mazes are encoded: the same everywhere, so that two studies of
    the same mazes read the same prompts."""
    return np.random.default_rng(seed)


def random_order(mazes: Mazes, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A random order and direction for the connections of mazes that have equally many."""
    n = int(mazes.n_connections[0])
    # Sorting random keys of the open connections (closed ones last) draws an order without
    # replacement.
    keys = rng.random(mazes.connections.shape, dtype=np.float32)
    keys[~mazes.connections] = 2
    return np.argsort(keys, axis=1)[:, :n], rng.random((len(mazes), n), dtype=np.float32) < 0.5


def encode(mazes: Mazes, rng: np.random.Generator) -> Encoded:
    """Spell mazes that have equally many connections, in random order and direction."""
    return encode_as(mazes, *random_order(mazes, rng))


def encode_lists(
    grid: Lattice, order: np.ndarray, is_flipped: np.ndarray
) -> Int[np.ndarray, "maze pos"]:
    """The adjacency lists that name the given connections in this order, each in its direction."""
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
    """The tokens of Asking, which follow an adjacency list, for origins and targets of any
    shape."""
    first_cell = Vocabulary(grid.n).first_cell
    tokens = np.empty((*origin.shape, ASKING), np.int64)
    tokens[...] = [ORIGIN_START, 0, ORIGIN_END, TARGET_START, 0, TARGET_END, PATH_START]
    tokens[..., Asking.ORIGIN] = origin + first_cell
    tokens[..., Asking.TARGET] = target + first_cell
    return tokens


def encode_paths(grid: Lattice, path: np.ndarray) -> Int[np.ndarray, "*question pos"]:
    """Paths, padded with -1, as tokens with ``<PATH_END>``, padded to the longest of them."""
    length = (path >= 0).sum(axis=-1, keepdims=True)
    n = int(length.max())
    tokens = np.full((*path.shape[:-1], n + 1), PADDING, np.int64)
    tokens[..., :n] = np.where(
        path[..., :n] >= 0, path[..., :n] + Vocabulary(grid.n).first_cell, PADDING
    )
    np.put_along_axis(tokens, length, PATH_END, axis=-1)
    return tokens


def encode_as(mazes: Mazes, order: np.ndarray, is_flipped: np.ndarray) -> Encoded:
    """Spell the given order and direction; the paths are padded to the longest of the batch."""
    grid = mazes.grid
    parts = [
        encode_lists(grid, order, is_flipped),
        encode_questions(grid, mazes.origin, mazes.target),
        encode_paths(grid, mazes.path),
    ]
    return Encoded(np.concatenate(parts, axis=1), order, is_flipped, order.shape[1])
