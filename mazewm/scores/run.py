"""One run's tables -> its metrics, its claims, and the curves that runs are compared by."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from mazewm.consolidation import PAPER_SITE, SpellingSite
from mazewm.scores import claims, summary
from mazewm.scores.effects import SETTING, Effect, chosen, controls_beside, dose_curve, effect
from mazewm.scores.statistics import rounded


@dataclass(frozen=True)
class RunTables:
    """Everything that the stages before wrote about one transformer."""

    site: SpellingSite
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


class Scored(NamedTuple):
    """What a run comes down to."""

    metrics: dict[str, Any]
    claims: list[claims.Claim]
    dose: pd.DataFrame


class Reported(NamedTuple):
    """What is reported of one kind of edit at one site."""

    latents: Effect
    supervised: Effect
    controls: list[Effect]


def _reported(ledger: pd.DataFrame, kind: str, site: str) -> Reported:
    latents, supervised = (chosen(ledger, kind, site, method) for method in ("latents", "mean_difference"))
    return Reported(latents, supervised, controls_beside(ledger, kind, site, latents))


def score_run(tables: RunTables, threshold: float) -> Scored:
    """Metrics, claims C1 to C5 and dose curves of one run."""
    found, ledger = str(tables.site), tables.ledger
    sites = {"consolidation": found} | ({} if tables.site == PAPER_SITE else {"paper": str(PAPER_SITE)})
    reported = {site: {kind: _reported(ledger, kind, site) for kind in ("add", "remove")} for site in sites.values()}
    added, removed = reported[found]["add"], reported[found]["remove"]
    decided = [
        claims.encodes_connections(tables.features, found),
        claims.has_connectivity_heads(tables.attention, str(tables.site.token_class), threshold),
        claims.directions_agree(tables.ov_consistency, found),
        claims.knockout_is_specific(tables.knockouts, found),
        claims.is_causal("C4a", "adding", added.latents, added.controls),
        claims.is_causal("C4b", "removing", removed.latents, removed.controls),
        claims.is_asymmetric(added.latents, removed.latents),
    ]
    here = tables.consolidation
    here = here[(here.layer == tables.site.layer) & (here.token_class == str(tables.site.token_class))].iloc[0]
    metrics: dict[str, Any] = {
        "behaviour": summary.behaviour(tables.behaviour),
        "consolidation": {
            "layer": tables.site.layer,
            "token_class": str(tables.site.token_class),
            "probe_accuracy": rounded(here.probe_accuracy),
        },
        "sae": summary.saes(tables.descriptions, tables.splices),
        "features": {name: summary.feature_map(tables.features, site) for name, site in sites.items()},
        "faithfulness": {
            row.circuit: {"value": rounded(row.faithfulness), "n_heads": int(row.n_heads), "n": int(row.n)}
            for row in tables.faithfulness[tables.faithfulness.site == found].itertuples()
        },
        "interventions": {name: _interventions(ledger, site, reported[site]) for name, site in sites.items()},
        "claims": {
            one.id: {
                "value": rounded(one.value),
                "low": rounded(one.low),
                "high": rounded(one.high),
                "control": rounded(one.control),
                "verdict": one.verdict,
            }
            for one in decided
        },
    }
    return Scored(metrics, decided, dose_curve(ledger))


def _interventions(ledger: pd.DataFrame, site: str, reported: dict[str, Reported]) -> dict[str, Any]:
    result = {}
    for kind, (latents, supervised, controls) in reported.items():
        mine = ledger[(ledger.kind == kind) & (ledger.site == site) & (ledger.split == "test")]
        ceiling = mine[mine.method == "tokens"]
        where, n_latents, dose = ceiling[SETTING].iloc[0]
        tokens = effect(ceiling[ceiling.solved_before], "tokens", where, int(n_latents), float(dose))
        n_unsolved = int((~mine[mine.method == "no_op"].solved_before).sum())
        result[kind] = summary.intervention(latents, supervised, controls, tokens, n_unsolved)
    return result
