"""Stage map_features: latents and labelled tokens -> the feature map with controls and baselines,
and what every latent stands for.
"""

from mazewm.io import files
from mazewm.io.params import load
from mazewm.run import Run
from stages.command import RunName, command


def main(run: RunName) -> None:
    """Map latents to connections at the consolidation site, the writing site and the paper's site;
    classify every latent."""
    import torch

    from mazewm.features import FeatureParams, map_features
    from mazewm.sae import SaeParams

    one = Run.named(run)
    # in this stage, torch is used only to run the encoders of the SAEs
    torch.set_num_threads(load(SaeParams, "sae").n_threads)
    params = load(FeatureParams, "features")
    with files.replacing(one.folder("features")) as folder:
        map_features(one, params).write(folder)


if __name__ == "__main__":
    command(main)()
