"""A tap: what is called with every value of a forward pass, and may put another one in its
place.
"""

from collections.abc import Callable

from torch import Tensor

from mazewm.model.sites import Place

Tap = Callable[[Place, Tensor], Tensor]


def looks_inside_attention(tap: Tap | None) -> bool:
    """Whether attention must be spelled out for this tap. A tap that knows that it asks for no
    scores or patterns says so in ``inside_attention``; a plain function may ask for anything."""
    return tap is not None and getattr(tap, "inside_attention", True)


def asks_of(tap: Tap | None, layer: int) -> bool:
    """Whether a tap asks for any place of a layer. A tap that knows its ``layers`` says so there; a
    plain function may ask for any."""
    layers = getattr(tap, "layers", None)
    return tap is not None and (layers is None or layer in layers)
