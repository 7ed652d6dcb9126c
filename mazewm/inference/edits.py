"""Read and replace values during a forward pass.

An edit is a place and a pure function of the value there. ``Taps`` applies edits in the order
given, then records, so that what is recorded is what flows on. An edit that never fires is an
error, not a silent no-op.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mazewm.model.reading import Layout
from mazewm.model.shapes import Logits, Resid, Tokens
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer

AtPositions = Float[Tensor, "batch pos d_model"]


@dataclass(frozen=True)
class Edit:
    """Replace the value at ``place`` by ``function`` of it, which must leave its argument as it
    is."""

    place: Place
    function: Callable[[Tensor], Tensor]


class Taps:
    """A tap that applies edits and then records places."""

    def __init__(self, edits: Sequence[Edit] = (), record: Iterable[Place] = ()) -> None:
        self.edits, self.wanted = list(edits), set(record)
        self.values: dict[Place, Tensor] = {}
        self.fired = [0] * len(self.edits)
        asked = self.wanted | {edit.place for edit in self.edits}
        self.inside_attention = any(place.site in (Site.SCORES, Site.PATTERN) for place in asked)
        # blocks of other layers take the faster way without taps
        self.layers = {place.layer for place in asked}

    def __call__(self, place: Place, value: Tensor) -> Tensor:
        for number, edit in enumerate(self.edits):
            if edit.place == place:
                value = edit.function(value)
                self.fired[number] += 1
        if place in self.wanted:
            self.values[place] = value
        return value

    def check(self) -> None:
        """Raise unless every edit has fired and every wanted place was seen."""
        silent = [
            str(edit.place) for edit, fired in zip(self.edits, self.fired, strict=True) if not fired
        ]
        missed = [str(place) for place in self.wanted - set(self.values)]
        if silent or missed:
            raise RuntimeError(f"the forward pass never came to {', '.join(silent + missed)}")


class Pass(NamedTuple):
    """One forward pass."""

    logits: Logits
    values: dict[Place, Tensor]


def run(
    model: Transformer, tokens: Tokens, edits: Sequence[Edit] = (), record: Iterable[Place] = ()
) -> Pass:
    """The forward pass under ``edits``, with the recorded values."""
    taps = Taps(edits, record)
    logits = model(tokens, taps)
    taps.check()
    return Pass(logits, taps.values)


def run_blocks(model: Transformer, resid: Resid, layers: range, taps: Taps) -> Resid:
    """The residual stream of single texts after ``layers``, given that before them, under taps that
    must all fire."""
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
    """At a per-head place ``[batch, head, pos, d_head]``, put ``values`` (one per chosen head, or
    broadcastable: ``[batch | 1, head, pos | 1, d_head]``) at the given positions of each maze and
    of the given heads only."""

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
    """At the given positions of each maze, add to a residual site what ``direction`` makes of the
    values there (or what broadcasts to their shape); a position that is named twice is written
    once."""

    def function(value: Tensor) -> Tensor:
        edited = value.clone()
        rows = torch.arange(len(value), device=value.device)[:, None]
        here = value[rows, positions]
        edited[rows, positions] = here + direction(here)
        return edited

    return Edit(place, function)
