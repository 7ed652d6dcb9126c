"""Every place of the transformer where a value can be read or replaced.

``forward(tokens, tap)`` calls ``tap(place, value)`` at each place, once, and goes on with what the tap returns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor

from mazewm.errors import BadInput


class Site(StrEnum):
    """The sites of one block, in the order in which they are computed."""

    RESID_PRE = "resid_pre"  # batch pos d_model
    Q = "q"  # batch head pos d_head, after the positional encoding
    K = "k"
    V = "v"
    SCORES = "scores"  # batch head query key, before the softmax
    PATTERN = "pattern"  # batch head query key, after it
    Z = "z"  # batch head pos d_head, before W_O
    ATTN_OUT = "attn_out"  # batch pos d_model
    RESID_MID = "resid_mid"
    MLP_PRE = "mlp_pre"  # batch pos d_mlp
    MLP_POST = "mlp_post"
    MLP_OUT = "mlp_out"  # batch pos d_model
    RESID_POST = "resid_post"


@dataclass(frozen=True, order=True)
class Place:
    """A site of a layer; layers count from 0."""

    layer: int
    site: Site

    def __str__(self) -> str:
        return f"{self.layer}.{self.site}"

    @classmethod
    def parse(cls, text: str, n_layers: int, where: str) -> "Place":
        """``"0.resid_post"`` -> Place(0, Site.RESID_POST); BadInput naming ``where`` if there is no such place."""
        layer, _, site = text.partition(".")
        if not layer.isdigit() or int(layer) >= n_layers or site not in [*map(str, Site)]:
            raise BadInput(
                f"{where}: expected LAYER.SITE with LAYER below {n_layers} and SITE one of {[str(s) for s in Site]}, found {text!r}."
            )
        return cls(int(layer), Site(site))


Tap = Callable[[Place, Tensor], Tensor]


def looks_inside_attention(tap: Tap | None) -> bool:
    """Whether attention must be spelled out for this tap. A tap that knows that it asks for no scores or patterns says so in
    ``inside_attention``; a plain function may ask for anything."""
    return tap is not None and getattr(tap, "inside_attention", True)


def asks_of(tap: Tap | None, layer: int) -> bool:
    """Whether a tap asks for any place of a layer. A tap that knows its ``layers`` says so there; a plain function may ask for any."""
    layers = getattr(tap, "layers", None)
    return tap is not None and (layers is None or layer in layers)
