"""Adjacency lists that are read once, and read on from any block with another residual stream."""

import torch
from jaxtyping import Float
from torch import Tensor

from mazewm.model.edits import AtPositions, Edit, Taps
from mazewm.model.reading import Layout, Prefix
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer
from mazewm.shapes import Tokens


class ReadLists:
    """Lists as they were read, with the residual stream after some blocks."""

    resid: dict[Place, Float[Tensor, "batch pos d_model"]]

    @torch.inference_mode()
    def __init__(self, model: Transformer, tokens: Tokens, layers: set[int]) -> None:
        self.model = model
        taps = Taps(record=[Place(layer, Site.RESID_POST) for layer in layers])
        self.prefix = model.read(tokens, taps)
        self.resid = taps.values

    @torch.inference_mode()
    def edited(self, edit: Edit) -> Prefix:
        """The lists as they are read with an edit of the residual stream after one of the blocks; KeyError for any other place."""
        resid: AtPositions = edit.function(self.resid[edit.place])
        layout = Layout.sequence(resid.shape[1], resid.device)
        prefix = self.prefix.up_to(edit.place.layer + 1)
        self.model.run_blocks(resid, self.model.reading(layout, kept=prefix), edit.place.layer + 1, since=resid.shape[1])
        return prefix
