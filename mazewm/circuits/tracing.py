"""All measurements of circuits in one run.

* Of the whole model: attention by offset, position and parity; block 0's QK scores, from the
  weights; the ranks of all OV matrices, and what heads write for each cell, in block 0 and in the
  sites' blocks; activation patching between mazes that differ in one connection.
* The path of a connection: the effect of every edge between tokens, and a circuit of few of them.
* At each site (where connections are read, where they are written, and the paper's): its binding
  and connectivity heads; where latents of connections are known, whether the heads' directions
  agree with those of the SAE, how much of a latent is lost without the heads, and how well they
  predict its value.
* Binding heads at ``<-->``, ``c2`` and ``;`` after the last block but one, so that models are
  compared at the same tokens and the same depth; and the directions of all connections where they
  are read.
* The faithfulness of each site's binding heads.
* Which heads of later blocks read a connection that is in the prompt, or that latents write.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from mazewm.choosing import CHOOSING
from mazewm.circuits import binding, consistency, edges, faithfulness
from mazewm.circuits.attention import (
    AttentionRow,
    BindingHead,
    attention_profile,
    connectivity_heads,
    own_mass,
)
from mazewm.circuits.binding import COMPARED, BindingRow, Head, compared_block
from mazewm.circuits.consistency import OvConsistencyRow, OvCosineRow
from mazewm.circuits.directions import DirectionRow, directions_at
from mazewm.circuits.edges import CircuitEdgeRow, EdgeRow
from mazewm.circuits.faithfulness import FaithfulnessRow
from mazewm.circuits.knockout import Knockout, KnockoutRow, knock_out
from mazewm.circuits.ov import OvNormRow, OvRankRow, ov_norms, ov_ranks
from mazewm.circuits.params import CircuitParams
from mazewm.circuits.patching import PatchPairRow, PatchRow, patch
from mazewm.circuits.prediction import PredictionRow, predict
from mazewm.circuits.qk import QkRow, qk_by_offset
from mazewm.circuits.readable import Readable
from mazewm.circuits.readers import ReaderRow, measure_readers
from mazewm.circuits.writable import Writable
from mazewm.counterfactuals.swaps import swaps
from mazewm.features.ranking import LatentRow, best_latents
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.io.progress import console, progress
from mazewm.localize.locations import Location, Locations
from mazewm.localize.writing import arrows_of
from mazewm.maze.mazes import Mazes
from mazewm.maze.truths import touched_cells
from mazewm.model.transformer import Transformer
from mazewm.run import Run
from mazewm.sae.files import load_sae

N_CHOOSING = 100  # swaps of validation mazes on which a circuit is chosen


@dataclass(frozen=True)
class HeadRow:
    """One head that was chosen for a site."""

    site: tables.Text
    # connectivity: own_mass above the threshold; binding: chosen by effect
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
    "binding": BindingRow,
    "edges": EdgeRow,
    "circuit": CircuitEdgeRow,
    "readers": ReaderRow,
    "predictions": PredictionRow,
    "directions": DirectionRow,
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
    """Trace the circuits of one run on its test mazes; heads and edges are chosen on validation
    mazes."""
    model = Transformer.load(run.weights)
    found = Locations.load(run.folder("locations"), model.params.n_layers)
    locations = found.studied
    ranked = tables.read_filled(run.folder("features") / "latents.parquet", LatentRow)
    saes = {each.place: load_sae(run, each.place) for each in locations}
    progress("heads, ablations and patches", 1)
    chosen_on, subject = (
        Subject(model, run.mazes(split)[: params.n_mazes], run.seed, params.batch_size)
        for split in (CHOOSING, "test")
    )
    known = [
        Readable(each, saes[each.place], best_latents(ranked, str(each))) for each in locations
    ]
    sources = list(dict.fromkeys([found.reading, found.writing.source]))
    writable = [
        Writable.of(run, each, arrows, found.writing)
        for each, arrows in arrows_of(chosen_on, sources).items()
    ]
    traced = trace_subject(subject, chosen_on, known, params, writable)
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


def trace_subject(
    subject: Subject,
    chosen_on: Subject,
    known: Sequence[Readable],
    params: CircuitParams,
    writable: Sequence[Writable] = (),
) -> Traced:
    """Make all measurements on the subject's mazes, at each of the ``known`` locations, of which
    the first is the one where connections are read; what is chosen, on those of ``chosen_on``.

    A location without known latents has no rows in the tables that need them. Patching, edges and
    readers use the same swaps, at most ``n_swaps``; patching and edges do not depend on the
    locations, and readers are measured where something is ``writable``.
    """
    model, mazes, seed, traced = subject.transformer, subject.mazes, subject.seed, Traced()
    attention = attention_profile(subject, params.n_position_bins)
    swapped, others = (
        swaps(each.mazes, each.rng("swaps"), params.n_swaps) for each in (subject, chosen_on)
    )
    others = others[:N_CHOOSING]
    patched = patch(subject, swapped)
    traced.add("circuit", circuit := edges.choose_circuit(chosen_on, others))
    traced.add("edges", edges.measure_edges(subject, swapped, edges.edges_of(circuit)))
    traced.add("readers", measure_readers(subject, swapped, chosen_on, others, writable))
    traced.add("attention", attention)
    traced.add("qk", qk_by_offset(model, int(np.median(mazes.n_connections)), _mentioned(mazes)))
    traced.add("patch_pairs", patched.pairs)
    traced.add("patches", patched.patches)
    traced.add(
        "ov_norms", ov_norms(model, sorted({0, *(each.location.layer for each in known)}), mazes)
    )
    traced.add("ov_ranks", ov_ranks(model))
    by_location: dict[Location, list[BindingHead]] = {}
    traced.add("directions", directions_at(chosen_on, known[0].location, CHOOSING))
    bound = _bind(subject, chosen_on, [each.location for each in known], params, traced)
    for each in known:
        heads = {
            "binding": _with_mass(bound[each.location], attention, each.location),
            "connectivity": connectivity_heads(
                attention, each.location, params.connectivity_threshold
            ),
        }
        by_location[each.location] = heads["binding"]
        for kind, some in heads.items():
            traced.add("heads", (HeadRow(str(each.location), kind, *head) for head in some))
        if each.best_latent:
            agreement = consistency.compare(model, each, heads, mazes, seed)
            traced.add("ov_consistency", agreement.rows)
            traced.add("ov_cosines", agreement.cosines)
            study = Knockout.of(subject, each)
            traced.add("knockouts", knock_out(study, heads))
            traced.add("predictions", predict(study, bound[each.location]))
    for location in bound:
        if location not in by_location:
            heads_there = _with_mass(bound[location], attention, location)
            traced.add("heads", (HeadRow(str(location), "binding", *one) for one in heads_there))
    traced.add("faithfulness", faithfulness.measure(subject, by_location))
    return traced


def _with_mass(
    heads: Sequence[Head], attention: list[AttentionRow], location: Location
) -> list[BindingHead]:
    """Heads with their own_mass at a location."""
    mass = own_mass(attention, location)
    return [BindingHead(*head, mass[head]) for head in heads]


def _bind(
    subject: Subject,
    chosen_on: Subject,
    locations: Sequence[Location],
    params: CircuitParams,
    traced: Traced,
) -> dict[Location, list[Head]]:
    """The binding heads of every location, and of those where all models are compared; what is
    lost without them is added to the table."""
    n, found = params.n_binding_mazes, {}
    layer = compared_block(subject.transformer.params.n_layers)
    alike = [Location(layer, token_class) for token_class in COMPARED]
    few, chosen = (replace(each, mazes=each.mazes[:n]) for each in (subject, chosen_on))
    every = list(dict.fromkeys([*locations, *alike]))
    for location, arrows in arrows_of(chosen_on, every).items():
        found[location] = binding.choose_heads(chosen, location, arrows)
        if found[location]:
            rows = binding.measure_heads(few, location, arrows, found[location])
            traced.add("binding", rows)
    return found


def _mentioned(mazes: Mazes) -> Int[np.ndarray, " cell"]:
    """The cells that some of the mazes mention; embeddings of other cells were never trained."""
    return np.flatnonzero(touched_cells(mazes.grid, mazes.connections).any(axis=0))
