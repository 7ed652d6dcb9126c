"""Stage generate_mazes: parameters and a seed -> the data sets of mazes."""

from mazewm import outputs
from mazewm.maze import datasets, mazes
from mazewm.params import load
from stages.command import Location, Seed, command, console, progress


def main(seed: Seed, out: Location) -> None:
    """Draw the training, validation, test and overload mazes."""
    params = load(datasets.MazeParams, "mazes")
    progress("drawing mazes", 1, share=0.8)
    sets = datasets.generate(params, seed)
    writing = progress("writing", len(sets))
    with outputs.replacing(out) as folder:
        for name, batch in sets.items():
            mazes.write(folder / f"{name}.parquet", batch)
            connections = batch.n_connections
            console.print(f"{name}: {len(batch):,} mazes with {connections.min()} to {connections.max()} connections")
            writing.advance()


if __name__ == "__main__":
    command(main)()
