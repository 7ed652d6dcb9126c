"""Adjacency lists that are read once. An edit of the residual stream after some block then needs
only the blocks after it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int

from mazewm.inference.edits import AtPositions, Edit, Taps
from mazewm.model.interface import Model
from mazewm.model.reading import Layout, Prefix
from mazewm.model.sites import Place, Site


@dataclass(frozen=True)
class ReadLists:
    """Adjacency lists that a model has read: their key-value cache, and the residual stream after
    some of the blocks."""

    model: Model
    prefix: Prefix
    resid: dict[Place, AtPositions]

    @classmethod
    @torch.inference_mode()
    def of(cls, model: Model, lists: Int[np.ndarray, "maze pos"], layers: set[int]) -> "ReadLists":
        """Read the lists, and keep the residual stream after the blocks ``layers``."""
        taps = Taps(record=[Place(layer, Site.RESID_POST) for layer in layers])
        prefix = model.read(torch.from_numpy(lists).to(model.device), taps)
        return cls(model, prefix, taps.values)

    @torch.inference_mode()
    def edited(self, edit: Edit) -> Prefix:
        """The key-value cache of the lists with an edit of the residual stream after one of
        ``layers``; KeyError for any other place."""
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
