"""All measurements of circuits in one run.

* Of the whole model: attention by offset, position and parity; block 0's QK scores, from the
  weights; the ranks of all OV matrices, and what heads write for each cell, in block 0 and in the
  sites' blocks; activation patching between mazes that differ in one connection.
* At each site (where connections are read, where they are written, and the paper's): its binding
  and connectivity heads; where latents of connections are known, whether the heads' directions
  agree with those of the SAE, and how much of a latent is lost without the heads.
* The faithfulness of each site's binding heads.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from mazewm import results
from mazewm.circuits import consistency, faithfulness
from mazewm.circuits.attention import (
    AttentionRow,
    BindingHead,
    attention_profile,
    binding_heads,
    connectivity_heads,
)
from mazewm.circuits.consistency import OvConsistencyRow, OvCosineRow
from mazewm.circuits.faithfulness import FaithfulnessRow
from mazewm.circuits.knockout import KnockoutRow, knock_out
from mazewm.circuits.ov import OvNormRow, OvRankRow, ov_norms, ov_ranks
from mazewm.circuits.params import CircuitParams
from mazewm.circuits.patching import PatchPairRow, PatchRow, patch
from mazewm.circuits.qk import QkRow, qk_by_offset
from mazewm.circuits.readable import Readable
from mazewm.counterfactuals.swaps import swaps
from mazewm.features.ranking import best_latents
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.progress import console, progress
from mazewm.localize.locations import Location, Locations
from mazewm.maze.mazes import Mazes
from mazewm.maze.truths import touched_cells
from mazewm.model.transformer import Transformer
from mazewm.run import Run
from mazewm.sae.files import load_sae


@dataclass(frozen=True)
class HeadRow:
    """One head that was chosen for a site."""

    site: tables.Text
    # connectivity: own_mass above the threshold; binding: above its controls, and in the site's
    # own block
    kind: tables.Text
    layer: tables.Int
    head: tables.Int
    own_mass: tables.Real  # mean over mazes, a share of attention


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


@dataclass(frozen=True)
class Traced:
    """Rows of every table, by its name in ROW_TYPES."""

    rows: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in ROW_TYPES})

    def add(self, name: str, rows: Iterable[Any]) -> None:
        """Append rows to one of the tables."""
        self.rows[name].extend(rows)

    def write(self, folder: Path) -> None:
        """Write each table to a parquet file of its own."""
        for name, row_type in ROW_TYPES.items():
            tables.write_rows(folder / f"{name}.parquet", row_type, self.rows[name])


def trace(run: Run, params: CircuitParams) -> Traced:
    """Trace the circuits of one run on its test mazes."""
    model = Transformer.load(run.weights)
    locations = Locations.load(run.folder("activations"), model.params.n_layers).studied
    ranked = results.table(run, "latents")
    saes = {each.place: load_sae(run, each.place) for each in locations}
    progress("heads, ablations and patches", 1)
    subject = Subject(model, run.mazes("test")[: params.n_mazes], run.seed, params.batch_size)
    known = [
        Readable(each, saes[each.place], best_latents(ranked, str(each))) for each in locations
    ]
    traced = trace_subject(subject, known, params)
    for head in traced.rows["heads"]:
        console.print(
            f"{head.site}: {head.kind} head {head.layer}.{head.head}: own_mass {head.own_mass:.2f}"
        )
    for circuit in traced.rows["faithfulness"]:
        console.print(
            f"{circuit.site}: faithfulness of {circuit.circuit} ({circuit.heads or 'no heads'}) "
            f"{circuit.faithfulness:.2f}"
        )
    pairs = traced.rows["patch_pairs"]
    right = sum(pair.is_right for pair in pairs)
    console.print(
        f"activation patching: {len(pairs)} pairs of mazes, {right} with the right next cell in "
        "both"
    )
    return traced


def trace_subject(subject: Subject, known: Sequence[Readable], params: CircuitParams) -> Traced:
    """Make all measurements on the subject's mazes, at each of the ``known`` locations.

    A location without known latents has no rows in the tables that need them. Activation patching
    does not depend on the locations; it uses up to ``n_swaps`` swaps of the mazes.
    """
    model, mazes, seed, traced = subject.model, subject.mazes, subject.seed, Traced()
    attention = attention_profile(subject, params.n_position_bins)
    patched = patch(subject, swaps(mazes, subject.rng("swaps"), params.n_swaps))
    traced.add("attention", attention)
    traced.add("qk", qk_by_offset(model, int(np.median(mazes.n_connections)), _mentioned(mazes)))
    traced.add("patch_pairs", patched.pairs)
    traced.add("patches", patched.patches)
    traced.add(
        "ov_norms", ov_norms(model, sorted({0, *(each.location.layer for each in known)}), mazes)
    )
    traced.add("ov_ranks", ov_ranks(model))
    binding: dict[Location, list[BindingHead]] = {}
    for each in known:
        heads = {
            "binding": binding_heads(attention, each.location, params.binding_ratio),
            "connectivity": connectivity_heads(
                attention, each.location, params.connectivity_threshold
            ),
        }
        binding[each.location] = heads["binding"]
        traced.add(
            "heads",
            (
                HeadRow(str(each.location), kind, *head)
                for kind, some in heads.items()
                for head in some
            ),
        )
        if each.best_latent:
            agreement = consistency.compare(model, each, heads, mazes, seed)
            traced.add("ov_consistency", agreement.rows)
            traced.add("ov_cosines", agreement.cosines)
            traced.add("knockouts", knock_out(subject, each, heads))
    traced.add("faithfulness", faithfulness.measure(subject, binding))
    return traced


def _mentioned(mazes: Mazes) -> Int[np.ndarray, " cell"]:
    """The cells that some of the mazes mention; embeddings of other cells were never trained."""
    return np.flatnonzero(touched_cells(mazes.grid, mazes.connections).any(axis=0))
