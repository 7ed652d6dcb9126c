"""Toys for the tests: hand-drawn mazes with their own parser and search, and a hand-wired
transformer.

Nothing here uses the code under test to find an answer: drawings are parsed and searched with sets
of coordinates.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mazewm.inference.edits import Edit, Taps
from mazewm.maze.lattice import lattice
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import ORIGIN_START, PATH_END, Vocabulary
from mazewm.model.transformer import Transformer, TransformerParams

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
        turns = [
            lambda r, c: (r, c),
            lambda r, c: (c, -r),
            lambda r, c: (-r, -c),
            lambda r, c: (-c, r),
        ]
        turns += [
            lambda r, c: (r, -c),
            lambda r, c: (-r, c),
            lambda r, c: (c, r),
            lambda r, c: (-c, -r),
        ]
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
            paths = [
                [*path, cell]
                for path in paths
                for cell in self.around(path[-1])
                if steps[cell] == steps[path[-1]] - 1
            ]
        return paths


def draw(text: str) -> Drawing:
    """Parse a drawing: cells are ``o``, the origin ``O`` and the target ``T``; ``-`` and ``|`` are
    connections."""
    lines = [line for line in text.split("\n") if line.strip()]
    margin = min(len(line) - len(line.lstrip()) for line in lines[::2])
    rows = [line[margin:] for line in lines]
    n = (len(rows) + 1) // 2
    at = {(r, c): rows[r][c] for r in range(2 * n - 1) for c in range(min(len(rows[r]), 2 * n - 1))}
    cells = {(r, c): at[2 * r, 2 * c] for r in range(n) for c in range(n)}
    assert sorted(cells.values()) == sorted("O" + "T" + "o" * (n * n - 2)), (
        "draw every cell, one O and one T"
    )
    across = [
        ((r, c), (r, c + 1))
        for r in range(n)
        for c in range(n - 1)
        if at.get((2 * r, 2 * c + 1)) == "-"
    ]
    down = [
        ((r, c), (r + 1, c))
        for r in range(n - 1)
        for c in range(n)
        if at.get((2 * r + 1, 2 * c)) == "|"
    ]
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

WHOLE = draw("""
    O-T
    | |
    o-o
""")  # no connection is absent, and yet one path is the shortest

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


def tiny(
    encoding: str, d_vocab: int = 19, n_ctx: int = 23, seed: int = 0, n_layers: int = 2
) -> Transformer:
    """A random transformer with 3 heads of 10 dimensions."""
    torch.manual_seed(seed)
    params = TransformerParams(n_layers=n_layers, d_model=30, n_heads=3, d_mlp=37)
    return Transformer(params, encoding, d_vocab, n_ctx).eval().requires_grad_(False)


def tokens(n_mazes: int = 5, length: int = 17, d_vocab: int = 19, seed: int = 0) -> torch.Tensor:
    """Random token ids."""
    return torch.randint(d_vocab, (n_mazes, length), generator=torch.Generator().manual_seed(seed))


WANDERERS = {"learned": 14, "sinusoidal": 10, "rotary": 3, "alibi": 30, "none": 10}  # seeds


def wanderer(encoding: str, n_layers: int = 2) -> Transformer:
    """A random transformer for 3 x 3 lattices that walks from cell to cell as all that it has read
    decides; some of its walks end, after few or many steps, and some go wrong."""
    vocabulary = Vocabulary(3)
    model = tiny(encoding, len(vocabulary), vocabulary.max_length, WANDERERS[encoding], n_layers)
    model.W_E *= 30
    for block in model.layers:
        block.attn.Q *= 4
        block.attn.O *= 6
    end, wrong = 1.2 * model.W_U[:, PATH_END], model.W_U[:, ORIGIN_START].clone()
    model.W_U[:, : vocabulary.first_cell] = 0
    model.W_U[:, PATH_END], model.W_U[:, ORIGIN_START] = end, wrong
    return model


def walk_alone(model: Transformer, asked: np.ndarray, edits: Sequence[Edit] = ()) -> list[int]:
    """What ``rollouts`` is to give for one question on a 3 x 3 lattice, by its definition: a
    forward pass over all tokens for each."""
    first_cell, n_cells = Vocabulary(3).first_cell, 9
    ids, cells = torch.from_numpy(asked)[None], list[int]()
    while len(cells) <= n_cells:
        token = int(model(ids, Taps(edits) if edits else None)[0, -1].argmax())
        if token < first_cell:
            cells.append(-1 if token == PATH_END else -2)
            break
        cells.append(token - first_cell)
        ids = torch.cat([ids, torch.tensor([[token]])], dim=1)
    if len(cells) == n_cells + 1 and cells[-1] >= 0:
        cells[-1] = -2
    return cells + [-1] * (n_cells + 1 - len(cells))


def assert_walks_vary(walks: np.ndarray, n_lengths: int = 4, n_cells: int = 6) -> None:
    """Of several lengths and over most cells; some that end, some that go wrong."""
    flat = walks.reshape(-1, 10)
    lengths, is_wrong = (flat >= 0).sum(axis=1), (flat == -2).any(axis=1)
    assert len(set(lengths.tolist())) >= n_lengths and len(set(flat[flat >= 0].tolist())) >= n_cells
    assert is_wrong.any() and (~is_wrong).any()


def looks_two_back(n: int) -> Transformer:
    """One layer whose single head attends to the token two back and copies it onto the token that
    is there.

    Dimensions are one-hot positions followed by one-hot tokens, so a position's residual holds its
    own token and the one two back: both cells of a connection at c2, and nowhere else."""
    vocabulary = Vocabulary(n)
    n_pos, d_vocab = vocabulary.max_length, len(vocabulary)
    d = n_pos + d_vocab
    model = Transformer(
        TransformerParams(n_layers=1, d_model=d, n_heads=1, d_mlp=2), "learned", d_vocab, n_pos
    )
    model.silence()
    attn = model.blocks[0].attn
    # what a one becomes in LayerNorm, inverted
    one = ((1 - 2 / d) / (2 / d - 4 / d**2) ** 0.5) ** -1
    with torch.no_grad():
        model.W_E.zero_()[:, n_pos:] = torch.eye(d_vocab)
        model.encoding.W_pos.zero_()[:, :n_pos] = torch.eye(n_pos)
        attn.Q.zero_()[torch.arange(2, n_pos), torch.arange(n_pos - 2)] = 10.0
        attn.K.zero_()[:n_pos, :n_pos] = torch.eye(n_pos)
        attn.V.zero_()[n_pos:, n_pos:] = torch.eye(d_vocab) * one
        attn.O.copy_(torch.eye(d))
    return model.eval().requires_grad_(False)
