"""Stage probe_inputs: mazes -> what readers of the maze alone tell of the facts that probe_planning
looks for in a model.
"""

from mazewm.io import files
from mazewm.io.params import load
from stages.command import Seed, command


def main(seed: Seed) -> None:
    """Fit the readers on training mazes, and score them on validation and test mazes."""
    import torch

    from mazewm.planning import PlanningParams, read_inputs
    from mazewm.planning.errors import INPUTS
    from mazewm.run import ARTIFACTS, MAZES

    params = load(PlanningParams, "planning")
    torch.set_num_threads(params.n_threads)
    with files.replacing(ARTIFACTS / INPUTS / str(seed)) as folder:
        read_inputs(ARTIFACTS / MAZES / str(seed), params).write(folder)


if __name__ == "__main__":
    command(main)()
