"""``python -m mazewm.elsewhere``: the study of a HookedTransformer from its files."""

from pathlib import Path
from typing import Annotated

import typer

from mazewm.io import program

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    model: Annotated[
        Path,
        typer.Argument(
            help="A folder with config.json and model.safetensors of a HookedTransformer, and "
            "vocabulary.json if its tokens are in another order, as python -m mazewm.export writes."
        ),
    ],
    folder: Annotated[Path, typer.Argument(help="A new folder for the tables.")],
    mazes: Annotated[
        Path, typer.Option(help="A folder with train.parquet, validation.parquet, test.parquet.")
    ] = Path("artifacts/mazes/0"),
    scale: Annotated[str, typer.Option(help="A scale of params.yaml.")] = "laptop",
    sae: Annotated[
        Path | None, typer.Option(help="A folder of an SAE that SAELens saved, to study.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
) -> None:
    """Find where a transformer that was trained elsewhere reads and writes connections, train
    sparse autoencoders there, edit it with them, and print what was found."""
    from mazewm.elsewhere.amounts import Settings
    from mazewm.elsewhere.hooked import load_hooked
    from mazewm.elsewhere.saes import foreign_sae
    from mazewm.elsewhere.studying import Options, study

    settings, given = Settings.at(scale), foreign_sae(sae) if sae else None
    loaded, names = load_hooked(model)
    options = Options(model.resolve().name, names, given, seed)
    typer.echo(study(loaded, mazes, folder, settings, options).summary)


if __name__ == "__main__":
    program.run(app)
