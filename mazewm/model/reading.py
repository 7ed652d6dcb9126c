"""Who sees whom while a batch is read: a beginning that many questions share, and the questions behind it.

All questions about a maze begin with the same adjacency list. It is read once; each question then stands behind it as if it were
alone: at the positions that follow the list, seeing the list and itself, and no other question. A layout says so for a
batch whose rows are alike, and the transformer's one forward pass goes by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.model.positions import NoPositions
from mazewm.model.sites import Tap, asks_of
from mazewm.shapes import PerHead

SHARED = -1  # the question of positions that all questions see


@dataclass(frozen=True)
class Layout:
    """The position of every token of a row, as the positional encoding has it, and the question that it belongs to."""

    position: Int[Tensor, " pos"]
    question: Int[Tensor, " pos"]

    def __len__(self) -> int:
        return len(self.position)

    @classmethod
    def sequence(cls, length: int, device: torch.device, start: int = 0) -> "Layout":
        """One text, as usual: each position sees all before it."""
        return cls(torch.arange(start, start + length, device=device), torch.full((length,), SHARED, device=device))

    @classmethod
    def questions(cls, start: int, blocks: Sequence[tuple[int, int]], device: torch.device) -> "Layout":
        """Blocks of (how many, how long) questions that follow a beginning of ``start`` tokens."""
        position = torch.cat([torch.arange(start, start + length).repeat(n) for n, length in blocks])
        lengths = torch.tensor([length for n, length in blocks for _ in range(n)])
        question = torch.arange(len(lengths)).repeat_interleave(lengths)
        return cls(position.to(device), question.to(device))

    def __add__(self, after: "Layout") -> "Layout":
        return Layout(torch.cat([self.position, after.position]), torch.cat([self.question, after.question]))


@dataclass(frozen=True)
class Prefix:
    """A beginning that has been read: its keys and values, by layer, ``[batch, head, key, d_head]``."""

    keys: list[PerHead] = field(default_factory=list)
    values: list[PerHead] = field(default_factory=list)

    def __len__(self) -> int:
        return self.keys[0].shape[2] if self.keys else 0

    def of(self, rows: Int[Tensor, " row"]) -> "Prefix":
        """Those of some rows, which may repeat."""
        return Prefix([k[rows] for k in self.keys], [v[rows] for v in self.values])

    def up_to(self, n_layers: int) -> "Prefix":
        """Those of the first layers, to be gone on with."""
        return Prefix(self.keys[:n_layers], self.values[:n_layers])


@dataclass(frozen=True)
class Reading:
    """What one forward pass carries through the blocks beside the residual stream."""

    encoding: NoPositions
    layout: Layout
    tap: Tap | None = None
    after: Prefix | None = None  # seen by every position
    kept: Prefix | None = None  # extended by the keys and values of every block

    def tap_of(self, layer: int) -> Tap | None:
        """The tap, if it asks for any place of a layer."""
        return self.tap if asks_of(self.tap, layer) else None

    @cached_property
    def is_plain(self) -> bool:
        """Whether each position sees all before it, and attention needs no mask."""
        return self.after is None and self.bias is None and bool((self.layout.question == SHARED).all())

    @cached_property
    def key_position(self) -> Int[Tensor, " key"]:
        """The positions of the keys: those of the prefix, and then the layout's."""
        position = self.layout.position
        n = len(self.after) if self.after is not None else 0
        return torch.cat([torch.arange(n, device=position.device), position]) if n else position

    @cached_property
    def bias(self) -> Float[Tensor, "head query key"] | None:
        """What the positional encoding adds to the scores."""
        return self.encoding.on_scores(self.layout.position, self.key_position)

    @cached_property
    def mask(self) -> Float[Tensor, "*head query key"]:
        """What is added to the scores: the bias, and minus infinity for what a position does not see."""
        position, question = self.layout.position, self.layout.question
        n_before = len(self.key_position) - len(position)
        key_question = torch.cat([question.new_full((n_before,), SHARED), question])
        sees = (key_question == question[:, None]) | (key_question == SHARED)
        sees &= self.key_position <= position[:, None]
        mask = torch.zeros(sees.shape, device=position.device) if self.bias is None else self.bias
        return mask.masked_fill(~sees, -torch.inf)
