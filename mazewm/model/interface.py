"""What the study asks of a model: a transformer of this package (``transformer``), or one that was
trained elsewhere (``mazewm.elsewhere``).

A model is a stack of blocks that each read and replace the residual stream. It says how tokens are
embedded, how a block changes the stream, and how logits are read from it; reading a prompt, and
asking questions about a list that was read before, follow from these. What needs more than the
residual stream, such as attention heads, asks for a ``Transformer``.
"""

from abc import abstractmethod
from typing import Protocol

import torch
from torch import nn

from mazewm.model.reading import Layout, Prefix, Reading
from mazewm.model.shapes import Logits, Resid, ResidAsked, Tokens
from mazewm.model.sites import Site
from mazewm.model.taps import Tap


class Shape(Protocol):
    """The size of a model."""

    @property
    def n_layers(self) -> int: ...

    @property
    def d_model(self) -> int: ...


class Model(nn.Module):
    """A decoder-only model, from tokens to logits of the next token."""

    params: Shape
    # where values can be read and replaced in every block
    sites: frozenset[Site] = frozenset(Site)

    def forward(
        self, tokens: Tokens, tap: Tap | None = None, layout: Layout | None = None, since: int = 0
    ) -> Logits:
        """Logits at the positions from ``since`` on. At earlier positions the last block computes
        only what later tokens read of it. Without a layout, every row is an ordinary sequence."""
        reading = self.reading(layout or Layout.sequence(tokens.shape[1], tokens.device), tap)
        return self.unembed(
            self.run_blocks(self.embed(tokens, reading.layout), reading, since=since)
        )

    def read(self, tokens: Tokens, tap: Tap | None = None) -> Prefix:
        """The cache of a prefix, such as an adjacency list, for ``ask``."""
        kept = Prefix()
        reading = self.reading(Layout.sequence(tokens.shape[1], tokens.device), tap, kept=kept)
        self.run_blocks(
            self.embed(tokens, reading.layout), reading, since=tokens.shape[1] if tap is None else 0
        )
        return kept

    def ask(self, prefix: Prefix, tokens: Tokens, layout: Layout, tap: Tap | None = None) -> Logits:
        """Logits at the positions of ``tokens``, read after a prefix. The layout is that of
        ``tokens``, with positions that continue the prefix."""
        reading = self.reading(layout, tap, after=prefix)
        return self.unembed(self.run_blocks(self.embed(tokens, layout), reading))

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the weights are."""

    @abstractmethod
    def reading(
        self,
        layout: Layout,
        tap: Tap | None = None,
        after: Prefix | None = None,
        kept: Prefix | None = None,
    ) -> Reading:
        """What a forward pass of this model hands to every block."""

    @abstractmethod
    def embed(self, tokens: Tokens, layout: Layout | None = None) -> Resid:
        """The residual stream before the first block. Without a layout, every row is an ordinary
        sequence."""

    @abstractmethod
    def run_blocks(
        self,
        resid: Resid,
        reading: Reading,
        start: int = 0,
        stop: int | None = None,
        since: int = 0,
    ) -> ResidAsked:
        """The residual stream after blocks ``start`` to ``stop - 1`` (by default the last), given
        that before block ``start``. The result has only the positions from ``since`` on."""

    @abstractmethod
    def unembed(self, resid: ResidAsked) -> Logits:
        """Logits of the next token, from the residual stream after the last block."""

    @abstractmethod
    def untrained(self, seed: int) -> "Model":
        """A model of the same architecture with random weights, a control."""
