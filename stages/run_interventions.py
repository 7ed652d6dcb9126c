"""Stage run_interventions: model + SAEs + feature map -> a ledger of predicted and measured effects
of switching connections on and off.
"""

from mazewm.io import files
from mazewm.io.params import load
from mazewm.run import Run
from stages.command import RunName, command


def main(run: RunName) -> None:
    """Add, remove and move connections at the writing site, add several at once, within the
    training lengths and beyond them (overload), with controls and baselines; add and remove them at
    the consolidation site and at the paper's, if those are others."""
    import torch

    from mazewm.interventions import InterventionParams, intervene

    one, params = Run.named(run), load(InterventionParams, "interventions")
    torch.set_num_threads(params.n_threads)
    ledger = intervene(one, params)
    with files.replacing(one.folder("interventions")) as folder:
        ledger.write(folder)


if __name__ == "__main__":
    command(main)()
