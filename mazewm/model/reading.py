"""Attention masks and the key-value cache for many questions after one shared prefix.

All questions about a maze begin with the same adjacency list, so the list is read only once. Each
question is then read as if it followed the list alone: it has the positions after the list, and
attends to the list and to itself, but to no other question. A ``Layout`` describes this for a batch
whose rows all have the same structure; a ``Prefix`` is the key-value cache of the shared part; a
``Reading`` is what one forward pass needs of both.
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

SHARED = -1  # the question number of positions that all questions attend to


@dataclass(frozen=True)
class Layout:
    """For every token of a row: its position for the positional encoding, and the question that it
    belongs to.

    >>> cpu = torch.device("cpu")
    >>> layout = Layout.sequence(3, cpu) + Layout.questions(3, [(2, 2)], cpu)
    >>> layout.position.tolist()  # a shared prefix of 3 tokens, then 2 questions of 2 tokens
    [0, 1, 2, 3, 4, 3, 4]
    >>> layout.question.tolist()
    [-1, -1, -1, 0, 0, 1, 1]
    """

    position: Int[Tensor, " pos"]
    # None: an ordinary sequence, in which each position attends to itself and all before it
    question: Int[Tensor, " pos"] | None = None

    def __len__(self) -> int:
        return len(self.position)

    @classmethod
    def sequence(cls, length: int, device: torch.device) -> "Layout":
        """An ordinary causal sequence."""
        return cls(torch.arange(length, device=device))

    @classmethod
    def questions(
        cls, start: int, blocks: Sequence[tuple[int, int]], device: torch.device
    ) -> "Layout":
        """Questions after a shared prefix of ``start`` tokens. Each block is a pair: a number of
        questions, and the length of each in tokens."""
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
        """The question number of every token; SHARED for those of an ordinary sequence."""
        return torch.full_like(self.position, SHARED) if self.question is None else self.question

    def to(self, device: torch.device) -> "Layout":
        """The layout with its tensors on a device."""
        return Layout(
            self.position.to(device), None if self.question is None else self.question.to(device)
        )


@dataclass(frozen=True)
class Prefix:
    """The key-value cache of a shared prefix: its keys and values, by layer, each
    ``[batch, head, key, d_head]``."""

    keys: list[PerHead] = field(default_factory=list)
    values: list[PerHead] = field(default_factory=list)

    def __len__(self) -> int:
        return self.keys[0].shape[2] if self.keys else 0

    def of(self, rows: Int[Tensor, " row"]) -> "Prefix":
        """The cache of some rows, which may repeat."""
        return Prefix([k[rows] for k in self.keys], [v[rows] for v in self.values])

    @classmethod
    def joined(cls, parts: "Sequence[Prefix]") -> "Prefix":
        """Several caches of equal length as one, their rows concatenated."""
        return cls(
            *(
                [torch.cat(layer) for layer in zip(*of_parts, strict=True)]
                for of_parts in ([p.keys for p in parts], [p.values for p in parts])
            )
        )

    def up_to(self, n_layers: int) -> "Prefix":
        """The cache of the first layers only. The lists are new, so that they can be extended."""
        return Prefix(self.keys[:n_layers], self.values[:n_layers])


class Reading(NamedTuple):
    """What one forward pass hands to every block besides the residual stream."""

    encoding: NoPositions
    layout: Layout
    bias: Float[Tensor, "head query key"] | None  # what the positional encoding adds to the scores
    # added to the scores: the bias, or minus infinity where a query does not attend to a key
    mask: Float[Tensor, "*head query key"]
    tap: Tap | None
    after: Prefix | None  # a prefix read before, to which every position attends
    kept: Prefix | None  # collects the keys and values of every block

    @classmethod
    def of(
        cls,
        encoding: NoPositions,
        layout: Layout,
        tap: Tap | None,
        after: Prefix | None,
        kept: Prefix | None,
    ) -> "Reading":
        """A forward pass over a layout, with its mask. Keys are those of ``after``, followed by
        those of the layout."""
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
        """Whether attention is plainly causal, without bias or prefix, so that it needs no mask."""
        return self.after is None and self.bias is None and self.layout.question is None

    def tap_of(self, layer: int) -> Tap | None:
        """The tap, if it uses any place of a layer, else None."""
        return self.tap if asks_of(self.tap, layer) else None
