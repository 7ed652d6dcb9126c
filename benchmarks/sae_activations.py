"""ReLU + L1, TopK and BatchTopK side by side on validation mazes: python benchmarks/sae_activations.py FOLDER PLACE CLASS

FOLDER is such as artifacts/activations/learned-0/trained, PLACE such as 0.resid_post, CLASS such as c2. For each
recipe: explained variance, L0, dead latents, the best latent's F1 and the best tree's Matthews correlation over connections at the
consolidation token, and seconds of training. The default in params.yaml was chosen from this table.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from mazewm import tables
from mazewm.activations import read
from mazewm.features import FeatureRow, Labelled, map_connections, rank_latents
from mazewm.params import load
from mazewm.sae.quality import encode, explained_variance
from mazewm.sae.training import SaeParams, train
from mazewm.tokens import TokenClass


def main(folder: Path, place: str, token_class: TokenClass) -> None:
    """Print one row for each recipe."""
    base = load(SaeParams, "sae")
    fit, validation = read(folder / "train" / place), read(folder / "validation" / place)
    half = np.arange(len(validation.values)) % 2 == 0
    at = validation.token_class == str(token_class)
    n_connections = int(validation.connection.max()) + 1
    recipes = [{"activation": name, "k": k} for name in ("batch_topk", "topk") for k in (4, 8, 16)]
    recipes += [{"activation": "relu", "l1": l1} for l1 in (0.3, 1.0, 3.0)]
    rows = []
    for recipe in recipes:
        params = base.model_copy(update=recipe)
        since = time.perf_counter()
        sae = train(fit.values, params, 0, params.n_control_samples)
        seconds = time.perf_counter() - since
        z = encode(sae, validation.values)
        x_hat = z @ sae.W_dec.numpy() + sae.b_dec.numpy()
        parts = [Labelled(z[at & side], validation.connection[at & side]) for side in (half, ~half)]
        trees = tables.frame(map_connections("", "", *parts, n_connections, 16), FeatureRow)
        best = [row.f1 for row in rank_latents("", *parts, n_connections, 1) if row.rank == 0]
        rows.append(
            recipe
            | {
                "explained_variance": explained_variance(validation.values.astype(np.float32), x_hat),
                "l0": (z > 0).sum(axis=1).mean(),
                "n_dead": int((~(z > 0).any(axis=0)).sum()),
                "f1": np.mean(best),
                "mcc": trees.groupby("connection").mcc.max().mean(),
                "seconds": seconds,
            }
        )
        print(pd.DataFrame(rows).tail(1).round(3).to_string(header=len(rows) == 1), flush=True)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        main(Path(sys.argv[1]), sys.argv[2], TokenClass(sys.argv[3]))
    else:
        print(__doc__.splitlines()[0])
