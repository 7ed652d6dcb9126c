"""Stage generate_mazes: parameters and a seed -> the data sets of mazes."""

from mazewm import outputs
from mazewm.maze import datasets, mazes
from mazewm.params import load
from stages.command import Location, Seed, command, console


def main(seed: Seed, out: Location) -> None:
    """Draw the training, validation, test and overload mazes."""
    params = load(datasets.MazeParams, "mazes")
    sets = datasets.generate(params, seed)
    with outputs.replacing(out) as folder:
        for name, batch in sets.items():
            mazes.write(folder / f"{name}.parquet", batch)
            connections = batch.n_connections
            console.print(f"{name}: {len(batch):,} mazes with {connections.min()} to {connections.max()} connections")


if __name__ == "__main__":
    command(main)()
