"""``python -m mazewm.export``: a run's weights and SAEs, and the mazes of a split, for other
libraries. docs/exchange.md shows how to load each there.
"""

from pathlib import Path
from typing import Annotated

import typer

from mazewm.io import program
from mazewm.run import ARTIFACTS, MAZES

RunName = Annotated[str, typer.Argument(help="ENCODING-OBJECTIVE-SEED, such as rotary-all-0.")]
NewFolder = Annotated[Path, typer.Argument(help="A new folder.")]
Artifacts = Annotated[Path, typer.Option(help="The folder that the pipeline wrote to.")]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="Write a run for other libraries. Nothing that exists is overwritten.",
)


@app.command("transformer-lens")
def transformer_lens(run: RunName, folder: NewFolder, artifacts: Artifacts = ARTIFACTS) -> None:
    """The trained transformer, for HookedTransformer of TransformerLens."""
    from mazewm.export import export_model
    from mazewm.loaded import load

    one = load(run, artifacts)
    export_model(one.model, one.name, folder)
    typer.echo(f"{folder}: the transformer of {one.name}")


@app.command("sae-lens")
def sae_lens(
    run: RunName,
    folder: NewFolder,
    place: Annotated[
        str | None,
        typer.Option(help="LAYER.SITE, such as 0.resid_post; by default that of the writing site."),
    ] = None,
    kind: Annotated[
        str, typer.Option(help="trained, or another kind of the run's table saes.")
    ] = "trained",
    artifacts: Artifacts = ARTIFACTS,
) -> None:
    """One of the run's sparse autoencoders, for SAE.load_from_disk of SAELens."""
    from mazewm.export import export_sae
    from mazewm.export.saes import Origin, sae_of
    from mazewm.loaded import load
    from mazewm.model.sites import Place

    one = load(run, artifacts)
    n_layers = one.model.params.n_layers
    where = Place.parse(place, n_layers, "place") if place else one.locations.writing.place
    sae = sae_of(one, where, kind)
    export_sae(sae, Origin(one.name, where, kind), folder)
    typer.echo(f"{folder}: the SAE {kind} of {one.name} at {where}")


@app.command("maze-dataset")
def maze_dataset(
    split: Annotated[str, typer.Argument(help="train, validation, test or overload.")],
    file: Annotated[Path, typer.Argument(help="A new file whose name ends with .zanj.")],
    seed: Annotated[int, typer.Option(help="Of the runs that have these mazes.")] = 0,
    artifacts: Artifacts = ARTIFACTS,
) -> None:
    """The mazes of a split, for MazeDataset.read of maze-dataset."""
    from mazewm.export import export_mazes
    from mazewm.maze import mazes

    read = mazes.read(artifacts / MAZES / str(seed) / f"{split}.parquet")
    export_mazes(read, f"mazewm-{split}", file)
    typer.echo(f"{file}: {len(read):,} mazes")


if __name__ == "__main__":
    program.run(app)
