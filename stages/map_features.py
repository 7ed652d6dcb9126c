"""Stage map_features: latents + labelled tokens -> the feature map with its controls and baselines,
and what every latent stands for.
"""

from mazewm.io import files
from mazewm.io.params import load
from mazewm.run import Run
from stages.command import RunName, command


def main(run: RunName) -> None:
    """Map latents to connections where these are read and written and at the paper's site; give
    every latent its kind."""
    import torch

    from mazewm.features import FeatureParams, map_features
    from mazewm.sae import SaeParams

    one = Run.named(run)
    # torch encodes with the SAEs, and does nothing else in this stage
    torch.set_num_threads(load(SaeParams, "sae").n_threads)
    found = map_features(one, load(FeatureParams, "features"))
    with files.replacing(one.folder("features")) as folder:
        found.write(folder)


if __name__ == "__main__":
    command(main)()
