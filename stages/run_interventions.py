"""Stage run_interventions: model + SAEs + feature map -> a ledger of predicted and measured effects of switching connections on and off."""

from mazewm import outputs, tables
from mazewm.errors import BadInput
from mazewm.params import load
from stages.command import Location, Seed, command, console, progress


def main(seed: Seed, mazes_in: Location, model: Location, activations: Location, saes: Location, features: Location, out: Location) -> None:
    """Add, remove and move connections at the writing site, add several at once, within the training lengths and beyond them
    (overload), with controls and baselines; add and remove them at the consolidation site and at the paper's, if those are others."""
    import numpy as np
    import torch

    from mazewm.activations import read
    from mazewm.features import LatentRow
    from mazewm.interventions import design, directions, ledger
    from mazewm.maze import examples, mazes
    from mazewm.model.transformer import Transformer
    from mazewm.sae.autoencoder import SparseAutoencoder
    from mazewm.tokens import prompt_length
    from mazewm.writing import Sites

    params = load(design.InterventionParams, "interventions")
    torch.set_num_threads(params.n_threads)
    transformer = Transformer.load(model)
    sets = {split: mazes.read(mazes_in / f"{split}.parquet") for split in ("train", "validation", "test")}
    grid = sets["test"].grid
    ranked = tables.read(features / "latents.parquet", LatentRow)
    found = Sites.load(activations, transformer.params.n_layers)
    sites = []
    for site in dict.fromkeys([found.writing, *found.studied]):
        sae = SparseAutoencoder.load(saes / f"{site.place}.safetensors")
        tokens = read(activations / "trained" / "train" / str(site.place)).at(site.token_class)
        sites.append(directions.directions_at(site, site == found.writing, sae, ranked, tokens, grid, params.set_sizes))

    most = int(sets["train"].n_connections.max())
    longest = prompt_length(min(most + max(params.n_added), grid.n_connections)) + grid.n_cells + 1
    if longest > transformer.n_ctx:
        raise BadInput(f"{model}: n_ctx: expected at least {longest} to hold the longest edited maze, found {transformer.n_ctx}.")
    asked: list[tuple[str, examples.Examples]] = []
    for number, (split, n) in enumerate({"validation": params.n_per_connection_validation, "test": params.n_per_connection}.items()):
        rng = np.random.default_rng([seed, number])
        pool = examples.with_new_ends(sets[split], rng, params.n_redrawn)
        some = [examples.additions(pool, rng, n), examples.removals(pool, rng, n, most)]
        if split == "test":
            some.append(examples.moves(pool, rng, n))
            # Not every number can be had: small mazes have few absent connections between the cells that they mention.
            some += [examples.several(pool, rng, k, params.n_several, most) for k in params.n_added]
            some += [examples.overload(pool, rng, k, params.n_several, most) for k in (0, *params.n_added)]
        design.check_every_kind(some, mazes_in / f"{split}.parquet")
        asked += [(split, one) for one in some if len(one)]
    batches = progress("interventions", ledger.n_steps(asked, sites, params))
    book = ledger.run_interventions(transformer, asked, sites, params, seed, batches.advance)
    console.print(f"{len(book):,} interventions on {sum(len(one) for _, one in asked):,} examples")
    with outputs.replacing(out) as folder:
        book.write(folder)


if __name__ == "__main__":
    command(main)()
