"""A hand-wired transformer whose heads, and an SAE whose latents, are known.

Dimensions of the residual stream: one-hot positions, one-hot tokens, then what head 0 writes and
what head 1 writes, a dimension for each cell. Head 0 looks two tokens back and copies the cell that
it finds there: at c2, it fetches c1. Head 1 looks at everything alike, and copies the first seven
cells. The SAE's latent of a connection wants both of its cells.
"""

import numpy as np
import torch

from mazewm.datasets import generators
from mazewm.maze.lattice import lattice
from mazewm.maze.mazes import Mazes, solve
from mazewm.maze.tokens import SPECIALS, Vocabulary
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.sae.autoencoder import SaeShape, SparseAutoencoder

N, N_CELLS, N_CONNECTIONS = 3, 9, 12
D_HEAD = N_POS = 53  # longer than eight connections and any path
TOKEN = N_POS
CELL = TOKEN + len(SPECIALS)
FETCHED = CELL + N_CELLS
BLURRED = FETCHED + N_CELLS
N_BLURRED = 7
N_LATENTS = 13


def planted(n_layers: int = 1, writes: tuple[bool, bool] = (True, True)) -> Transformer:
    """The transformer; blocks after the first add nothing."""
    torch.manual_seed(0)
    vocabulary, d = Vocabulary(N), 2 * D_HEAD
    model = Transformer(
        TransformerParams(n_layers=n_layers, d_model=d, n_heads=2, d_mlp=2),
        "learned",
        len(vocabulary),
        N_POS,
    )
    model.silence()
    attn = model.blocks[0].attn
    # what a one becomes in LayerNorm, inverted
    one = ((1 - 2 / d) / (2 / d - 4 / d**2) ** 0.5) ** -1
    cells = torch.arange(N_CELLS)
    with torch.no_grad():
        model.W_E.zero_()[:, TOKEN : TOKEN + len(vocabulary)] = torch.eye(len(vocabulary))
        model.encoding.W_pos.zero_()[:, :N_POS] = torch.eye(N_POS)
        attn.Q.zero_()[torch.arange(2, N_POS), torch.arange(N_POS - 2)] = 10.0
        attn.K.zero_()[:N_POS, :N_POS] = torch.eye(N_POS)
        attn.V.zero_()[CELL + cells, cells] = one
        attn.V[CELL + cells, D_HEAD + cells] = one
        if writes[0]:
            attn.O[cells, FETCHED + cells] = 1.0
        if writes[1]:
            attn.O[D_HEAD + cells[:N_BLURRED], BLURRED + cells[:N_BLURRED]] = 1.0
    return model.eval().requires_grad_(False)


def latent_of(connection: int) -> int:
    """Where the SAE keeps a connection; latent 1 is nobody's."""
    return (5 * connection + 2) % N_LATENTS


def planted_sae() -> SparseAutoencoder:
    """A latent is half on where both of its cells are there (own cell and fetched cell), and off
    where one is."""
    sae = SparseAutoencoder(
        SaeShape(activation="relu", d_model=2 * D_HEAD, n_latents=N_LATENTS, k=1)
    )
    with torch.no_grad():
        sae.W_enc.zero_()
        sae.W_dec.zero_()
        sae.b_enc.fill_(-1.5)
        for e, ends in enumerate(lattice(N).ends):
            for cell in ends:
                sae.W_enc[CELL + cell, latent_of(e)] = sae.W_enc[FETCHED + cell, latent_of(e)] = 1.0
                sae.W_dec[latent_of(e), FETCHED + cell] = 0.5**0.5
    return sae.eval().requires_grad_(False)


BEST = {e: latent_of(e) for e in range(N_CONNECTIONS)}


def trees(n_mazes: int, smallest: int = 6, seed: int = 0) -> Mazes:
    """Mazes with ``smallest`` - 1 to eight connections."""
    rng = np.random.default_rng(seed)
    connections = generators.dfs(rng, N, rng.integers(smallest, N_CELLS + 1, size=n_mazes))
    touched = [
        np.flatnonzero(np.isin(np.arange(N_CELLS), lattice(N).ends[bits])) for bits in connections
    ]
    ends = np.array([rng.choice(cells, 2, replace=False) for cells in touched])
    return solve(lattice(N), connections, ends[:, 0], ends[:, 1], np.full(n_mazes, "tree"))
