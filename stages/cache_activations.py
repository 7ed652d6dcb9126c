"""Stage cache_activations: model + mazes -> where connections are read and written, and labelled, shuffled activations there."""

from mazewm import outputs, tables
from mazewm.errors import BadInput
from mazewm.maze import mazes
from mazewm.params import load
from stages.command import Location, Seed, command, console, progress


def main(seed: Seed, mazes_in: Location, model: Location, out: Location) -> None:
    """Look for the consolidation site and the writing site on validation mazes, then cache activations of the trained and of an
    untrained model."""
    import numpy as np
    import torch

    from mazewm import activations, consolidation, writing
    from mazewm.maze.examples import additions
    from mazewm.model.sites import Place
    from mazewm.model.transformer import Transformer

    params = load(activations.ActivationParams, "activations")
    torch.set_num_threads(params.n_threads)
    search, pen = load(consolidation.ConsolidationParams, "consolidation"), load(writing.WritingParams, "writing")
    sets = {name: mazes.read(mazes_in / f"{name}.parquet") for name in ("train", "validation", "test")}
    trained = Transformer.load(model)
    n_layers = trained.params.n_layers
    places = activations.check_places([Place.parse(text, n_layers, "params.yaml: activations.places") for text in params.places])
    classes = activations.check_classes(params.token_classes)

    progress("looking for where connections are read", 1, share=0.25)
    rows = consolidation.look(trained, sets["validation"][: search.n_mazes], seed, search.batch_size)
    site = consolidation.consolidation_site(tables.frame(rows, consolidation.FormationRow), search.tolerance)
    asked = additions(sets["validation"], np.random.default_rng([seed, 6]), pen.n_per_connection)
    if len(asked) == 0:
        raise BadInput(f"{mazes_in / 'validation.parquet'}: no maze to which a connection could be added; expected mazes of several sizes.")
    progress("looking for where connections are written", 1, share=0.25)
    arrows = writing.arrows(trained, sets["train"][: pen.n_mazes], seed, pen.batch_size)
    written = writing.look(trained, arrows, asked, pen.doses, seed, pen.batch_size)
    writing_site = writing.writing_site(tables.frame(written, writing.WritingRow), pen.tolerance)
    console.print(f"consolidation site: {site}; writing site: {writing_site}")
    sites = writing.Sites(site, writing_site)
    places = sorted({*places, *(each.place for each in sites.studied)})
    classes = list(dict.fromkeys([*classes, *(each.token_class for each in sites.studied)]))

    torch.manual_seed(seed)
    # Drawn on the CPU, so that it is the same model on every device.
    untrained = Transformer(trained.params, trained.encoding_name, trained.d_vocab, trained.n_ctx).to(trained.device)
    untrained.eval().requires_grad_(False)
    with outputs.replacing(out) as folder:
        tables.write_rows(folder / "consolidation.parquet", consolidation.FormationRow, rows)
        tables.write_rows(folder / "writing.parquet", writing.WritingRow, written)
        sites.save(folder)
        sizes = {"train": params.n_train_mazes, "validation": params.n_held_out_mazes, "test": params.n_held_out_mazes}
        caches = progress("caching activations", 2 * len(sizes))
        for split, size in sizes.items():
            batch = sets[split][:size]
            n = activations.cache(folder / "trained" / split, trained, batch, places, classes, seed, params.batch_size)
            console.print(f"{split}: {n:,} tokens of {len(batch):,} mazes at {', '.join(map(str, places))}")
            caches.advance()
            size = params.n_untrained_mazes if split == "train" else size
            activations.cache(folder / "untrained" / split, untrained, batch[:size], places, classes, seed, params.batch_size)
            caches.advance()


if __name__ == "__main__":
    command(main)()
