"""Stage map_features: latents + labelled tokens -> the feature map, with its controls and baselines."""

from mazewm import outputs, tables
from mazewm.params import load
from stages.command import Location, Seed, command, console

# readout -> (which model's activations, suffix of the SAE's file)
READOUTS = {
    "latents": ("trained", ""),
    "frozen_decoder": ("trained", ".frozen_decoder"),
    "untrained_model": ("untrained", ".untrained_model"),
}


def main(seed: Seed, mazes_in: Location, activations: Location, saes: Location, out: Location) -> None:
    """Map latents to connections at the consolidation site and at the paper's."""
    import numpy as np

    from mazewm import features
    from mazewm.activations import read
    from mazewm.consolidation import PAPER_SITE, SpellingSite
    from mazewm.maze import mazes
    from mazewm.sae.autoencoder import SparseAutoencoder
    from mazewm.sae.quality import encode

    params = load(features.FeatureParams, "features")
    n_connections = mazes.read(mazes_in / "test.parquet").grid.n_connections
    feature_rows, latent_rows = [], []
    for site in dict.fromkeys([SpellingSite.load(activations / "site.json"), PAPER_SITE]):
        place = str(site.place)
        seen = {
            (model, split): read(activations / model / split / place).at(site.token_class)
            for model in ("trained", "untrained")
            for split in ("validation", "test")
        }
        latents = {}
        for readout, (model, suffix) in READOUTS.items():
            sae = SparseAutoencoder.load(saes / f"{place}{suffix}.safetensors")
            parts = [seen[model, split] for split in ("validation", "test")]
            latents[readout] = features.SiteTokens(*(features.Labelled(encode(sae, p.values), p.connection) for p in parts))
        resid = features.SiteTokens(
            *(
                features.Labelled(p.values.astype(np.float32), p.connection)
                for p in (seen["trained", "validation"], seen["trained", "test"])
            )
        )
        rows, ranked = features.map_site(str(site), latents, resid, n_connections, params, seed)
        feature_rows += rows
        latent_rows += ranked
        frame = tables.frame(rows, features.FeatureRow)
        for readout, accuracy in frame.groupby(["readout", "connection"]).balanced_accuracy.max().groupby("readout").mean().items():
            console.print(f"{site}: {readout}: best tree's balanced accuracy {accuracy:.3f}")
    with outputs.replacing(out) as folder:
        tables.write_rows(folder / "features.parquet", features.FeatureRow, feature_rows)
        tables.write_rows(folder / "latents.parquet", features.LatentRow, latent_rows)


if __name__ == "__main__":
    command(main)()
