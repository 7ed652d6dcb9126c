"""Stage run_interventions: model, SAEs and feature map -> a ledger of what happens to all
questions when connections are switched on and off inside the model.
"""

from mazewm.io import files
from mazewm.io.params import load
from mazewm.run import Run
from stages.command import RunName, command


def main(run: RunName) -> None:
    """Choose doses on pairs of validation mazes, then add, remove and move connections of test
    mazes, build corridors of several, and ask everything; with controls and baselines."""
    import torch

    from mazewm.interventions import InterventionParams, intervene
    from mazewm.model import Transformer

    one, params = Run.named(run), load(InterventionParams, "interventions")
    torch.set_num_threads(params.n_threads)
    with files.replacing(one.folder("interventions")) as folder:
        intervene(one, Transformer.load(one.weights), params).write(folder)


if __name__ == "__main__":
    command(main)()
