"""Effects of activation patching: how much of the difference between two mazes each place and group
of tokens carries (docs/science.md#activation-patching).

    effect = 1 - (m_patched - m_corrupted) / (m_clean - m_corrupted)

as a ratio of means over the pairs that have the group: 0 if the patch changes nothing, 1 if the
result is that of the corrupted run. Only pairs count for which the model's next cell is right in
both runs; the number of other pairs is reported as ``n_wrong``.
"""

import numpy as np
import pandas as pd
from scipy import stats

from mazewm.circuits.groups import JOINT
from mazewm.claims.statistics import Ratio, contrast

PLACE = ["layer", "site"]


def one_group(patches: pd.DataFrame) -> pd.DataFrame:
    """The patches of single groups; those of several groups at once would be counted twice."""
    return patches[~patches.token_group.isin(JOINT)]


def right_patches(pairs: pd.DataFrame, patches: pd.DataFrame) -> pd.DataFrame:
    """The patches of pairs with the right next cell in both runs, with two more columns, logit
    differences: the exact ``change`` (clean - patched) and the ``span`` (clean - corrupted)."""
    right = pairs[pairs.is_right]
    rows = patches.merge(
        right[["pair", "connection_set", "metric_clean", "metric_corrupted"]], on="pair"
    )
    return rows.assign(
        change=rows.metric_clean - rows.metric_patched,
        span=rows.metric_clean - rows.metric_corrupted,
    )


def patch_effects(pairs: pd.DataFrame, patches: pd.DataFrame) -> pd.DataFrame:
    """The effect of every place and group over ``n`` pairs; ``n_wrong`` pairs are left out.

    Intervals are from whole connection sets, since pairs of mazes with equal connections are not
    independent."""
    n_wrong = int((~pairs.is_right).sum())
    keys = [*PLACE, "token_group"]
    rows = []
    for key, group in right_patches(pairs, patches).groupby(keys, sort=False):
        found = contrast([Ratio(group.change, group.span)], [], group.connection_set)
        effect = {
            "effect": found.value,
            "low": found.low,
            "high": found.high,
            "n": len(group),
            "n_wrong": n_wrong,
        }
        rows.append(dict(zip(keys, key, strict=True)) | effect)
    return pd.DataFrame(rows, columns=[*keys, "effect", "low", "high", "n", "n_wrong"])


def attribution_agreement(pairs: pd.DataFrame, patches: pd.DataFrame) -> pd.DataFrame:
    """How well attribution predicts the exact change at each place: Pearson and Spearman
    correlations over all pairs and groups (docs/science.md#attribution)."""
    rows = []
    for key, group in right_patches(pairs, one_group(patches)).groupby(PLACE, sort=False):
        varies = group.change.nunique() > 1 and group.attribution.nunique() > 1
        pearson = stats.pearsonr(group.attribution, group.change).statistic if varies else np.nan
        spearman = stats.spearmanr(group.attribution, group.change).statistic if varies else np.nan
        rows.append(
            dict(zip(PLACE, key, strict=True))
            | {"pearson": pearson, "spearman": spearman, "n": len(group)}
        )
    return pd.DataFrame(rows, columns=[*PLACE, "pearson", "spearman", "n"])
