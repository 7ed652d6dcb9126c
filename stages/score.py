"""Stage score: all tables of one run -> metrics with intervals, claims, curves and pictures."""

from mazewm import outputs, tables
from mazewm.params import load
from stages.command import Location, command, console, progress


def main(
    mazes_in: Location, model: Location, activations: Location, saes: Location, features: Location, circuits: Location,
    interventions: Location, beyond: Location, metrics: Location, tables_out: Location, figures: Location,
) -> None:  # fmt: skip
    """Score one transformer."""
    from mazewm import behaviour, consolidation, taxonomy, writing
    from mazewm.beyond.probes import BeyondRow
    from mazewm.beyond.steering import SteerRow
    from mazewm.circuits import tracing
    from mazewm.circuits.attention import CircuitParams
    from mazewm.features import FeatureRow, PositionRow
    from mazewm.figures.run import draw_run
    from mazewm.interventions.ledger import ExampleRow, LedgerRow
    from mazewm.maze import mazes
    from mazewm.sae.quality import DescriptionRow, SpliceRow
    from mazewm.sae.stability import StabilityRow
    from mazewm.sae.sweep import FrontierRow
    from mazewm.scores.curves import read_curve
    from mazewm.scores.run import RunTables, score_run
    from mazewm.scores.sets import with_connection_sets

    progress("scores", 1, share=0.6)
    threshold = load(CircuitParams, "circuits").connectivity_threshold
    held_out = {split: mazes.read(mazes_in / f"{split}.parquet") for split in ("validation", "test", "overload")}
    traced = {name: tables.read(circuits / f"{name}.parquet", row_type) for name, row_type in tracing.ROW_TYPES.items()}
    formed = tables.read(activations / "consolidation.parquet", consolidation.FormationRow)
    sites = writing.Sites.load(activations, int(formed.layer.max()) + 1)
    run = RunTables(
        site=sites.reading,
        writing_site=sites.writing,
        behaviour=with_connection_sets(tables.read(model / "behaviour.parquet", behaviour.BehaviourRow), held_out),
        consolidation=formed,
        descriptions=tables.read(saes / "descriptions.parquet", DescriptionRow),
        splices=tables.read(saes / "splices.parquet", SpliceRow),
        features=tables.read(features / "features.parquet", FeatureRow),
        attention=traced["attention"],
        ov_consistency=traced["ov_consistency"],
        knockouts=traced["knockouts"],
        faithfulness=traced["faithfulness"],
        ledger=with_connection_sets(tables.read(interventions / "ledger.parquet", LedgerRow), held_out),
        frontier=tables.read(saes / "frontier.parquet", FrontierRow),
        stability=tables.read(saes / "stability.parquet", StabilityRow),
        positions=tables.read(features / "positions.parquet", PositionRow),
        taxonomy=tables.read(features / "taxonomy.parquet", taxonomy.LatentKindRow),
        patch_pairs=traced["patch_pairs"],
        patches=traced["patches"],
        probes=tables.read(beyond / "probes.parquet", BeyondRow),
        steering=with_connection_sets(tables.read(beyond / "steering.parquet", SteerRow), held_out),
    )
    scored = score_run(run, threshold)
    with outputs.replacing(tables_out) as folder:
        outputs.write_json(folder / "claims.json", {one.id: one.as_json() for one in scored.claims})
        for name in ("history", "formation"):
            read_curve(model / f"{name}.csv").round(6).to_csv(folder / f"{name}.csv", index=False)
        curves = scored.curves | {"writing": tables.read(activations / "writing.parquet", writing.WritingRow)}
        for name, curve in curves.items():
            curve.round(6).to_csv(folder / f"{name}.csv", index=False)
    progress("pictures", 1)
    with outputs.replacing(figures) as folder:
        examples = tables.read(interventions / "examples.parquet", ExampleRow)
        draw_run(folder, model.name, run, scored, traced, examples)
    outputs.write_json(metrics, scored.metrics)
    for one in scored.claims:
        console.print(
            f"{one.id} {one.verdict}: {one.measure}: {one.value:.3f} [{one.low:.3f}, {one.high:.3f}], {one.control_name} {one.control:.3f}"
        )


if __name__ == "__main__":
    command(main)()
