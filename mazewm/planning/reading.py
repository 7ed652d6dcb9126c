"""The residual stream at the tokens after the list, and at the first token of the path.

The tokens after the list are the *frame*: ``<ADJLIST_END>`` and the question's. Every path starts
at the origin, which the prompt contains, so that the first token of the path reveals no part of the
answer, as later ones would. Depth 0 is the embedding, depth l the residual stream after l blocks.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float

from mazewm.inference.edits import run
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import Asking, encode, encoding_rng, prompt_length
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer

LIST_END = "<ADJLIST_END>"
CELLS = (Asking.ORIGIN, Asking.TARGET)
NAMES = {
    token: token.name.lower() if token in CELLS else f"<{token.name}>" for token in Asking
}  # as they are written, but for the cells
FRAME = (LIST_END, *NAMES.values())
LAST = ("target", "<TARGET_END>", "<PATH_START>", "origin")  # of these, "origin" is the path's

Resid = Float[np.ndarray, "token depth maze d_model"]


class Seen(NamedTuple):
    """What a model holds of the mazes on which probes are fitted, and of the held-out ones, by
    split; the tokens are those of FRAME and the first of the path."""

    fitted: Resid
    held_out: dict[str, Resid]

    def at(self, tokens: tuple[str, ...]) -> "Seen":
        """The same at the tokens of FRAME or of LAST only."""
        where = slice(None, len(FRAME)) if tokens == FRAME else slice(-len(LAST), None)
        return Seen(self.fitted[where], {name: x[where] for name, x in self.held_out.items()})


def depths(model: Transformer) -> list[Place]:
    """The place of the residual stream at every depth."""
    return [
        Place(0, Site.RESID_PRE),
        *(Place(layer, Site.RESID_POST) for layer in range(model.params.n_layers)),
    ]


def read(
    model: Transformer, fit_mazes: Mazes, held_out: Mapping[str, Mazes], seed: int, batch: int
) -> Seen:
    """The residual stream at every token and depth; the seed determines the spelling."""
    rng = encoding_rng(seed)
    fitted = _read(model, fit_mazes, rng, batch)
    return Seen(fitted, {name: _read(model, some, rng, batch) for name, some in held_out.items()})


def _read(model: Transformer, mazes: Mazes, rng: np.random.Generator, batch: int) -> Resid:
    wanted, n_tokens = depths(model), len(FRAME) + 1
    values = np.empty((n_tokens, len(wanted), len(mazes), model.params.d_model), np.float32)
    for index in mazes.batches(batch):
        encoded = encode(mazes[index], rng)
        tokens = torch.from_numpy(encoded.tokens[:, : prompt_length(encoded.n_connections) + 1])
        with torch.inference_mode():
            seen = run(model, tokens.to(model.device), record=wanted).values
        for depth, place in enumerate(wanted):
            values[:, depth, index] = seen[place][:, -n_tokens:].transpose(0, 1).cpu().numpy()
    return values
