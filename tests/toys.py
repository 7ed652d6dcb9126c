"""Toys for the tests: hand-drawn mazes with their own parser and search, and a hand-wired transformer.

Nothing here uses the code under test to find an answer: drawings are parsed and searched with sets of coordinates.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch

from mazewm.maze.lattice import lattice
from mazewm.maze.mazes import Mazes
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.tokens import Vocabulary

Cell = tuple[int, int]


@dataclass(frozen=True)
class Drawing:
    """A maze as a set of pairs of coordinates."""

    n: int
    pairs: frozenset[frozenset[Cell]]
    origin: Cell
    target: Cell

    @property
    def bits(self) -> np.ndarray:
        """Vertical connections row by row, then horizontal ones row by row."""
        every = [((r, c), (r + 1, c)) for r in range(self.n - 1) for c in range(self.n)]
        every += [((r, c), (r, c + 1)) for r in range(self.n) for c in range(self.n - 1)]
        return np.array([frozenset(pair) in self.pairs for pair in every])

    def number(self, cell: Cell) -> int:
        """Row-major."""
        return cell[0] * self.n + cell[1]

    def around(self, cell: Cell) -> list[Cell]:
        """The cells that a connection joins to ``cell``."""
        return [other for pair in self.pairs if cell in pair for other in pair if other != cell]

    def steps_from(self, source: Cell) -> dict[Cell, int]:
        """Steps from ``source`` to every cell that can be reached."""
        steps, queue = {source: 0}, deque([source])
        while queue:
            here = queue.popleft()
            for cell in self.around(here):
                if cell not in steps:
                    steps[cell] = steps[here] + 1
                    queue.append(cell)
        return steps

    def canonical(self) -> tuple:
        """The same for drawings that are equal but turned, mirrored or moved, and for no others."""
        turns = [lambda r, c: (r, c), lambda r, c: (c, -r), lambda r, c: (-r, -c), lambda r, c: (-c, r)]
        turns += [lambda r, c: (r, -c), lambda r, c: (-r, c), lambda r, c: (c, r), lambda r, c: (-c, -r)]
        images = []
        for turn in turns:
            image = [[turn(*cell) for cell in pair] for pair in self.pairs]
            top = min((r for pair in image for r, _ in pair), default=0)
            left = min((c for pair in image for _, c in pair), default=0)
            images.append(sorted(sorted((r - top, c - left) for r, c in pair) for pair in image))
        return tuple(tuple(pair) for pair in min(images))

    def shortest_paths(self) -> list[list[Cell]]:
        """Every shortest path from origin to target."""
        steps = self.steps_from(self.target)
        if self.origin not in steps:
            return []
        paths = [[self.origin]]
        while paths[0][-1] != self.target:
            paths = [[*path, cell] for path in paths for cell in self.around(path[-1]) if steps[cell] == steps[path[-1]] - 1]
        return paths


def draw(text: str) -> Drawing:
    """Parse a drawing: cells are ``o``, the origin ``O`` and the target ``T``; ``-`` and ``|`` are connections."""
    lines = [line for line in text.split("\n") if line.strip()]
    margin = min(len(line) - len(line.lstrip()) for line in lines[::2])
    rows = [line[margin:] for line in lines]
    n = (len(rows) + 1) // 2
    at = {(r, c): rows[r][c] for r in range(2 * n - 1) for c in range(min(len(rows[r]), 2 * n - 1))}
    cells = {(r, c): at[2 * r, 2 * c] for r in range(n) for c in range(n)}
    assert sorted(cells.values()) == sorted("O" + "T" + "o" * (n * n - 2)), "draw every cell, one O and one T"
    across = [((r, c), (r, c + 1)) for r in range(n) for c in range(n - 1) if at.get((2 * r, 2 * c + 1)) == "-"]
    down = [((r, c), (r + 1, c)) for r in range(n - 1) for c in range(n) if at.get((2 * r + 1, 2 * c)) == "|"]
    where = {mark: cell for cell, mark in cells.items()}
    return Drawing(n, frozenset(map(frozenset, across + down)), where["O"], where["T"])


def drawing_of(n: int, bits: np.ndarray, origin: int = 0, target: int = 0) -> Drawing:
    """The set-of-pairs form of one row of bits."""
    every = [((r, c), (r + 1, c)) for r in range(n - 1) for c in range(n)]
    every += [((r, c), (r, c + 1)) for r in range(n) for c in range(n - 1)]
    pairs = frozenset(frozenset(pair) for pair, bit in zip(every, bits, strict=True) if bit)
    return Drawing(n, pairs, divmod(int(origin), n), divmod(int(target), n))


def batch(*drawings: Drawing) -> Mazes:
    """Drawings of one size as a batch, with the paths that their own search finds."""
    n = drawings[0].n
    path = np.full((len(drawings), n * n), -1, np.int16)
    for row, drawing in zip(path, drawings, strict=True):
        cells = [drawing.number(cell) for cell in drawing.shortest_paths()[0]]
        row[: len(cells)] = cells
    return Mazes(
        lattice(n),
        np.arange(len(drawings)),
        np.full(len(drawings), "drawn"),
        np.stack([drawing.bits for drawing in drawings]),
        np.array([drawing.number(drawing.origin) for drawing in drawings]),
        np.array([drawing.number(drawing.target) for drawing in drawings]),
        path,
    )


HOOK = draw("""
    O-o-o
        |
    o-T o
    |   |
    o-o-o
