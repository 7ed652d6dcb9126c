"""Reading and replacing activations during a forward pass.

An edit is a place and a pure function of the value there. ``Taps`` applies edits in the order
given, and then records, so that recorded values include the edits. An edit that is never applied
is an error, not a silent no-op.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.model.interface import Model
from mazewm.model.reading import Layout
from mazewm.model.shapes import Logits, Resid, Tokens
from mazewm.model.sites import Place, Site

AtPositions = Float[Tensor, "batch pos d_model"]


@dataclass(frozen=True)
class Edit:
    """Replace the value at ``place`` by ``function(value)``. The function must not modify its
    argument."""

    place: Place
    function: Callable[[Tensor], Tensor]


class Taps:
    """A tap that applies edits, and then records the values at some places in ``values``."""

    def __init__(self, edits: Sequence[Edit] = (), record: Iterable[Place] = ()) -> None:
        self.edits, self.wanted = list(edits), set(record)
        self.values: dict[Place, Tensor] = {}
        self.fired = [0] * len(self.edits)
        self.places = self.wanted | {edit.place for edit in self.edits}
        self.inside_attention = any(
            place.site in (Site.SCORES, Site.PATTERN) for place in self.places
        )
        # all other layers are computed without taps, which is faster
        self.layers = {place.layer for place in self.places}

    def __call__(self, place: Place, value: Tensor) -> Tensor:
        for number, edit in enumerate(self.edits):
            if edit.place == place:
                value = edit.function(value)
                self.fired[number] += 1
        if place in self.wanted:
            self.values[place] = value
        return value

    def check(self) -> None:
        """RuntimeError unless every edit was applied and every place to record was reached."""
        silent = [
            str(edit.place) for edit, fired in zip(self.edits, self.fired, strict=True) if not fired
        ]
        missed = [str(place) for place in self.wanted - set(self.values)]
        if silent or missed:
            raise RuntimeError(f"the forward pass never came to {', '.join(silent + missed)}")


class Pass(NamedTuple):
    """The results of one forward pass."""

    logits: Logits
    values: dict[Place, Tensor]


def run(
    model: Model, tokens: Tokens, edits: Sequence[Edit] = (), record: Iterable[Place] = ()
) -> Pass:
    """A forward pass with ``edits``; returns the logits and the values at the places to record.
    RuntimeError if the pass does not reach one of the places.

    >>> from mazewm.model.transformer import Transformer, TransformerParams
    >>> params = TransformerParams(n_layers=2, d_model=32, n_heads=2, d_mlp=64)
    >>> model = Transformer(params, "none", d_vocab=36, n_ctx=100)
    >>> first, last = Place(0, Site.ATTN_OUT), Place(1, Site.PATTERN)
    >>> tokens = torch.zeros(4, 10, dtype=torch.long)
    >>> found = run(model, tokens, edits=[Edit(first, torch.zeros_like)], record=[first, last])
    >>> found.values[first].abs().max().item(), found.values[last].shape
    (0.0, torch.Size([4, 2, 10, 10]))
    """
    taps = Taps(edits, record)
    logits = model(tokens, taps)
    taps.check()
    return Pass(logits, taps.values)


def run_blocks(model: Model, resid: Resid, layers: range, taps: Taps) -> Resid:
    """The residual stream of ordinary sequences after ``layers``, given the one before them.
    RuntimeError if an edit or recording of ``taps`` is not reached."""
    reading = model.reading(Layout.sequence(resid.shape[1], resid.device), taps)
    resid = model.run_blocks(resid, reading, layers.start, layers.stop)
    taps.check()
    return resid


def replace_heads(
    place: Place,
    heads: Sequence[int],
    positions: Int[Tensor, "batch pos"],
    values: Float[Tensor, "..."],
) -> Edit:
    """An edit of a per-head place ``[batch, head, pos, d_head]``, such as ``z``, that replaces the
    values of the given heads at the given positions of each maze. ``values`` has the shape
    ``[batch | 1, head, pos | 1, d_head]``: its heads are the given ones, in their order; axes of
    length 1 are broadcast."""

    def function(value: Tensor) -> Tensor:
        edited = value.clone()
        rows = torch.arange(len(value), device=value.device)[:, None]
        for nth, head in enumerate(heads):
            edited[rows, head, positions] = values[:, nth].expand(
                len(value), positions.shape[1], -1
            )
        return edited

    return Edit(place, function)


def add_at(
    place: Place,
    positions: Int[Tensor, "batch pos"],
    direction: Callable[[AtPositions], AtPositions],
) -> Edit:
    """An edit of a residual place that adds ``direction(values)`` to the values at the given
    positions of each maze. The result of ``direction`` may have any shape that broadcasts. A
    position that is listed twice is edited once."""

    def function(value: Tensor) -> Tensor:
        edited = value.clone()
        rows = torch.arange(len(value), device=value.device)[:, None]
        here = value[rows, positions]
        edited[rows, positions] = here + direction(here)
        return edited

    return Edit(place, function)
