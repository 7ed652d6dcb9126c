"""Stage trace_circuits: model, SAEs and feature map -> which heads bind cells into connections,
what they attend to and write, what is lost when they are ablated, and activation patching.
"""

from mazewm.io import files
from mazewm.io.params import load
from mazewm.run import Run
from stages.command import RunName, command


def main(run: RunName) -> None:
    """Measure heads on test mazes at the consolidation site, the writing site and the paper's site;
    patch activations in every block."""
    import torch

    from mazewm.circuits import CircuitParams, trace

    one, params = Run.named(run), load(CircuitParams, "circuits")
    torch.set_num_threads(params.n_threads)
    with files.replacing(one.folder("circuits")) as folder:
        trace(one, params).write(folder)


if __name__ == "__main__":
    command(main)()
