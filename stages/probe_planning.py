"""Stage probe_planning: model and mazes -> which facts that no single token states the model
represents, and whether steering along them turns its path.
"""

from mazewm.io import files
from mazewm.io.params import load
from mazewm.run import Run
from stages.command import RunName, command


def main(run: RunName) -> None:
    """Fit probes on training mazes, score them on validation and test mazes, and steer at forks of
    validation and then of test mazes."""
    import torch

    from mazewm.planning import PlanningParams, probe_and_steer

    one, params = Run.named(run), load(PlanningParams, "planning")
    torch.set_num_threads(params.n_threads)
    with files.replacing(one.folder("planning")) as folder:
        probe_and_steer(one, params).write(folder)


if __name__ == "__main__":
    command(main)()
