"""The tables of one run -> its metrics, its claims, and the curves by which runs are compared."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mazewm import results
from mazewm.claims import planning, saes, summary, verdicts, world
from mazewm.claims.claim import Claim, decided
from mazewm.claims.curves import read_curve
from mazewm.claims.effects import (
    CONTROLS,
    VARIANTS,
    Effect,
    beside,
    chosen,
    chosen_as,
    curve,
    shown,
    unedited,
)
from mazewm.claims.patching import attribution_agreement, patch_effects
from mazewm.claims.sets import with_connection_sets
from mazewm.claims.statistics import rounded
from mazewm.io import files
from mazewm.localize.locations import PAPER_LOCATION, Location, Locations
from mazewm.run import Run

AT_CONSOLIDATION, AT_WRITING, AT_PAPER = "consolidation", "writing", "paper"


@dataclass(frozen=True)
class RunTables:
    """All tables that earlier stages wrote about one run. Rows about single mazes (behaviour,
    ledger, steering) have a column ``connection_set``, equal for mazes with equal connections."""

    site: Location  # where connections are read: the consolidation site
    writing_site: Location
    behaviour: pd.DataFrame
    consolidation: pd.DataFrame
    descriptions: pd.DataFrame
    splices: pd.DataFrame
    features: pd.DataFrame
    attention: pd.DataFrame
    ov_consistency: pd.DataFrame
    knockouts: pd.DataFrame
    faithfulness: pd.DataFrame
    ledger: pd.DataFrame
    frontier: pd.DataFrame
    stability: pd.DataFrame
    positions: pd.DataFrame
    taxonomy: pd.DataFrame
    patch_pairs: pd.DataFrame
    patches: pd.DataFrame
    probes: pd.DataFrame
    steering: pd.DataFrame
    writing: pd.DataFrame
    history: pd.DataFrame
    formation: pd.DataFrame
    answers: pd.DataFrame  # with connection_set, too
    beliefs: pd.DataFrame  # with connection_set, too

    @classmethod
    def of(cls, run: Run) -> "RunTables":
        """Read all tables of a run."""
        formed = results.table(run, "consolidation")
        locations = Locations.load(run.folder("activations"), int(formed.layer.max()) + 1)
        held_out = {split: run.mazes(split) for split in ("validation", "test", "overload")}
        read = {
            each.name: results.table(run, each.name)
            for each in fields(cls)
            if each.name in results.TABLES
        }
        read["history"] = read_curve(run.folder("models") / "history.csv")
        read["formation"] = read_curve(run.folder("observations") / "formation.csv")
        for name in ("behaviour", "answers", "beliefs", "ledger", "steering"):
            read[name] = with_connection_sets(read[name], held_out)
        return cls(site=locations.reading, writing_site=locations.writing, **read)

    @property
    def sites(self) -> dict[str, str]:
        """The names of the studied sites by role; the paper's only if it is not another one."""
        named = {AT_CONSOLIDATION: str(self.site), AT_WRITING: str(self.writing_site)}
        return named | (
            {} if str(PAPER_LOCATION) in named.values() else {AT_PAPER: str(PAPER_LOCATION)}
        )


class Scored(NamedTuple):
    """The results of one run."""

    metrics: dict[str, Any]
    claims: list[Claim]
    curves: dict[str, pd.DataFrame]  # small tables for git, by name
    reported: dict[str, "Reported"]  # effects at the writing site, by kind of edit

    def write(self, folder: Path) -> None:
        """Write ``claims.json``, and each of the curves as CSV."""
        files.write_json(folder / "claims.json", {one.id: one.as_json() for one in self.claims})
        for name, table in self.curves.items():
            table.round(6).to_csv(folder / f"{name}.csv", index=False)


# The kind whose settings a kind without validation rows takes: a connection is moved at its own
# token, as it is removed; all other kinds take those of add.
LIKE = {"move": "remove"}


class Reported(NamedTuple):
    """The effects that are reported for one kind of edit at one site."""

    latents: Effect
    supervised: Effect
    controls: list[Effect]  # at the latents' where and dose
    controls_there: list[Effect]  # at the supervised direction's where and dose
    # probe_direction, fixed_value and latents_and_cells, at the latents' where and dose
    variants: list[Effect]
    tokens: Effect


def _reported(ledger: pd.DataFrame, kind: str, site: str) -> Reported:
    if kind in ("add", "remove"):
        latents, supervised = (
            chosen(ledger, kind, site, method) for method in ("latents", "mean_difference")
        )
    else:
        latents, supervised = (
            chosen_as(ledger, kind, LIKE.get(kind, "add"), site, method)
            for method in ("latents", "mean_difference")
        )
    controls, variants = (
        beside(ledger, kind, site, latents, methods) for methods in (CONTROLS, VARIANTS)
    )
    there = beside(ledger, kind, site, supervised, CONTROLS)
    return Reported(
        latents, supervised, controls, there, variants, unedited(ledger, kind, site, "tokens")
    )


