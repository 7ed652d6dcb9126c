"""All metrics of one run as nested numbers, which metrics/runs/RUN.json holds and ``dvc metrics
diff`` compares.
"""

from typing import Any

import pandas as pd

from mazewm.claims.statistics import mean, rounded, share
from mazewm.claims.trees import deepest_trees, latents_per_connection


def behaviour(rows: pd.DataFrame) -> dict[str, Any]:
    """The shares of test and overload mazes that are solved and valid; of test mazes, also those
    solved by family and by path length.

    Mazes with the same connection set count together in the intervals, since a small lattice has
    few sets (192 spanning trees of the 3x3 lattice)."""
    test, overload = rows[rows.split == "test"], rows[rows.split == "overload"]

    def rate(part: pd.DataFrame, name: str) -> dict[str, float]:
        return share(part[name], part.connection_set).as_metrics()

    return {
        "test": {name: rate(test, name) for name in ("solved", "valid")},
        "overload": {name: rate(overload, name) for name in ("solved", "valid")},
        "solved_by_family": {
            str(family): rate(part, "solved") for family, part in test.groupby("family")
        },
        "solved_by_path_length": {
            str(length): rate(part, "solved") for length, part in test.groupby("path_length")
        },
    }


def saes(descriptions: pd.DataFrame, splices: pd.DataFrame) -> dict[str, Any]:
    """The quality of each SAE on all tokens, and the effect of splicing it into the model."""
    result: dict[str, Any] = {}
    for row in descriptions[descriptions.token_class == "all"].itertuples():
        quality = {
            "explained_variance": rounded(row.explained_variance),
            "l0": rounded(row.l0),
            "n_dead": int(row.n_dead),
        }
        result.setdefault(row.place.replace(".", "_"), {})[row.sae] = quality
    for row in splices.itertuples():
        spliced = {
            name: rounded(getattr(row, name))
            for name in ("loss_recovered", "loss_recovered_zero", "solved_clean", "solved_spliced")
        }
        result[row.place.replace(".", "_")]["spliced"] = spliced | {"n_mazes": int(row.n_mazes)}
    return result


def seed_stability(rows: pd.DataFrame) -> dict[str, Any]:
    """Mean |cos| of decoder directions with those of another seed's SAE and, as a control, with
    random directions, by place (docs/science.md#seed-stability)."""
    return {
        str(place).replace(".", "_"): {
            str(other): mean(part.cosine).as_metrics() for other, part in at.groupby("other")
        }
        for place, at in rows.groupby("place")
    }


def taxonomy(kinds: pd.DataFrame) -> dict[str, Any]:
    """How many latents of the trained SAE are of each kind, by place (rows of ``saes.kinds``)."""
    own = kinds[kinds.sae == "trained"].sort_values("kind")
    return {
        str(place).replace(".", "_"): {str(k): int(n) for k, n in zip(at.kind, at.n, strict=True)}
        for place, at in own.groupby("place")
    }


def transfer(rows: pd.DataFrame, site: str) -> dict[str, Any]:
    """F1 of a connection's best latent in the half of the sequence where it was not chosen, less
    that in the half where it was, averaged over both choices and over connections
    (docs/science.md#transfer): 0 if latents mean the same early and late."""
    mine = rows[rows.site == site]
    same = mine.found_on == mine.measured_on
    own, other = (
        part.set_index(["connection", "found_on"]).f1 for part in (mine[same], mine[~same])
    )
    return mean((other - own).dropna().groupby("connection").mean()).as_metrics()


def patching(effects: pd.DataFrame, agreement: pd.DataFrame) -> dict[str, Any]:
    """Effects of patching the residual stream, by layer and group of tokens, and the correlation of
    attribution with the exact changes."""
    stream = effects[effects.site == "resid_post"]
    found: dict[str, Any] = {f"layer_{layer}": {} for layer in stream.layer.unique()}
    for row in stream.itertuples():
        found[f"layer_{row.layer}"][row.token_group] = rounded(row.effect)
    places = agreement[agreement.site == "resid_post"].dropna()
    return found | {
        "attribution_pearson": {
            f"layer_{row.layer}": rounded(row.pearson) for row in places.itertuples()
        }
    }


def singles(rows: pd.DataFrame, boards: pd.DataFrame) -> dict[str, Any]:
    """For each readout: the MCC of the best single unit, mean over connections and draws, the
    lowest and the highest draw; and coverage and boards of its SAEs, mean over draws
    (docs/science.md#single-latents)."""
    result: dict[str, Any] = {}
    for readout, part in rows.groupby("readout"):
        by_draw = part.groupby("draw").mcc.mean()
        result[str(readout)] = {
            "mcc": rounded(by_draw.mean()),
            "lowest": rounded(by_draw.min()),
            "highest": rounded(by_draw.max()),
            "n_draws": len(by_draw),
        }
    names = ["coverage", "precision", "recall", "f1"]
    for readout, part in boards.groupby("readout"):
        result[str(readout)] |= {f"board_{n}": rounded(part[n].mean()) for n in names[1:]}
        result[str(readout)]["coverage"] = rounded(part.coverage.mean())
    return result


def feature_map(features: pd.DataFrame, site: str) -> dict[str, Any]:
    """The accuracy of each readout's deepest trees, mean over connections, and the number of
    latents per connection, over those that are detected."""
    rows = features[features.site == site]
    result: dict[str, Any] = {}
    for readout, part in rows.groupby("readout"):
        best = deepest_trees(part).set_index("connection")[["balanced_accuracy", "mcc"]]
        result[str(readout)] = {name: mean(best[name]).as_metrics() for name in best.columns}
    needed = latents_per_connection(rows[rows.readout == "latents"])
    result["latents_per_connection"] = mean(needed).as_metrics() | {"n_detected": len(needed)}
    return result
