"""Stage train_sae: activations -> a sweep of sparse autoencoders, the chosen one, its controls, and how well they describe the model."""

from mazewm import outputs, tables
from mazewm.maze import mazes
from mazewm.params import load
from stages.command import Location, Seed, command, console, progress


def main(seed: Seed, mazes_in: Location, model: Location, activations: Location, out: Location) -> None:
    """At every cached place, sweep width and sparsity on validation mazes; at the point chosen, train an SAE, the same with another seed,
    and two that should fail: with random directions (of a third seed), and on an untrained model."""
    import numpy as np
    import torch

    from mazewm.activations import cached_places, read
    from mazewm.consolidation import PAPER_SITE
    from mazewm.features import FeatureParams, detector
    from mazewm.model.sites import Place
    from mazewm.model.transformer import Transformer
    from mazewm.sae import quality, stability, sweep, training
    from mazewm.writing import Sites

    params, n_candidates = load(training.SaeParams, "sae"), load(FeatureParams, "features").n_candidates
    torch.set_num_threads(params.n_threads)
    transformer = Transformer.load(model)
    sites = Sites.load(activations, transformer.params.n_layers).studied
    judged_on = mazes.read(mazes_in / "validation.parquet")[: params.n_sweep_mazes]
    held_out = mazes.read(mazes_in / "test.parquet")[: params.n_evaluated_mazes]
    frontier, descriptions, splices, pairs = [], [], [], []
    with outputs.replacing(out) as folder:
        names = cached_places(activations / "trained" / "train")
        fits = progress("sparse autoencoders", len(names) * (len(params.points()) + 4))  # four at the point chosen
        for name in names:
            place = Place.parse(name, transformer.params.n_layers, str(activations))
            train = {kind: read(activations / kind / "train" / name).values for kind in ("trained", "untrained")}
            test = {kind: read(activations / kind / "test" / name) for kind in ("trained", "untrained")}
            validation = read(activations / "trained" / "validation" / name)
            token_class = next((site.token_class for site in sites if site.place == place), PAPER_SITE.token_class)
            mcc = detector(validation, token_class, held_out.grid.n_connections, n_candidates)
            mean = train["trained"].mean(axis=0, dtype=np.float64)

            rows = []
            for row in sweep.sweep(place, str(token_class), mcc, transformer, train["trained"], validation, judged_on, params, seed):
                rows.append(row)
                fits.update(fits.done + 1, f"{name}: explained variance {row.explained_variance:.3f}")
                console.print(
                    f"{name}: {row.width} latents, sparsity {row.sparsity:g}: explained variance {row.explained_variance:.3f}, "
                    f"MCC at {token_class} {np.mean(row.mcc):.2f}, solved {row.solved_clean:.1%} clean, {row.solved_spliced:.1%} spliced"
                )
            rows = sweep.choose(rows, params.activation)
            point = sweep.operating_point(rows)
            frontier += rows
            console.print(f"{name}: {point.width} latents and sparsity {point.sparsity:g} are chosen")

            second, third = (seed + stability.SEEDS[kind] for kind in (stability.SECOND_SEED, stability.RANDOM))
            saes = {
                "trained": training.train(train["trained"], params, point, seed, params.n_samples),
                stability.SECOND_SEED: training.train(train["trained"], params, point, second, params.n_samples),
                stability.RANDOM: training.train(train["trained"], params, point, third, params.n_control_samples, frozen_decoder=True),
                "untrained_model": training.train(train["untrained"], params, point, seed, params.n_control_samples),
            }
            for kind, sae in saes.items():
                sae.save(folder / (f"{name}.safetensors" if kind == "trained" else f"{name}.{kind}.safetensors"))
                described = quality.describe(kind, place, sae, test["untrained" if kind == "untrained_model" else "trained"])
                descriptions += described
                whole = described[0]
                console.print(f"{name} {kind}: explained variance {whole.explained_variance:.3f}, L0 {whole.l0:.1f}, dead {whole.n_dead}")
                fits.advance()
            pairs += stability.compare(place, saes["trained"], saes[stability.SECOND_SEED], saes[stability.RANDOM], test["trained"].values)
            splices.append(quality.splice_quality(place, transformer, saes["trained"], mean, held_out, seed, params.rollout_batch_size))
            console.print(f"{name}: solved {splices[-1].solved_clean:.1%} clean, {splices[-1].solved_spliced:.1%} spliced")
        tables.write_rows(folder / "frontier.parquet", sweep.FrontierRow, frontier)
        tables.write_rows(folder / "descriptions.parquet", quality.DescriptionRow, descriptions)
        tables.write_rows(folder / "splices.parquet", quality.SpliceRow, splices)
        tables.write_rows(folder / "stability.parquet", stability.StabilityRow, pairs)


if __name__ == "__main__":
    command(main)()
