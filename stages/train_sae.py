"""Stage train_sae: activations -> a sweep of sparse autoencoders, the chosen one, its controls, and
measures of their quality.
"""

from functools import partial

from mazewm.io import files
from mazewm.io.params import load
from mazewm.run import Run
from stages.command import RunName, command


def main(run: RunName) -> None:
    """At every cached place, sweep width and sparsity on validation mazes. With the chosen ones,
    train an SAE, one with another seed, and two controls: one with random decoder directions (of a
    third seed), and one on an untrained model."""
    import torch

    from mazewm.features import FeatureParams, detector
    from mazewm.model import Transformer
    from mazewm.sae import SaeParams, train_all
    from mazewm.sae.files import RANDOM_SAES, SAES

    one, params = Run.named(run), load(SaeParams, "sae")
    torch.set_num_threads(params.n_threads)
    model = Transformer.load(one.weights)
    n_connections, n_candidates = (
        one.mazes("validation").grid.n_connections,
        load(FeatureParams, "features").n_candidates,
    )
    detector_of = partial(detector, n_connections=n_connections, n_candidates=n_candidates)
    with (
        files.replacing(one.folder(SAES)) as saes,
        files.replacing(one.folder(RANDOM_SAES)) as more,
    ):
        train_all(one, model, params, detector_of, {SAES: saes, RANDOM_SAES: more}).write(saes)


if __name__ == "__main__":
    command(main)()
