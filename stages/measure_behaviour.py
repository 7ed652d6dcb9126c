"""Stage measure_behaviour: a trained transformer -> how it answers all questions about some mazes,
and what it takes for connected.
"""

from mazewm.io import files
from mazewm.io.params import load
from mazewm.run import Run
from stages.command import RunName, command


def main(run: RunName) -> None:
    """Ask about test and overload mazes; an untrained model is asked the same."""
    import torch

    from mazewm.inference import BehaviourParams, measure_behaviour

    one, params = Run.named(run), load(BehaviourParams, "behaviour")
    torch.set_num_threads(params.n_threads)
    with files.replacing(one.folder("behaviour")) as folder:
        measure_behaviour(one, params).write(folder)


if __name__ == "__main__":
    command(main)()
