"""Stage trace_circuits: model + SAEs + feature map -> which heads bind cells into connections, what
they look for and write, what is lost without them, and where a connection's information lives.
"""

from mazewm.io import files
from mazewm.io.params import load
from mazewm.run import Run
from stages.command import RunName, command


def main(run: RunName) -> None:
    """Measure on test mazes, where connections are read and written and at the paper's site; patch
    activations everywhere."""
    import torch

    from mazewm.circuits import CircuitParams, trace

    one, params = Run.named(run), load(CircuitParams, "circuits")
    torch.set_num_threads(params.n_threads)
    traced = trace(one, params)
    with files.replacing(one.folder("circuits")) as folder:
        traced.write(folder)


if __name__ == "__main__":
    command(main)()
