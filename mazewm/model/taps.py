"""Taps, the hooks of the transformer: functions that a forward pass calls with the value at each
place, and whose result replaces it.
"""

from collections.abc import Callable

from torch import Tensor

from mazewm.model.sites import Place

Tap = Callable[[Place, Tensor], Tensor]


def looks_inside_attention(tap: Tap | None) -> bool:
    """Whether attention scores and patterns must be computed explicitly for this tap, instead of by
    the fused kernel. A tap that never uses them has an attribute ``inside_attention`` that is
    false; a plain function might use anything."""
    return tap is not None and getattr(tap, "inside_attention", True)


def asks_of(tap: Tap | None, layer: int) -> bool:
    """Whether a tap uses any place of a layer. A tap can list the layers that it uses in an
    attribute ``layers``; a plain function might use any."""
    layers = getattr(tap, "layers", None)
    return tap is not None and (layers is None or layer in layers)
