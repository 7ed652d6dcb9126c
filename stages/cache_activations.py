"""Stage cache_activations: model and mazes -> the locations at which connections are read and
written, and labelled, shuffled activations there.
"""

from mazewm.io import files
from mazewm.io.params import load
from mazewm.io.progress import console
from mazewm.run import Run
from stages.command import RunName, command


def main(run: RunName) -> None:
    """Find the consolidation site and the writing site on validation mazes, then cache activations
    of the trained and of an untrained model."""
    import torch

    from mazewm.localize import (
        ActivationParams,
        ConsolidationParams,
        WritingParams,
        cache_activations,
        locate,
    )
    from mazewm.model import Transformer

    one, params = Run.named(run), load(ActivationParams, "activations")
    torch.set_num_threads(params.n_threads)
    model = Transformer.load(one.weights)
    params.check(model)
    reading, writing = load(ConsolidationParams, "consolidation"), load(WritingParams, "writing")
    with (
        files.replacing(one.folder("locations")) as found,
        files.replacing(one.folder("activations")) as folder,
    ):
        located = locate(one, model, reading, writing)
        console.print(
            f"consolidation site: {located.locations.reading}; writing site: "
            f"{located.locations.writing}"
        )
        located.write(found)
        cache_activations(folder, one, model, located.locations, params)


if __name__ == "__main__":
    command(main)()