def score_run(tables: RunTables, threshold: float) -> Scored:
    """Metrics, claims (all but C7, which needs several runs) and curves of one run; ``threshold``
    is the own_mass that makes a connectivity head, which is in the metrics but in no claim."""
    found, main = str(tables.site), str(tables.writing_site)
    # without examples in which nothing is edited
    ledger = tables.ledger[tables.ledger.n_changed > 0]
    reported = {
        site: {
            kind: _reported(ledger, kind, site)
            for kind in ledger[ledger.site == site].kind.unique()
        }
        for site in dict.fromkeys(tables.sites.values())
    }
    at, effects = reported[main], patch_effects(tables.patch_pairs, tables.patches)
    claims = [
        world.answers_need_a_map(tables.answers),
        world.answers_agree_with_the_list(tables.beliefs),
        verdicts.encodes_connections(tables.features, found),
        verdicts.has_connectivity_heads(tables.attention),
        verdicts.directions_agree(tables.ov_consistency, found),
        verdicts.knockout_is_specific(tables.knockouts, found),
        verdicts.is_causal("C4a", "adding", at["add"].latents, at["add"].controls),
        verdicts.is_causal("C4b", "removing", at["remove"].latents, at["remove"].controls),
        verdicts.is_causal("C4c", "moving", at["move"].latents, at["move"].controls),
        verdicts.is_asymmetric(
            chosen(ledger, "add", main, "latents", at="borrowed"),
            at["remove"].latents,
            at["add"].tokens,
            at["remove"].tokens,
        ),
        verdicts.holds_more_than_was_seen(
            at["overload"].latents, at["overload"].tokens, at["overload"].controls
        ),
        verdicts.fails_by_number(
            unedited(ledger, "overload", main, "repeated"),
            at["overload"].tokens,
            at["several"].tokens,
        ),
        *(planning.represents(tables.probes, fact) for fact in planning.FACTS),
        planning.uses(tables.steering),
    ]
    claims = decided(claims)
    here = tables.consolidation
    here = here[
        (here.layer == tables.site.layer) & (here.token_class == str(tables.site.token_class))
    ].iloc[0]
    metrics: dict[str, Any] = {
        "sites": tables.sites,
        "behaviour": summary.behaviour(tables.behaviour),
        "questions": world.summary(tables.answers, tables.beliefs),
        "consolidation": {
            "layer": tables.site.layer,
            "token_class": str(tables.site.token_class),
            "probe_accuracy": rounded(here.probe_accuracy),
        },
        "attention": {"connectivity_threshold": threshold} | summary.attention(tables.attention),
        "sae": summary.saes(tables.descriptions, tables.splices),
        "seeds_of_saes": summary.seed_stability(tables.stability),
        "latents": summary.taxonomy(saes.kinds(tables.taxonomy)),
        "features": {
            name: summary.feature_map(tables.features, site)
            | {"transfer": summary.transfer(tables.positions, site)}
            for name, site in tables.sites.items()
        },
        "faithfulness": {
            row.circuit: {
                "value": rounded(row.faithfulness),
                "n_heads": int(row.n_heads),
                "n": int(row.n),
            }
            for row in tables.faithfulness[tables.faithfulness.site == found].itertuples()
        },
        "interventions": {
            name: {
                kind: _intervention(ledger, kind, site, one) for kind, one in reported[site].items()
            }
            for name, site in tables.sites.items()
        },
        "patching": summary.patching(
            effects, attribution_agreement(tables.patch_pairs, tables.patches)
        ),
        "beyond": planning.summary(tables.probes),
        "claims": {one.id: _figures(one) for one in claims},
    }
    curves = curves_of(tables, {kind: at[kind] for kind in ("several", "overload")})
    return Scored(metrics, claims, curves | {"patching": effects}, at)


def curves_of(tables: RunTables, at_once: dict[str, Reported]) -> dict[str, pd.DataFrame]:
    """The tables by which runs are compared; ``at_once`` holds the reported effects of adding
    several connections, by kind."""
    found, interventions = str(tables.site), curve(tables.ledger)
    here = interventions[interventions.site == str(tables.writing_site)]
    own_mass = tables.attention[tables.attention.measure == "own_mass"]
    return {
        "interventions": interventions,
        "at_once": pd.concat(
            [shown(here, kind, one.latents, one.supervised) for kind, one in at_once.items()],
            ignore_index=True,
        ),
        "consolidation": tables.consolidation,
        "features": tables.features[tables.features.site == found].drop(columns=["site", "units"]),
        "attention": own_mass.drop(columns=["measure", "bin"]),
        "knockouts": tables.knockouts[tables.knockouts.site == found],
        "frontier": saes.frontier(tables.frontier),
        "taxonomy": saes.kinds(tables.taxonomy),
        "positions": tables.positions[tables.positions.site == found],
        "beyond": planning.probe_curves(tables.probes),
        "steering": planning.steering_curves(tables.steering),
        "writing": tables.writing,
        "history": tables.history,
        "formation": tables.formation,
        "answers": world.answer_curve(tables.answers),
        "beliefs": world.belief_curve(tables.beliefs),
    }


def _intervention(ledger: pd.DataFrame, kind: str, site: str, reported: Reported) -> dict[str, Any]:
    mine = ledger[
        (ledger.kind == kind)
        & (ledger.site == site)
        & (ledger.split == "test")
        & (ledger.method == "no_op")
    ]
    return summary.intervention(*reported, n_unsolved=int((~mine.solved_before).sum()))


def _figures(one: Claim) -> dict[str, Any]:
    """The part of a claim that ``dvc metrics diff`` compares."""
    names = ("value", "low", "high", "control", "gap", "gap_low", "gap_high", "p", "verdict")
    return {name: value for name, value in one.as_json().items() if name in names}
