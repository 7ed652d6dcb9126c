"""All metrics of one run as nested scalars: what metrics/runs/<key>.json holds and ``dvc metrics diff`` compares."""

from typing import Any

import pandas as pd

from mazewm.features import deepest_trees, latents_per_connection
from mazewm.scores.effects import Effect, recovered_effect, strongest
from mazewm.scores.statistics import bootstrap, rounded, share


def behaviour(rows: pd.DataFrame) -> dict[str, Any]:
    """Solved and valid on held-out and overload mazes, by family and by path length.

    The intervals take mazes as independent. A small lattice has few connection sets (192 full 3x3 trees), so those of a family of
    full small mazes are too narrow.
    """
    test, overload = rows[rows.split == "test"], rows[rows.split == "overload"]
    return {
        "test": {name: share(test[name]).as_metrics() for name in ("solved", "valid")},
        "overload": {name: share(overload[name]).as_metrics() for name in ("solved", "valid")},
        "solved_by_family": {str(family): share(part.solved).as_metrics() for family, part in test.groupby("family")},
        "solved_by_path_length": {str(length): share(part.solved).as_metrics() for length, part in test.groupby("path_length")},
    }


def saes(descriptions: pd.DataFrame, splices: pd.DataFrame) -> dict[str, Any]:
    """Quality of each SAE over all tokens, and what the splice costs."""
    result: dict[str, Any] = {}
    for row in descriptions[descriptions.token_class == "all"].itertuples():
        quality = {"explained_variance": rounded(row.explained_variance), "l0": rounded(row.l0), "n_dead": int(row.n_dead)}
        result.setdefault(row.place.replace(".", "_"), {})[row.sae] = quality
    for row in splices.itertuples():
        spliced = {
            name: rounded(getattr(row, name)) for name in ("loss_recovered", "loss_recovered_zero", "solved_clean", "solved_spliced")
        }
        result[row.place.replace(".", "_")]["spliced"] = spliced | {"n_mazes": int(row.n_mazes)}
    return result


def feature_map(features: pd.DataFrame, site: str) -> dict[str, Any]:
    """Each readout's deepest trees, mean over connections, and how many latents a connection takes."""
    rows = features[features.site == site]
    result: dict[str, Any] = {}
    for readout, part in rows.groupby("readout"):
        best = deepest_trees(part).set_index("connection")[["balanced_accuracy", "mcc"]]
        result[str(readout)] = {name: bootstrap(best[name].to_numpy()).as_metrics() for name in best.columns}
    needed = latents_per_connection(rows[rows.readout == "latents"])
    result["latents_per_connection"] = bootstrap(needed.to_numpy()).as_metrics()
    return result


def intervention(latents: Effect, supervised: Effect, controls: list[Effect], tokens: Effect, n_unsolved: int) -> dict[str, Any]:
    """The reported setting of latents and of the mean difference, and every control beside them."""
    recovered = recovered_effect(latents, supervised, strongest(controls))
    result: dict[str, Any] = {"latents": _setting(latents), "mean_difference": _setting(supervised)}
    result |= {one.method: one.follows.as_metrics() for one in controls}
    result["tokens"] = tokens.follows.as_metrics()
    if recovered is not None:
        result["recovered_effect"] = rounded(recovered)
    return result | {"n_not_solved_before": n_unsolved}


def _setting(effect: Effect) -> dict[str, Any]:
    setting = {"where": effect.where, "n_latents": effect.n_latents, "dose": effect.dose}
    return effect.follows.as_metrics() | setting | {"keeps_original": rounded(effect.keeps.value)}
