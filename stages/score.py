"""Stage score: all tables of one run -> metrics with intervals, claims, curves and pictures."""

from mazewm import outputs, tables
from mazewm.params import load
from stages.command import Location, command, console


def main(
    mazes_in: Location, model: Location, activations: Location, saes: Location, features: Location,
    circuits: Location, interventions: Location, metrics: Location, tables_out: Location, figures: Location,
) -> None:  # fmt: skip
    """Score one transformer."""
    from mazewm import behaviour, consolidation
    from mazewm.circuits import tracing
    from mazewm.circuits.attention import CircuitParams
    from mazewm.features import FeatureRow
    from mazewm.figures.run import draw_run
    from mazewm.interventions.ledger import LedgerRow
    from mazewm.maze import mazes
    from mazewm.sae.quality import DescriptionRow, SpliceRow
    from mazewm.scores.curves import read_curve
    from mazewm.scores.run import RunTables, score_run

    threshold = load(CircuitParams, "circuits").connectivity_threshold
    traced = {name: tables.read(circuits / f"{name}.parquet", row_type) for name, row_type in tracing.ROW_TYPES.items()}
    run = RunTables(
        site=consolidation.SpellingSite.load(activations / "site.json"),
        behaviour=tables.read(model / "behaviour.parquet", behaviour.BehaviourRow),
        consolidation=tables.read(activations / "consolidation.parquet", consolidation.FormationRow),
        descriptions=tables.read(saes / "descriptions.parquet", DescriptionRow),
        splices=tables.read(saes / "splices.parquet", SpliceRow),
        features=tables.read(features / "features.parquet", FeatureRow),
        attention=traced["attention"],
        ov_consistency=traced["ov_consistency"],
        knockouts=traced["knockouts"],
        faithfulness=traced["faithfulness"],
        ledger=tables.read(interventions / "ledger.parquet", LedgerRow),
    )
    scored = score_run(run, threshold)
    with outputs.replacing(tables_out) as folder:
        outputs.write_json(folder / "claims.json", {one.id: one.as_json() for one in scored.claims})
        for name in ("history", "formation"):
            read_curve(model / f"{name}.csv").round(6).to_csv(folder / f"{name}.csv", index=False)
        scored.dose.round(6).to_csv(folder / "dose.csv", index=False)
        run.consolidation.round(6).to_csv(folder / "consolidation.csv", index=False)
        at_site = run.features[run.features.site == str(run.site)]
        at_site.drop(columns=["site", "units"]).round(6).to_csv(folder / "features.csv", index=False)
    with outputs.replacing(figures) as folder:
        draw_run(folder, run, scored.dose, traced, mazes.read(mazes_in / "test.parquet"))
    outputs.write_json(metrics, scored.metrics)
    for one in scored.claims:
        console.print(
            f"{one.id} {one.verdict}: {one.measure}: {one.value:.3f} [{one.low:.3f}, {one.high:.3f}], {one.control_name} {one.control:.3f}"
        )


if __name__ == "__main__":
    command(main)()
