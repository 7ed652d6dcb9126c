"""The hook points of the transformer: every place where a value can be read or replaced.

``Transformer.forward(tokens, tap)`` calls ``tap(place, value)`` once at each place, and continues
with the value that the tap returns.
"""

from dataclasses import dataclass
from enum import StrEnum

from mazewm.io.errors import BadInput


class Site(StrEnum):
    """The hook points of one block, in the order of computation, with the shapes of their values.
    Sites without a shape have that of the site above them."""

    RESID_PRE = "resid_pre"  # batch pos d_model
    Q = "q"  # batch head pos d_head, after the positional encoding
    K = "k"  # as q
    V = "v"
    SCORES = "scores"  # batch head query key, before mask and softmax
    PATTERN = "pattern"  # batch head query key, after the softmax
    Z = "z"  # batch head pos d_head, before W_O
    ATTN_OUT = "attn_out"  # batch pos d_model
    RESID_MID = "resid_mid"
    MLP_PRE = "mlp_pre"  # batch pos d_mlp
    MLP_POST = "mlp_post"
    MLP_OUT = "mlp_out"  # batch pos d_model
    RESID_POST = "resid_post"


@dataclass(frozen=True, order=True)
class Place:
    """A site in one layer; layers count from 0. Places sort by layer."""

    layer: int
    site: Site

    def __str__(self) -> str:
        return f"{self.layer}.{self.site}"

    @classmethod
    def parse(cls, text: str, n_layers: int, where: str) -> "Place":
        """The place of a text LAYER.SITE; BadInput if a model of ``n_layers`` has no such place.
        ``where`` begins its message: where the text comes from.

        >>> place = Place.parse("0.resid_post", n_layers=4, where="params.yaml: activations.places")
        >>> place.layer, place.site.value, str(place)
        (0, 'resid_post', '0.resid_post')
        """
        layer, _, site = text.partition(".")
        if not layer.isdecimal() or int(layer) >= n_layers or site not in [*map(str, Site)]:
            raise BadInput(
                f"{where}: expected LAYER.SITE with LAYER below {n_layers} and SITE one of "
                f"{[str(s) for s in Site]}, found {text!r}."
            )
        return cls(int(layer), Site(site))
