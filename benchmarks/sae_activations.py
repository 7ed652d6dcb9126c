"""ReLU + L1, TopK and BatchTopK side by side on validation mazes: python benchmarks/sae_activations.py FOLDER PLACE CLASS

FOLDER is such as artifacts/activations/learned-0/trained, PLACE such as 0.resid_post, CLASS such as c2. The sweep of the stage train_sae
varies width and sparsity of one activation; this varies the activation, at the first width of params.yaml. For each recipe:
explained variance, L0, dead latents, the deepest tree's Matthews correlation over connections at the tokens of the class, and seconds of
training. The activation in params.yaml was chosen from this table.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from mazewm.activations import read
from mazewm.features import detector
from mazewm.model.sites import Place
from mazewm.params import load
from mazewm.sae.quality import ALL, description, encode
from mazewm.sae.training import Point, SaeParams, train
from mazewm.tokens import TokenClass


def main(folder: Path, place: str, token_class: TokenClass) -> None:
    """Print one row for each recipe."""
    base = load(SaeParams, "sae")
    fit, validation = read(folder / "train" / place), read(folder / "validation" / place)
    mcc = detector(validation, token_class, int(validation.connection.max()) + 1, 16)
    recipes = [(activation, float(k)) for activation in ("batch_topk", "topk") for k in (4, 8, 16)]
    recipes += [("relu", l1) for l1 in (0.3, 1.0, 3.0)]
    rows = []
    for activation, sparsity in recipes:
        params = base.model_copy(update={"activation": activation})
        since = time.perf_counter()
        sae = train(fit.values, params, Point(base.widths[0], sparsity), 0, params.n_sweep_samples)
        seconds = time.perf_counter() - since
        z = encode(sae, validation.values)
        described = description(activation, Place.parse(place, 1000, "PLACE"), ALL, sae, validation.values, z)
        rows.append(
            {
                "activation": activation,
                "sparsity": sparsity,
                "explained_variance": described.explained_variance,
                "l0": described.l0,
                "n_dead": described.n_dead,
                "mcc": np.mean(mcc(z)),
                "seconds": seconds,
            }
        )
        print(pd.DataFrame(rows).tail(1).round(3).to_string(header=len(rows) == 1), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        main(Path(sys.argv[1]), sys.argv[2], TokenClass(sys.argv[3]))
    else:
        print(__doc__.splitlines()[0])
