"""What the study of a model that was trained elsewhere found, in a few lines: from its tables
alone.
"""

from dataclasses import dataclass

import pandas as pd

from mazewm.claims.draws import best_draw
from mazewm.claims.edit_tables import reported
from mazewm.claims.edits import Edits, selectivity
from mazewm.claims.sets import with_connection_sets
from mazewm.claims.solvers import why_not
from mazewm.claims.statistics import Interval, share
from mazewm.localize.consolidation import net_accuracy
from mazewm.localize.locations import Locations
from mazewm.results import table
from mazewm.run import Study
from mazewm.sae.files import FROZEN

WALKERS = {"blind": "walker who ignores walls", "near": "walker who sees those around it"}
READOUTS = {
    "latents": "latents",
    "frozen_decoder": "random decoder, best draw",
    "untrained_model": "untrained model",
    "neurons": "residual dimensions",
    "shuffled_labels": "shuffled labels",
}


@dataclass(frozen=True)
class Summary:
    """The results that matter most; ``str`` writes them out."""

    name: str
    solved: Interval  # of test mazes
    locations: Locations
    net_accuracy: float  # of the probe where connections are read
    sae: pd.Series  # a row of SaeRow: the SAE where connections are written
    described: pd.Series  # a row of DescriptionRow of it, over all tokens
    splice: pd.Series  # a row of SpliceRow
    mcc: pd.Series  # of the best single unit where connections are read, mean, by readout
    # how edits of test mazes select, at their best doses: kind, method, n_units, value, low, high,
    # and n_affected, the questions that should change
    edits: pd.DataFrame

    def __str__(self) -> str:
        sae, mcc = self.sae, [f"{n} {v:.3f}" for n, v in self.mcc.items()]
        why = why_not("the model", self.solved.value)
        solved = _percent(self.solved.value, self.solved.low, self.solved.high)
        lines = [
            self.name,
            f"solved: {solved} of test mazes",
            *([f"how it solves them is not measured: {why}"] if why else []),
            f"connections are read: {self.locations.reading}, net accuracy {self.net_accuracy:.3f}",
            f"connections are written: {self.locations.writing}",
            f"SAE at {sae.place}: {sae.activation}, {sae.width} latents, L0 {self.described.l0:.1f}"
            f", explained variance {self.described.explained_variance:.3f}, solved spliced "
            f"{self.splice.solved_spliced:.1%} (clean {self.splice.solved_clean:.1%})",
            f"MCC of the best single unit: {', '.join(mcc)}",
        ]
        for kind, rows in self.edits.groupby("kind", sort=False):
            lines.append(
                f"selectivity, {kind} ({rows.n_affected.max():.0f} questions should change):"
            )
            for row in rows.itertuples():
                of = f", {row.n_units}" if row.n_units else ""
                told = _percent(row.value, row.low, row.high)
                lines.append(f"  {row.method}{of}: {told if row.n_affected else 'not measured'}")
        return "\n".join(lines)


def _percent(value: float, low: float, high: float) -> str:
    return f"{value:.1%} [{low:.1%}, {high:.1%}]"


def summarise(of: Study, locations: Locations) -> Summary:
    """The summary of a study. BadInput if a table is missing."""
    formed, reading = table(of, "consolidation"), locations.reading
    place = str(locations.writing.place)
    is_read = (formed.layer == reading.layer) & (formed.token_class == str(reading.token_class))
    saes, described, splices = (table(of, name) for name in ("saes", "descriptions", "splices"))
    singles = table(of, "singles")
    # the mean over seeds of the model's SAEs; of random decoders, as a control, the best
    mcc = singles.groupby(["readout", "draw"]).mcc.mean().groupby("readout").mean()
    if FROZEN in mcc:
        mcc[FROZEN] = best_draw(singles, FROZEN).mean()
    held_out = {split: of.mazes(split) for split in ("validation", "test")}
    ledger, pairs, behaviour = (
        with_connection_sets(rows, held_out)
        for rows in (table(of, "ledger"), table(of, "pairs"), table(of, "behaviour"))
    )
    edits = Edits(ledger, pairs, locations.writing)
    return Summary(
        of.name,
        share(behaviour.solved, behaviour.connection_set),
        locations,
        float(net_accuracy(formed[is_read]).iloc[0]),
        saes[(saes.place == place) & (saes.kind == "trained")].iloc[0],
        described[
            (described.place == place)
            & (described.sae == "trained")
            & (described.token_class == "all")
        ].iloc[0],
        splices[splices.place == place].iloc[0],
        mcc[[name for name in READOUTS if name in mcc]].rename(READOUTS),
        _edits(edits),
    )


def _edits(edits: Edits) -> pd.DataFrame:
    """Adding and removing at the writing site, by every method and by walkers."""
    rows = reported(edits)
    rows = rows[rows.is_main & rows.kind.isin(["add", "remove"])]
    found = rows.rename(columns={"selectivity": "value"})
    walked = [
        {"kind": kind, "method": text, "n_units": 0} | _as_row(edits.walker(kind, name))
        for kind in found.kind.unique()
        for name, text in WALKERS.items()
    ]
    names = ["kind", "method", "n_units", "value", "low", "high", "n_affected"]
    both = pd.concat([found[names], pd.DataFrame(walked, columns=names)], ignore_index=True)
    return both.sort_values("kind", kind="stable", ignore_index=True)


def _as_row(walks: pd.DataFrame) -> dict[str, float]:
    one = selectivity(walks)
    return one.interval._asdict() | {"n_affected": walks.n_affected.sum()}