""")

LADDER = draw("""
    o-o T
    | | |
    O-o-o
      |
    o o o
""")

RING = draw("""
    O-o
    | |
    o-T
""")

ISLANDS = draw("""
    O-o o
    |   |
    o o-o
        |
    o o T
""")

BRIDGE = draw("""
    o-o-o o
    |   | |
    O-o o-o
      |   |
    o-o o-T
    |   |
    o-o-o o
""")


def tiny(encoding: str, d_vocab: int = 19, n_ctx: int = 23, seed: int = 0, n_layers: int = 2) -> Transformer:
    """A random transformer with 3 heads of 10 dimensions."""
    torch.manual_seed(seed)
    params = TransformerParams(n_layers=n_layers, d_model=30, n_heads=3, d_mlp=37)
    return Transformer(params, encoding, d_vocab, n_ctx).eval().requires_grad_(False)


def tokens(n_mazes: int = 5, length: int = 17, d_vocab: int = 19, seed: int = 0) -> torch.Tensor:
    """Random token ids."""
    return torch.randint(d_vocab, (n_mazes, length), generator=torch.Generator().manual_seed(seed))


def looks_two_back(n: int) -> Transformer:
    """One layer whose single head attends to the token two back and copies it onto the token that is there.

    Dimensions are one-hot positions followed by one-hot tokens, so a position's residual holds its own token and the one two
    back: both cells of a connection at c2, and nowhere else.
    """
    vocabulary = Vocabulary(n)
    n_pos, d_vocab = vocabulary.max_length, len(vocabulary)
    d = n_pos + d_vocab
    model = Transformer(TransformerParams(n_layers=1, d_model=d, n_heads=1, d_mlp=2), "learned", d_vocab, n_pos)
    model.silence()
    attn = model.blocks[0].attn
    one = ((1 - 2 / d) / (2 / d - 4 / d**2) ** 0.5) ** -1  # what a one becomes in LayerNorm, inverted
    with torch.no_grad():
        model.W_E.zero_()[:, n_pos:] = torch.eye(d_vocab)
        model.encoding.W_pos.zero_()[:, :n_pos] = torch.eye(n_pos)
        attn.Q.zero_()[torch.arange(2, n_pos), torch.arange(n_pos - 2)] = 10.0
        attn.K.zero_()[:n_pos, :n_pos] = torch.eye(n_pos)
        attn.V.zero_()[n_pos:, n_pos:] = torch.eye(d_vocab) * one
        attn.O.copy_(torch.eye(d))
    return model.eval().requires_grad_(False)
