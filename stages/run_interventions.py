"""Stage run_interventions: model, SAEs and feature map -> a ledger of the predicted and measured
paths when connections are switched on and off inside the model.
"""

from mazewm.io import files
from mazewm.io.params import load
from mazewm.run import Run
from stages.command import RunName, command


def main(run: RunName) -> None:
    """Add, remove and move connections at the writing site, and add several at once, within the
    training lengths and beyond them (overload), with controls and baselines. At the consolidation
    site and the paper's site, if these differ, only add and remove connections."""
    import torch

    from mazewm.interventions import InterventionParams, intervene

    one, params = Run.named(run), load(InterventionParams, "interventions")
    torch.set_num_threads(params.n_threads)
    ledger = intervene(one, params)
    with files.replacing(one.folder("interventions")) as folder:
        ledger.write(folder)


if __name__ == "__main__":
    command(main)()
