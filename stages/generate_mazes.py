"""Stage generate_mazes: parameters and a seed -> mazes for training, validation, test, overload."""

from mazewm.datasets import MazeParams, generate
from mazewm.io import files
from mazewm.io.params import load
from mazewm.io.progress import console, progress
from mazewm.maze import mazes
from mazewm.run import ARTIFACTS, MAZES
from stages.command import Seed, command


def main(seed: Seed) -> None:
    """Draw the training, validation, test and overload mazes."""
    params = load(MazeParams, "mazes")
    with files.replacing(ARTIFACTS / MAZES / str(seed)) as folder:
        progress("drawing mazes", 1, share=0.8)
        sets = generate(params, seed)
        writing = progress("writing", len(sets))
        for name, batch in sets.items():
            mazes.write(folder / f"{name}.parquet", batch)
            connections = batch.n_connections
            console.print(
                f"{name}: {len(batch):,} mazes with {connections.min()} to {connections.max()} "
                "connections"
            )
            writing.advance()


if __name__ == "__main__":
    command(main)()
