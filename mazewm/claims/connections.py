"""Every connection by itself, as in the paper's tables: how well it is detected, whether it can be
added and removed, and whether heads write what the SAE reads (docs/science.md#by-connection)."""

import pandas as pd

from mazewm.claims.edits import Edits
from mazewm.claims.trees import deepest_trees

KINDS = ("add", "remove")


def by_connection(
    features: pd.DataFrame, singles: pd.DataFrame, consistency: pd.DataFrame, edits: Edits
) -> pd.DataFrame:
    """One row for each connection: balanced accuracy of the deepest tree and MCC of the best single
    latent, mean over SAEs; hit and spill of adding and removing it by one latent, by the most, and
    in the prompt, each at its best dose, with the number of affected questions; and the cosine of
    what the binding heads write with its latent. ``features`` and ``consistency`` are of the site
    where connections are read. What was not measured of a connection is empty."""
    trees = deepest_trees(features[features.readout == "latents"]).set_index("connection")
    own = singles[singles.readout == "latents"].groupby("connection").mcc.mean()
    written = consistency[(consistency.path == "heads") & (consistency["heads"] == "binding")]
    columns = {
        "tree_accuracy": trees.balanced_accuracy,
        "best_latent_mcc": own,
        "cosine_written": written.set_index("connection").cosine_matched,
    }
    settings = {
        "one": ("latents", edits.sizes[0]),
        "most": ("latents", edits.sizes[-1]),
        "prompt": ("tokens", 0),
    }
    for kind in KINDS:
        for name, (method, n_units) in settings.items():
            rows = edits.rows(edits.setting(kind, method, n_units))
            names = ["n_hit", "n_affected", "n_spill", "n_unaffected"]
            sums = rows[rows.connection >= 0].groupby("connection")[names].sum()
            columns[f"{kind}_{name}_hit"] = sums.n_hit / sums.n_affected
            columns[f"{kind}_{name}_spill"] = sums.n_spill / sums.n_unaffected
            columns[f"{kind}_{name}_n"] = sums.n_affected
    return pd.DataFrame(columns).rename_axis("connection").reset_index()
