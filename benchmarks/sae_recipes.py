"""SAE recipes side by side on validation mazes: python benchmarks/sae_recipes.py FOLDER PLACE CLASS

For example FOLDER is artifacts/activations/learned-all-0/trained, PLACE 0.resid_post and CLASS c2.
The stage train_sae varies width and sparsity of one recipe. This script varies the activation
function (with its sparsity), then batch size and learning rate with that of params.yaml, all at the
first width of params.yaml. For each recipe it prints explained variance, L0, dead latents, the
Matthews correlation of the deepest tree (mean over connections, at the tokens of the class) and
seconds of training. The recipe in params.yaml was chosen from such tables."""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from mazewm.features.trees import FeatureParams, detector
from mazewm.io.params import load
from mazewm.localize.activations import read
from mazewm.maze.tokens import TokenClass
from mazewm.model.sites import Place
from mazewm.sae.params import Point, SaeParams
from mazewm.sae.quality import ALL, description, latents_of
from mazewm.sae.training import train

SPARSITY = 16.0
ACTIVATIONS = [
    (activation, k) for activation in ("batch_topk", "topk") for k in (4.0, 8.0, SPARSITY)
] + [("relu", l1) for l1 in (0.3, 1.0, 3.0)]
RATES = [
    (1024, 0.001),
    (1024, 0.003),
    (256, 0.001),
    (256, 0.003),
    (256, 0.005),
    (256, 0.01),
    (256, 0.02),
]


def main(folder: Path, place: str, token_class: TokenClass) -> None:
    """Print one row for each recipe."""
    base = load(SaeParams, "sae")
    fit, validation = read(folder / "train" / place), read(folder / "validation" / place)
    detect = detector(
        validation,
        token_class,
        int(validation.connection.max()) + 1,
        load(FeatureParams, "features").n_candidates,
    )
    recipes = [({"activation": activation}, sparsity) for activation, sparsity in ACTIVATIONS]
    recipes += [({"batch_size": batch_size, "lr": lr}, SPARSITY) for batch_size, lr in RATES]
    rows = []
    for changed, sparsity in recipes:
        params = base.model_copy(update=changed)
        since = time.perf_counter()
        sae = train(fit.values, params, Point(base.widths[0], sparsity), 0, params.n_sweep_samples)
        seconds = time.perf_counter() - since
        z = latents_of(sae, validation.values)
        described = description(
            params.activation, Place.parse(place, 1000, "PLACE"), ALL, sae, validation.values, z
        )
        rows.append(
            {
                "activation": params.activation,
                "sparsity": sparsity,
                "batch_size": params.batch_size,
                "lr": params.lr,
                "explained_variance": described.explained_variance,
                "l0": described.l0,
                "n_dead": described.n_dead,
                "mcc": np.mean(detect.mcc(z)),
                "seconds": seconds,
            }
        )
        print(pd.DataFrame(rows).tail(1).round(4).to_string(header=len(rows) == 1), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        main(Path(sys.argv[1]), sys.argv[2], TokenClass(sys.argv[3]))
    else:
        print(__doc__.splitlines()[0])
