"""The tables of one run -> its metrics, its claims, and the curves by which runs are compared."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mazewm import results
from mazewm.circuits.binding import compared_block
from mazewm.claims import (
    architectures,
    capacity,
    causal,
    circuits,
    code,
    connections,
    edit_tables,
    frame,
    geometry,
    planning,
    readers,
    robustness,
    saes,
    summary,
    verdicts,
    world,
)
from mazewm.claims.claim import Claim, decided
from mazewm.claims.curves import read_measured
from mazewm.claims.edits import Edits, Setting
from mazewm.claims.patching import attribution_agreement, patch_effects
from mazewm.claims.sets import with_connection_sets
from mazewm.claims.solvers import of_solvers_only
from mazewm.claims.statistics import rounded
from mazewm.io import files
from mazewm.localize.locations import PAPER_LOCATION, Location, Locations, WritingSite
from mazewm.run import Run

# tables about single mazes; those of stage measure_behaviour first
ABOUT_MAZES = ("behaviour", "answers", "beliefs", "detours", "states", "spellings")
WITH_SETS = (
    *ABOUT_MAZES,
    *("ledger", "pairs"),
    *("carried", "binding", "edges", "readers", "predictions"),
    *("probes", "steering", "whole", "frame"),
)
AT_CONSOLIDATION, AT_SOURCE, AT_PAPER = "consolidation", "source", "paper"


@dataclass(frozen=True)
class RunTables:
    """All tables that earlier stages wrote about one run. Rows about single mazes (behaviour,
    ledger, steering) have a column ``connection_set``, equal for mazes with equal connections."""

    site: Location  # where connections are read: the consolidation site
    writing_site: WritingSite
    most: int  # connections of the largest training maze
    behaviour: pd.DataFrame
    consolidation: pd.DataFrame
    saes: pd.DataFrame
    descriptions: pd.DataFrame
    splices: pd.DataFrame
    features: pd.DataFrame
    singles: pd.DataFrame
    boards: pd.DataFrame
    attention: pd.DataFrame
    ov_consistency: pd.DataFrame
    knockouts: pd.DataFrame
    faithfulness: pd.DataFrame
    binding: pd.DataFrame  # with connection_set, too
    edges: pd.DataFrame  # with connection_set, too
    circuit: pd.DataFrame
    readers: pd.DataFrame  # with connection_set, too
    predictions: pd.DataFrame  # with connection_set, too
    heads: pd.DataFrame
    directions: pd.DataFrame
    ledger: pd.DataFrame
    pairs: pd.DataFrame
    frontier: pd.DataFrame
    stability: pd.DataFrame
    positions: pd.DataFrame
    taxonomy: pd.DataFrame
    patch_pairs: pd.DataFrame
    patches: pd.DataFrame
    probes: pd.DataFrame
    steering: pd.DataFrame
    whole: pd.DataFrame  # with connection_set, too
    frame: pd.DataFrame  # with connection_set, too
    writing: pd.DataFrame
    carried: pd.DataFrame  # with connection_set, too
    history: pd.DataFrame
    formation: pd.DataFrame
    answers: pd.DataFrame  # with connection_set, too
    beliefs: pd.DataFrame  # with connection_set, too
    detours: pd.DataFrame  # with connection_set, too
    states: pd.DataFrame  # with connection_set, too
    spellings: pd.DataFrame  # with connection_set, too

    @classmethod
    def of(cls, run: Run) -> "RunTables":
        """Read all tables of a run."""
        formed = results.table(run, "consolidation")
        locations = Locations.load(run.folder("locations"), int(formed.layer.max()) + 1)
        held_out = {split: run.mazes(split) for split in ("validation", "test", "overload")}
        read = {
            each.name: results.table(run, each.name)
            for each in fields(cls)
            if each.name in results.TABLES
        }
        for name in ("probes", "whole"):
            told = results.inputs(run, name)
            read[name] = pd.concat([read[name], told], ignore_index=True)
        read["history"] = read_measured(run.folder("models") / "history.csv")
        read["formation"] = read_measured(run.folder("observations") / "formation.csv")
        for name in WITH_SETS:
            read[name] = with_connection_sets(read[name], held_out)
        most = int(run.mazes("train").n_connections.max())
        return cls(locations.reading, locations.writing, most, **read)

    @property
    def sites(self) -> dict[str, str]:
        """The names of the locations at which connections are read, by role: the consolidation
        site, the one from which directions are written, and the paper's. The latter two only if
        they are others."""
        found = {AT_CONSOLIDATION: str(self.site)}
        for role, where in {AT_SOURCE: self.writing_site.source, AT_PAPER: PAPER_LOCATION}.items():
            if str(where) not in found.values():
                found[role] = str(where)
        return found


class Scored(NamedTuple):
    """The results of one run."""

    metrics: dict[str, Any]
    claims: list[Claim]
    curves: dict[str, pd.DataFrame]  # small tables for git, by name
    shown: list[Setting]  # of which mazes are drawn

    def write(self, folder: Path) -> None:
        """Write ``claims.json``, and each of the curves as CSV."""
        files.write_json(folder / "claims.json", {one.id: one.as_json() for one in self.claims})
        for name, table in self.curves.items():
            table.round(6).to_csv(folder / f"{name}.csv", index=False)


def score_run(tables: RunTables, threshold: float) -> Scored:
    """Metrics, claims (all but C7 and C10, which need several runs) and curves of one run;
    ``threshold`` is the own_mass that makes a connectivity head, which is in the metrics but in no
    claim."""
    found, most = str(tables.site), tables.most
    edits = Edits(tables.ledger, tables.pairs, tables.writing_site)
    edges = circuits.Edges(tables.edges)
    effects = patch_effects(tables.patch_pairs, tables.patches)
    claims = [
        world.answers_take_more_than_walls(tables.answers),
        world.answers_agree_with_the_list(tables.beliefs),
        world.answers_take_more_than_looking_ahead(tables.answers),
        verdicts.encodes_connections(tables.singles),
        circuits.binds_the_cells(tables.binding, found),
        circuits.is_a_circuit(edges, tables.circuit),
        frame.holds_the_maze(tables.whole),
        frame.writes_there(tables.frame),
        verdicts.directions_agree(tables.ov_consistency, found),
        verdicts.knockout_is_specific(tables.knockouts, found),
        readers.reads_alike(tables.readers, str(tables.writing_site.source)),
        circuits.predicts_latents(tables.predictions, found),
        causal.is_causal("C4a", edits, "add"),
        causal.is_causal("C4b", edits, "remove"),
        causal.is_moved(edits),
        causal.latents_are_special(edits),
        causal.removal_is_efficient(edits),
        causal.is_asymmetric(edits),
        causal.adding_needs_the_direction(edits),
        causal.removing_needs_the_place(edits),
        capacity.holds_more(edits, most),
        capacity.fails_as_tokens(edits, most),
        capacity.believes_more(edits, most),
        *(planning.represents(tables.probes, fact) for fact in planning.FACTS),
        planning.uses(tables.steering),
        causal.probes_do_not_write(edits),
    ]
    claims = decided(of_solvers_only(claims, tables.behaviour))
    reported = edit_tables.reported(edits)
    here = tables.consolidation
    here = here[
        (here.layer == tables.site.layer) & (here.token_class == str(tables.site.token_class))
    ].iloc[0]
    curves = curves_of(tables)
    metrics: dict[str, Any] = {
        "sites": tables.sites | {"writing": str(tables.writing_site)},
        "behaviour": summary.behaviour(tables.behaviour),
        "questions": world.summary(tables.answers, tables.beliefs),
        "detours": robustness.detours(tables.detours),
        "states": robustness.states(tables.states),
        "spellings": robustness.spellings(tables.spellings),
        "consolidation": {
            "layer": tables.site.layer,
            "token_class": str(tables.site.token_class),
            "probe_accuracy": rounded(here.probe_accuracy),
            "identity_accuracy": rounded(here.identity_accuracy),
        },
        "attention": {"connectivity_threshold": threshold},
        "sae": summary.saes(tables.descriptions, tables.splices),
        "seeds_of_saes": summary.seed_stability(tables.stability),
        "latents": summary.taxonomy(saes.kinds(tables.taxonomy)),
        "features": {
            name: summary.feature_map(tables.features, site)
            | {"transfer": summary.transfer(tables.positions, site)}
            for name, site in tables.sites.items()
        },
        "singles": summary.singles(tables.singles, tables.boards),
        "faithfulness": {
            row.circuit: {
                "value": rounded(row.faithfulness),
                "n_heads": int(row.n_heads),
                "n": int(row.n),
            }
            for row in tables.faithfulness[tables.faithfulness.site == found].itertuples()
        },
        "interventions": edit_tables.summary(edits, reported),
        "corridors_by_walkers": capacity.by_walkers(edits, most),
        "patching": summary.patching(
            effects, attribution_agreement(tables.patch_pairs, tables.patches)
        ),
        "beyond": planning.summary(tables.probes, curves["steps"]),
        "after_the_list": frame.summary(curves["whole"], curves["frame"]),
        "code": code_of(tables),
        "claims": {one.id: _figures(one) for one in claims},
    }
    curves |= {
        "edits": reported,
        "doses": edit_tables.by_dose(edits),
        "corridors": edit_tables.corridors(edits, most),
        "held": edit_tables.held(edits),
        "patching": effects,
        "edges": circuits.edge_shares(edges, tables.circuit),
        "connections": connections.by_connection(
            tables.features[tables.features.site == found],
            tables.singles,
            tables.ov_consistency[tables.ov_consistency.site == found],
            edits,
        ),
    }
    shown = [edits.setting(kind, "latents", edits.sizes[-1]) for kind in ("add", "remove")]
    return Scored(metrics, claims, curves, shown)


def curves_of(tables: RunTables) -> dict[str, pd.DataFrame]:
    """The tables by which runs are compared, without those of interventions."""
    found, place = str(tables.site), str(tables.site.place)
    own_mass = tables.attention[tables.attention.measure == "own_mass"]
    return {
        "consolidation": tables.consolidation,
        "features": tables.features[tables.features.site == found].drop(columns=["site", "units"]),
        "singles": tables.singles.drop(columns="site"),
        "boards": tables.boards.drop(columns="site"),
        "architectures": architectures.architectures(
            tables.saes[tables.saes.place == place],
            tables.descriptions[tables.descriptions.place == place],
            tables.singles,
            tables.boards,
        ),
        "attention": own_mass.drop(columns=["measure", "bin"]),
        "binding": circuits.binding_shares(tables.binding),
        "readers": readers.reader_shares(tables.readers),
        "predictions": circuits.predicted_values(tables.predictions),
        "knockouts": tables.knockouts[tables.knockouts.site == found],
        "frontier": saes.frontier(tables.frontier),
        "taxonomy": saes.kinds(tables.taxonomy),
        "positions": tables.positions[tables.positions.site == found],
        "beyond": planning.probe_curves(tables.probes),
        "steps": planning.step_curve(tables.probes),
        "steering": planning.steering_curves(tables.steering),
        "whole": frame.whole_curve(tables.whole),
        "frame": frame.written_curve(tables.frame),
        "writing": tables.writing,
        "carried": code.carried_curve(tables.carried),
        "history": tables.history,
        "formation": tables.formation,
        "answers": world.answer_curve(tables.answers),
        "beliefs": world.belief_curve(tables.beliefs),
        "detours": robustness.detour_curve(tables.detours),
        "states": robustness.state_curve(tables.states),
        "spellings": robustness.spelling_curve(tables.spellings),
        "geometry": geometry.table(tables.directions),
    }


def code_of(tables: RunTables) -> code.Numbers:
    """The numbers by which encodings and objectives are compared."""
    found = str(tables.site)
    compared = compared_block(int(tables.consolidation.layer.max()) + 1)
    trees = tables.features[tables.features.site == found]
    return {
        **code.where_bound(tables.binding, compared),
        **code.which_heads(tables.heads, compared),
        **code.where_written(tables.writing, tables.site.layer),
        **code.carried(tables.positions, found),
        **code.edits_carried(tables.carried),
        **code.latents_needed(trees[trees.readout == "latents"]),
        **code.geometry_of(tables.directions),
    }


def _figures(one: Claim) -> dict[str, Any]:
    """The part of a claim that ``dvc metrics diff`` compares."""
    names = ("value", "low", "high", "control", "gap", "gap_low", "gap_high", "p", "verdict")
    return {name: value for name, value in one.as_json().items() if name in names}
