"""Stage train_sae: activations -> sparse autoencoders, their controls, and how well they describe the model."""

from mazewm import outputs, tables
from mazewm.maze import mazes
from mazewm.params import load
from stages.command import Location, Seed, command, console


def main(seed: Seed, mazes_in: Location, model: Location, activations: Location, out: Location) -> None:
    """Train an SAE at every cached place, and two that should fail: with random directions, and on an untrained model."""
    import numpy as np

    from mazewm.activations import cached_places, read
    from mazewm.model.sites import Place
    from mazewm.model.transformer import Transformer
    from mazewm.sae import quality, training

    params = load(training.SaeParams, "sae")
    transformer = Transformer.load(model)
    held_out = mazes.read(mazes_in / "test.parquet")[: params.n_evaluated_mazes]
    descriptions, splices = [], []
    with outputs.replacing(out) as folder:
        for name in cached_places(activations / "trained" / "train"):
            place = Place.parse(name, transformer.params.n_layers, str(activations))
            train = {kind: read(activations / kind / "train" / name).values for kind in ("trained", "untrained")}
            test = {kind: read(activations / kind / "test" / name) for kind in ("trained", "untrained")}
            saes = {
                "trained": training.train(train["trained"], params, seed, params.n_samples),
                "frozen_decoder": training.train(train["trained"], params, seed, params.n_control_samples, frozen_decoder=True),
                "untrained_model": training.train(train["untrained"], params, seed, params.n_control_samples),
            }
            for kind, sae in saes.items():
                sae.save(folder / (f"{name}.safetensors" if kind == "trained" else f"{name}.{kind}.safetensors"))
                rows = quality.describe(kind, place, sae, test["untrained" if kind == "untrained_model" else "trained"])
                descriptions += rows
                console.print(
                    f"{name} {kind}: explained variance {rows[0].explained_variance:.3f}, L0 {rows[0].l0:.1f}, dead {rows[0].n_dead}"
                )
            mean = train["trained"].mean(axis=0, dtype=np.float64)
            splices.append(quality.splice_quality(place, transformer, saes["trained"], mean, held_out, seed, params.rollout_batch_size))
            console.print(f"{name}: solved {splices[-1].solved_clean:.1%} clean, {splices[-1].solved_spliced:.1%} spliced")
        tables.write_rows(folder / "descriptions.parquet", quality.DescriptionRow, descriptions)
        tables.write_rows(folder / "splices.parquet", quality.SpliceRow, splices)


if __name__ == "__main__":
    command(main)()
