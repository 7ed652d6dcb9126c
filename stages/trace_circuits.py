"""Stage trace_circuits: model + SAEs + feature map -> which heads bind cells into connections, what they look for and write, what is lost
without them, and where a connection's information lives."""

from mazewm import outputs, tables
from mazewm.maze import mazes
from mazewm.params import load
from stages.command import Location, Seed, command, console, progress


def main(seed: Seed, mazes_in: Location, model: Location, activations: Location, saes: Location, features: Location, out: Location) -> None:
    """Measure on test mazes, where connections are read and written and at the paper's site; patch activations everywhere."""
    import torch

    from mazewm.circuits import tracing
    from mazewm.circuits.attention import CircuitParams
    from mazewm.features import LatentRow, best_latents
    from mazewm.model.transformer import Transformer
    from mazewm.sae.autoencoder import SparseAutoencoder
    from mazewm.writing import Sites

    params = load(CircuitParams, "circuits")
    torch.set_num_threads(params.n_threads)
    held_out = mazes.read(mazes_in / "test.parquet")
    transformer = Transformer.load(model)
    sites = Sites.load(activations, transformer.params.n_layers).studied
    ranked = tables.read(features / "latents.parquet", LatentRow)
    loaded = {str(s.place): SparseAutoencoder.load(saes / f"{s.place}.safetensors") for s in sites}
    best = {str(s): best_latents(ranked, str(s)) for s in sites}
    progress("heads, ablations and patches", 1)
    traced = tracing.trace(transformer, loaded, best, sites, held_out, params, seed)
    for head in traced.heads:
        console.print(f"{head.site}: {head.kind} head {head.layer}.{head.head}: own_mass {head.own_mass:.2f}")
    for circuit in traced.faithfulness:
        console.print(f"{circuit.site}: faithfulness of {circuit.circuit} ({circuit.heads or 'no heads'}) {circuit.faithfulness:.2f}")
    right = sum(pair.is_right for pair in traced.patch_pairs)
    console.print(f"activation patching: {len(traced.patch_pairs)} pairs of mazes, {right} with the right next cell in both")
    with outputs.replacing(out) as folder:
        for name, rows in traced._asdict().items():
            tables.write_rows(folder / f"{name}.parquet", tracing.ROW_TYPES[name], rows)


if __name__ == "__main__":
    command(main)()
