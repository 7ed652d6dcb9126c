"""Every place of the transformer where a value can be read or replaced.

``forward(tokens, tap)`` calls ``tap(place, value)`` at each place, once, and goes on with what the
tap returns.
"""

from dataclasses import dataclass
from enum import StrEnum

from mazewm.io.errors import BadInput


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
        """``"0.resid_post"`` -> Place(0, Site.RESID_POST); BadInput naming ``where`` if there is no
        such place."""
        layer, _, site = text.partition(".")
        if not layer.isdecimal() or int(layer) >= n_layers or site not in [*map(str, Site)]:
            raise BadInput(
                f"{where}: expected LAYER.SITE with LAYER below {n_layers} and SITE one of "
                f"{[str(s) for s in Site]}, found {text!r}."
            )
        return cls(int(layer), Site(site))
