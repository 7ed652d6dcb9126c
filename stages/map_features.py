"""Stage map_features: latents + labelled tokens -> the feature map with its controls and baselines, and what every latent stands for."""

from mazewm import outputs, tables
from mazewm.params import load
from stages.command import Location, Seed, command, console, progress

# readout -> (which model's activations, suffix of the SAE's file)
READOUTS = {
    "latents": ("trained", ""),
    "frozen_decoder": ("trained", ".frozen_decoder"),
    "untrained_model": ("untrained", ".untrained_model"),
}
# sae -> the same, for the taxonomy
CLASSIFIED = {"trained": READOUTS["latents"], "untrained_model": READOUTS["untrained_model"]}


def main(seed: Seed, mazes_in: Location, activations: Location, saes: Location, out: Location) -> None:
    """Map latents to connections where these are read and written and at the paper's site; give every latent its kind."""
    import numpy as np
    import torch

    from mazewm import features, taxonomy
    from mazewm.activations import cached_places, read
    from mazewm.consolidation import FormationRow
    from mazewm.maze import mazes
    from mazewm.sae.autoencoder import SparseAutoencoder
    from mazewm.sae.quality import encode
    from mazewm.sae.training import SaeParams
    from mazewm.tokens import Vocabulary
    from mazewm.writing import Sites

    params = load(features.FeatureParams, "features")
    torch.set_num_threads(load(SaeParams, "sae").n_threads)  # torch encodes with the SAEs, and does nothing else here
    grid = mazes.read(mazes_in / "test.parquet").grid
    feature_rows, latent_rows, position_rows, kind_rows = [], [], [], []
    n_layers = int(tables.read(activations / "consolidation.parquet", FormationRow).layer.max()) + 1  # the model itself is not needed here
    sites, places = Sites.load(activations, n_layers).studied, cached_places(activations / "trained" / "test")
    mapped = progress("feature maps", len(sites), share=0.9)
    for site in sites:
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
        own = [seen["trained", split] for split in ("validation", "test")]
        resid = features.SiteTokens(*(features.Labelled(p.values.astype(np.float32), p.connection) for p in own))
        rows, ranked = features.map_site(str(site), latents, resid, grid.n_connections, params, seed)
        feature_rows += rows
        latent_rows += ranked
        fit, test = latents["latents"]
        position_rows += features.early_and_late(str(site), fit, own[0].position, test, own[1].position, grid.n_connections)
        frame = tables.frame(rows, features.FeatureRow)
        for readout, accuracy in frame.groupby(["readout", "connection"]).balanced_accuracy.max().groupby("readout").mean().items():
            console.print(f"{site}: {readout}: best tree's balanced accuracy {accuracy:.3f}")
        mapped.advance()
    classified = progress("kinds of latents", len(places) * len(CLASSIFIED))
    for place in places:
        for name, (model, suffix) in CLASSIFIED.items():
            tokens = read(activations / model / "test" / place)
            sae = SparseAutoencoder.load(saes / f"{place}{suffix}.safetensors")
            facts = taxonomy.labels(tokens, Vocabulary(grid.n))
            kinds = taxonomy.classify(place, name, encode(sae, tokens.values), facts)
            kind_rows += kinds
            counts = tables.frame(kinds, taxonomy.LatentKindRow).kind.value_counts()
            console.print(f"{place} {name}: " + ", ".join(f"{n} {kind}" for kind, n in counts.items()))
            classified.advance()
    with outputs.replacing(out) as folder:
        tables.write_rows(folder / "features.parquet", features.FeatureRow, feature_rows)
        tables.write_rows(folder / "latents.parquet", features.LatentRow, latent_rows)
        tables.write_rows(folder / "positions.parquet", features.PositionRow, position_rows)
        tables.write_rows(folder / "taxonomy.parquet", taxonomy.LatentKindRow, kind_rows)


if __name__ == "__main__":
    command(main)()
