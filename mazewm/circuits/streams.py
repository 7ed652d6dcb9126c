"""Two runs side by side, with every path between tokens open or closed (path patching; Wang et al.
2023, Goldowsky-Dill et al. 2023).

The changed run begins as the clean one with something changed: other tokens, or an edit after some
block. Between tokens, information moves through attention only. Where a query of the changed run
reads a key, the *path* from the key's token to the query's, through one head, is open or closed:
through an open one it reads the key and value of the changed run, through a closed one those of the
clean run. What a token itself holds is always that of the changed run. So with all paths open the
result is that of the changed run; with all closed, only the changed tokens themselves change.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mazewm.model.reading import Layout
from mazewm.model.shapes import PerHead, Resid
from mazewm.model.transformer import Transformer

# by layer, which paths are open, ``[pair | 1, head | 1, query, key]``
Open = Callable[[int], Bool[Tensor, "..."]]


class _Heads(NamedTuple):
    """Queries, keys and values of one block."""

    q: PerHead
    k: PerHead
    v: PerHead


class Streams:
    """The clean runs of a batch of pairs, and what changes them."""

    @torch.inference_mode()
    def __init__(
        self,
        model: Transformer,
        clean: Resid,
        changed: Resid,
        layers: range,
        since: int = 0,
    ) -> None:
        """``clean`` and ``changed`` are the residual streams before the first of ``layers``, which
        are computed. They are equal at the positions before ``since``."""
        self.model, self.layers, self.since = model, layers, since
        self.changed = changed[:, since:]
        self.reading = model.reading(Layout.sequence(clean.shape[1], clean.device))
        everything = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=clean.device)
        self.clean: dict[int, _Heads] = {}
        for layer in self.layers:
            self.clean[layer] = self._heads(layer, clean)
            clean = self._block(layer, clean, everything)

    @torch.inference_mode()
    def run(self, is_open: Open) -> Resid:
        """The residual stream of the changed runs after the last block, at the positions from
        ``since`` on; ``is_open`` has these as queries, and all positions as keys."""
        resid = self.changed
        for layer in self.layers:
            resid = self._block(layer, resid, is_open(layer))
        return resid

    def _heads(self, layer: int, resid: Resid) -> _Heads:
        block, encoding = self.model.layers[layer], self.model.encoding
        attention, position = block.attn, self.reading.layout.position[-resid.shape[1] :]
        qkv = block.norm1(resid) @ torch.cat([attention.Q, attention.K, attention.V], dim=1)
        q, k, v = qkv.unflatten(-1, (3, attention.n_heads, -1)).permute(2, 0, 3, 1, 4)
        return _Heads(encoding.on_qk(q, position), encoding.on_qk(k, position), v)

    def _block(self, layer: int, resid: Resid, is_open: Bool[Tensor, "..."]) -> Resid:
        block, own, clean = self.model.layers[layer], self._heads(layer, resid), self.clean[layer]
        z = _attend(own, clean, is_open, self.reading.mask[..., -resid.shape[1] :, :])
        resid = resid + z.transpose(1, 2).flatten(2) @ block.attn.O + block.attn.b_O
        return resid + block.mlp(block.norm2(resid), layer, None)


def _attend(
    own: _Heads, clean: _Heads, is_open: Bool[Tensor, "..."], mask: Float[Tensor, "..."]
) -> PerHead:
    """The heads' outputs; ``own`` has the last positions, ``clean`` all of them."""
    n_before = clean.k.shape[2] - own.k.shape[2]
    k, v = (
        torch.cat([before[:, :, :n_before], here], dim=2)
        for before, here in ((clean.k, own.k), (clean.v, own.v))
    )
    scores = torch.where(is_open, own.q @ k.transpose(-1, -2), own.q @ clean.k.transpose(-1, -2))
    pattern = (scores * own.q.shape[-1] ** -0.5 + mask).softmax(dim=-1)
    return (pattern * is_open) @ v + (pattern * ~is_open) @ clean.v
