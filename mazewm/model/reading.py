"""Who sees whom while a batch is read: a beginning that many questions share, and the questions
behind it.

All questions about a maze begin with the same adjacency list. It is read once; each question then
stands behind it as if it were alone: at the positions that follow the list, seeing the list and
itself, and no other question. A layout says so for a batch whose rows are alike, and the
transformer's one forward pass goes by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.model.positions import NoPositions
from mazewm.model.shapes import PerHead
from mazewm.model.taps import Tap, asks_of

SHARED = -1  # the question of positions that all questions see


@dataclass(frozen=True)
class Layout:
    """The position of every token of a row, as the positional encoding has it, and the question
    that it belongs to."""

    position: Int[Tensor, " pos"]
    # None: one text, of which each position sees all before it
    question: Int[Tensor, " pos"] | None = None

    def __len__(self) -> int:
        return len(self.position)

    @classmethod
    def sequence(cls, length: int, device: torch.device) -> "Layout":
        """One text, as usual."""
        return cls(torch.arange(length, device=device))

    @classmethod
    def questions(
        cls, start: int, blocks: Sequence[tuple[int, int]], device: torch.device
    ) -> "Layout":
        """Blocks of (how many, how long) questions that follow a beginning of ``start`` tokens."""
        position = torch.cat(
            [torch.arange(start, start + length).repeat(n) for n, length in blocks]
        )
        lengths = torch.tensor([length for n, length in blocks for _ in range(n)])
        question = torch.arange(len(lengths)).repeat_interleave(lengths)
        return cls(position.to(device), question.to(device))

    def __add__(self, after: "Layout") -> "Layout":
        return Layout(
            torch.cat([self.position, after.position]),
            torch.cat([self.question_or_shared, after.question_or_shared]),
        )

    @property
    def question_or_shared(self) -> Int[Tensor, " pos"]:
        """The question of every token; SHARED for those of one text."""
        return torch.full_like(self.position, SHARED) if self.question is None else self.question

    def to(self, device: torch.device) -> "Layout":
        """The same on a device."""
        return Layout(
            self.position.to(device), None if self.question is None else self.question.to(device)
        )


@dataclass(frozen=True)
class Prefix:
    """A beginning that has been read: its keys and values, by layer, ``[batch, head, key,
    d_head]``."""

    keys: list[PerHead] = field(default_factory=list)
    values: list[PerHead] = field(default_factory=list)

    def __len__(self) -> int:
        return self.keys[0].shape[2] if self.keys else 0

    def of(self, rows: Int[Tensor, " row"]) -> "Prefix":
        """Those of some rows, which may repeat."""
        return Prefix([k[rows] for k in self.keys], [v[rows] for v in self.values])

    @classmethod
    def joined(cls, parts: "Sequence[Prefix]") -> "Prefix":
        """The rows of equally long ones, one after another."""
        return cls(
            *(
                [torch.cat(layer) for layer in zip(*of_parts, strict=True)]
                for of_parts in ([p.keys for p in parts], [p.values for p in parts])
            )
        )

    def up_to(self, n_layers: int) -> "Prefix":
        """Those of the first layers, to be gone on with."""
        return Prefix(self.keys[:n_layers], self.values[:n_layers])


class Reading(NamedTuple):
    """What one forward pass carries through the blocks beside the residual stream."""

    encoding: NoPositions
    layout: Layout
    bias: Float[Tensor, "head query key"] | None  # what the positional encoding adds to the scores
    # what is added to the scores: the bias, and minus infinity for what a position does not see
    mask: Float[Tensor, "*head query key"]
    tap: Tap | None
    after: Prefix | None  # seen by every position
    kept: Prefix | None  # extended by the keys and values of every block

    @classmethod
    def of(
        cls,
        encoding: NoPositions,
        layout: Layout,
        tap: Tap | None,
        after: Prefix | None,
        kept: Prefix | None,
    ) -> "Reading":
        """Who sees whom: the keys are those of ``after``, and then the layout's."""
        position, question = layout.position, layout.question_or_shared
        key_position, key_question = position, question
        if after is not None:
            n = len(after)
            key_position = torch.cat([torch.arange(n, device=position.device), position])
            key_question = torch.cat([question.new_full((n,), SHARED), question])
        sees = (key_question == question[:, None]) | (key_question == SHARED)
        sees &= key_position <= position[:, None]
        bias = encoding.on_scores(position, key_position)
        mask = torch.zeros(sees.shape, device=position.device) if bias is None else bias
        return cls(encoding, layout, bias, mask.masked_fill(~sees, -torch.inf), tap, after, kept)

    @property
    def is_plain(self) -> bool:
        """Whether each position sees all before it, and attention needs no mask."""
        return self.after is None and self.bias is None and self.layout.question is None

    def tap_of(self, layer: int) -> Tap | None:
        """The tap, if it asks for any place of a layer."""
        return self.tap if asks_of(self.tap, layer) else None
