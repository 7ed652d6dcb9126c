"""Adjacency lists that are read once, and read on from any block with another residual stream."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int

from mazewm.inference.edits import AtPositions, Edit, Taps
from mazewm.model.reading import Layout, Prefix
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer


@dataclass(frozen=True)
class ReadLists:
    """Lists as they were read, with the residual stream after some blocks."""

    model: Transformer
    prefix: Prefix
    resid: dict[Place, AtPositions]

    @classmethod
    @torch.inference_mode()
    def of(
        cls, model: Transformer, lists: Int[np.ndarray, "maze pos"], layers: set[int]
    ) -> "ReadLists":
        """Read the lists once, keeping the residual stream after the blocks ``layers``."""
        taps = Taps(record=[Place(layer, Site.RESID_POST) for layer in layers])
        prefix = model.read(torch.from_numpy(lists).to(model.device), taps)
        return cls(model, prefix, taps.values)

    @torch.inference_mode()
    def edited(self, edit: Edit) -> Prefix:
        """The lists as they are read with an edit of the residual stream after one of the blocks;
        KeyError for any other place."""
        resid = edit.function(self.resid[edit.place])
        layout = Layout.sequence(resid.shape[1], resid.device)
        prefix = self.prefix.up_to(edit.place.layer + 1)
        self.model.run_blocks(
            resid,
            self.model.reading(layout, kept=prefix),
            edit.place.layer + 1,
            since=resid.shape[1],
        )
        return prefix
