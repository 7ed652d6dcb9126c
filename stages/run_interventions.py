"""Stage run_interventions: feature map -> a ledger of predicted and measured effects."""

from mazewm import outputs, tables
from mazewm.errors import BadInput
from mazewm.params import load
from stages.command import Location, Seed, command, console, progress_bar


def main(seed: Seed, mazes_in: Location, model: Location, activations: Location, saes: Location, features: Location, out: Location) -> None:
    """Add and remove connections at the consolidation site and at the paper's, with controls and baselines."""
    import numpy as np
    import torch

    from mazewm.activations import read
    from mazewm.consolidation import PAPER_SITE, SpellingSite
    from mazewm.features import LatentRow
    from mazewm.interventions import conditions, ledger
    from mazewm.maze import examples, mazes
    from mazewm.model.transformer import Transformer
    from mazewm.sae.autoencoder import SparseAutoencoder

    params = load(ledger.InterventionParams, "interventions")
    torch.set_num_threads(params.n_threads)
    transformer = Transformer.load(model)
    sets = {split: mazes.read(mazes_in / f"{split}.parquet") for split in ("train", "validation", "test")}
    ranked = tables.read(features / "latents.parquet", LatentRow)
    sites = []
    found = SpellingSite.load(activations / "site.json")
    for site in dict.fromkeys([found, PAPER_SITE]):
        sae = SparseAutoencoder.load(saes / f"{site.place}.safetensors")
        tokens = read(activations / "trained" / "train" / str(site.place)).at(site.token_class)
        n_connections = sets["test"].grid.n_connections
        sites.append(conditions.directions_at(site, site == found, sae, ranked, tokens, n_connections, params.set_sizes))

    max_connections = int(sets["train"].n_connections.max())
    wanted = {"validation": params.n_per_connection_validation, "test": params.n_per_connection}
    asked = {}
    for number, (split, n) in enumerate(wanted.items()):
        rng = np.random.default_rng([seed, number])
        pool = examples.with_new_ends(sets[split], rng, params.n_redrawn)
        asked[split, "add"] = examples.additions(pool, rng, n)
        asked[split, "remove"] = examples.removals(pool, rng, n, max_connections)
    for (split, kind), some in asked.items():
        if len(some) == 0:
            raise BadInput(
                f"{mazes_in / split}.parquet: no maze in which a connection could be taken for {kind!r}; expected mazes of several sizes."
            )
    book = ledger.Ledger()
    with progress_bar() as bar:
        total = sum(ledger.n_steps(some, split, sites, params) for (split, _), some in asked.items())
        task = bar.add_task("interventions", total=total)
        for (split, _), some in asked.items():
            ledger.run_interventions(transformer, some, split, sites, params, seed, book, lambda: bar.advance(task))
    console.print(f"{len(book.frame()):,} interventions on {sum(map(len, asked.values())):,} examples")
    with outputs.replacing(out) as folder:
        book.write(folder / "ledger.parquet")


if __name__ == "__main__":
    command(main)()
