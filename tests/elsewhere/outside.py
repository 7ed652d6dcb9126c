"""A transformer of mazewm dressed as a model that was trained elsewhere: only its residual stream
can be seen."""

import torch

from mazewm.elsewhere.adapter import Elsewhere
from mazewm.elsewhere.residual import ByHook
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer


class Outside:
    """What ``mazewm.elsewhere.Foreign`` asks for; ``order`` has our id of each of its tokens."""

    def __init__(self, model: Transformer, order: list[int]) -> None:
        self.model, self.order = model, torch.tensor(order)
        self.n_layers, self.d_model = model.params.n_layers, model.params.d_model
        self.d_vocab, self.n_ctx, self.device = len(order), model.n_ctx, model.device

    def logits(self, tokens, at_depth):
        def tap(place, value):
            if place.site == Site.RESID_PRE:
                return at_depth(place.layer, value)
            return at_depth(self.n_layers, value) if place == self.last else value

        return self.model(self.order[tokens], tap)[..., self.order]

    @property
    def last(self):
        return Place(self.n_layers - 1, Site.RESID_POST)

    def untrained(self, seed):
        return Outside(self.model.untrained(seed), self.order.tolist())


def backwards(model: Transformer, n: int) -> tuple[Elsewhere, list[str]]:
    """The model with its tokens in reverse order, and their texts."""
    from mazewm.maze.tokens import Vocabulary

    order = list(range(model.d_vocab))[::-1]
    names = [Vocabulary(n).names[token] for token in order]
    return Elsewhere(ByHook(Outside(model, order)), n, names), names
