"""The whole room at once.

* Of the model, whatever the site: attention by offset, position and parity; block 0's QK, from the weights; ranks of OV, and its
  norms in block 0 and the sites' blocks; activation patching between mazes that differ in one connection.
* At each site, where connections are read, where they are written and the paper's: its binding and connectivity heads; where latents of
  connections are known, whether the heads' directions are those of the SAE, and what is left of a latent without the heads.
* Faithfulness of the binding heads of each site.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from mazewm import tables
from mazewm.circuits import consistency, faithfulness
from mazewm.circuits.attention import AttentionRow, BindingHead, CircuitParams, attention_profile, binding_heads, connectivity_heads
from mazewm.circuits.consistency import OvConsistencyRow, OvCosineRow
from mazewm.circuits.faithfulness import FaithfulnessRow
from mazewm.circuits.knockout import KnockoutRow, knock_out
from mazewm.circuits.ov import OvNormRow, OvRankRow, ov_norms, ov_ranks
from mazewm.circuits.patching import PatchPairRow, PatchRow, patch
from mazewm.circuits.qk import QkRow, qk_by_offset
from mazewm.consolidation import SpellingSite
from mazewm.maze.mazes import Mazes
from mazewm.maze.swaps import swaps
from mazewm.maze.truths import touched_cells
from mazewm.model.transformer import Transformer
from mazewm.sae.autoencoder import SparseAutoencoder


@dataclass(frozen=True)
class HeadRow:
    """One head that was chosen for a site."""

    site: tables.Text
    kind: tables.Text  # connectivity: own_mass above the threshold; binding: above its controls, in the site's own block
    layer: tables.Int
    head: tables.Int
    own_mass: tables.Real


class Traced(NamedTuple):
    """Rows of every table; each is named after what it holds."""

    attention: list[AttentionRow]
    heads: list[HeadRow]
    ov_norms: list[OvNormRow]
    ov_ranks: list[OvRankRow]
    ov_consistency: list[OvConsistencyRow]
    ov_cosines: list[OvCosineRow]
    knockouts: list[KnockoutRow]
    faithfulness: list[FaithfulnessRow]
    qk: list[QkRow]
    patch_pairs: list[PatchPairRow]
    patches: list[PatchRow]


ROW_TYPES: dict[str, type] = {
    "attention": AttentionRow,
    "heads": HeadRow,
    "ov_norms": OvNormRow,
    "ov_ranks": OvRankRow,
    "ov_consistency": OvConsistencyRow,
    "ov_cosines": OvCosineRow,
    "knockouts": KnockoutRow,
    "faithfulness": FaithfulnessRow,
    "qk": QkRow,
    "patch_pairs": PatchPairRow,
    "patches": PatchRow,
}


def trace(
    model: Transformer,
    saes: Mapping[str, SparseAutoencoder],
    best_latent: Mapping[str, Mapping[int, int]],
    sites: Sequence[SpellingSite],
    mazes: Mazes,
    params: CircuitParams,
    seed: int,
) -> Traced:
    """Measure the first ``n_mazes`` mazes at each of ``sites`` (once, where two are the same).

    ``saes`` are named by place, and ``best_latent`` gives the latent of each connection by name of the site; a site of which
    no latent is known has no rows that need one. Patching knows no site, and takes ``n_swaps`` swaps of these mazes.
    """
    mazes = mazes[: params.n_mazes]
    attention = attention_profile(model, mazes, seed, params)
    layers = sorted({0, *(site.layer for site in sites)})
    qk = qk_by_offset(model, int(np.median(mazes.n_connections)), _mentioned(mazes))
    patched = patch(model, swaps(mazes, np.random.default_rng([seed, 6]), params.n_swaps), seed, params.batch_size)
    traced = Traced(attention, [], ov_norms(model, layers, mazes), ov_ranks(model), [], [], [], [], qk, *patched)
    binding: dict[SpellingSite, list[BindingHead]] = {}
    for each in dict.fromkeys(sites):
        named: dict[str, list[BindingHead]] = {
            "binding": binding_heads(attention, each, params.binding_ratio),
            "connectivity": connectivity_heads(attention, each, params.connectivity_threshold),
        }
        traced.heads.extend(HeadRow(str(each), kind, *head) for kind, heads in named.items() for head in heads)
        binding[each] = named["binding"]
        latents = best_latent.get(str(each), {})
        if latents:
            sae = saes[str(each.place)]
            rows = consistency.compare(model, sae, latents, each, named, mazes, seed)
            traced.ov_consistency.extend(rows.rows)
            traced.ov_cosines.extend(rows.cosines)
            traced.knockouts.extend(knock_out(model, sae, latents, each, named, mazes, seed, params.batch_size))
    traced.faithfulness.extend(faithfulness.measure(model, binding, mazes, seed, params.batch_size))
    return traced


def _mentioned(mazes: Mazes) -> Int[np.ndarray, " cell"]:
    """The cells that some of the mazes mention; the embeddings of others were never trained."""
    return np.flatnonzero(touched_cells(mazes.grid, mazes.connections).any(axis=0))
