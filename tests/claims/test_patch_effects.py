"""Effects and correlations of made-up tables."""

import numpy as np
import pandas as pd
import pytest

from mazewm.claims.patching import attribution_agreement, patch_effects, right_patches


def pairs(n=11, wrong=(), sets=None):
    rng = np.random.default_rng(0)
    rows = {
        "pair": range(n),
        "connection_set": range(n) if sets is None else sets,
        "metric_clean": rng.uniform(3, 9, n),
    }
    return pd.DataFrame(rows).assign(
        metric_corrupted=rng.uniform(-9, -3, n), is_right=[pair not in wrong for pair in range(n)]
    )


def patches(some, effect, group="own c2", layer=0, site="resid_post", attribution=0.0):
    """Patches that take this share of every pair's span."""
    metric = some.metric_clean - effect * (some.metric_clean - some.metric_corrupted)
    rows = pd.DataFrame(
        {
            "pair": some.pair,
            "layer": layer,
            "site": site,
            "token_group": group,
            "metric_patched": metric,
        }
    )
    return rows.assign(attribution=attribution)


def test_effect_is_the_share_of_the_way_to_the_other_maze():
    some = pairs()
    groups = {"own c1": 0.0, "own c2": 1.0, "last path": 0.25}
    found = patch_effects(
        some, pd.concat([patches(some, share, name) for name, share in groups.items()])
    )
    assert dict(zip(found.token_group, found.effect, strict=True)) == pytest.approx(groups)
    # pairs that are all alike have Wilson's interval, as of 11 examples: 11, 0 and 11/4 of them
    z, ends = 1.959964, found.set_index("token_group")
    assert ends.high["own c1"] == pytest.approx(z * z / (11 + z * z))
    assert ends.low["own c2"] == pytest.approx(11 / (11 + z * z)) and ends.high["own c2"] == 1
    assert ends.low["last path"] < 0.25 < ends.high["last path"]
    assert (found.n == 11).all() and (found.n_wrong == 0).all()


def test_effect_is_a_ratio_of_means():
    some = pairs(2).assign(metric_clean=[1.0, 3.0], metric_corrupted=[0.0, -3.0])
    found = patch_effects(some, patches(some, np.array([1.0, 0.0])))
    assert found.effect[0] == pytest.approx(1 / 7)
    assert 0 < found.low[0] < 1 / 7 < found.high[0] < 1, "two pairs: Wilson's of two examples"


def test_pairs_read_wrongly_are_counted_and_left_out():
    some = pairs(wrong=(2, 7, 10))
    found = patch_effects(some, patches(some, np.where(some.is_right, 0.5, 99.0)))
    assert found.effect[0] == pytest.approx(0.5) and (found.n[0], found.n_wrong[0]) == (8, 3)
    assert not set(right_patches(some, patches(some, 0.5)).pair) & {2, 7, 10}


def test_pairs_of_one_connection_set_are_drawn_together():
    rng = np.random.default_rng(1)
    effect = np.repeat(rng.uniform(0, 1, 13), 17)
    alone, together = pairs(221), pairs(221, sets=np.repeat(range(13), 17))
    width = [
        patch_effects(some, patches(some, effect)).eval("high - low")[0]
        for some in (alone, together)
    ]
    assert width[1] > 2.5 * width[0]


def test_groups_that_few_pairs_have_count_those():
    some = pairs()
    found = patch_effects(some, patches(some, 0.5)[:3])
    assert found.effect[0] == pytest.approx(0.5) and found.n[0] == 3


def test_agreement_is_by_place():
    some = pairs()
    change = np.linspace(0.1, 0.9, 11) * (some.metric_clean - some.metric_corrupted)
    one = patches(some, np.linspace(0.1, 0.9, 11), layer=0, attribution=2 * change)
    other = patches(some, np.linspace(0.1, 0.9, 11), layer=1, attribution=-np.exp(change))
    flat = patches(some, np.linspace(0.1, 0.9, 11), layer=2, attribution=0.0)
    found = attribution_agreement(some, pd.concat([one, other, flat])).set_index("layer")
    assert found.pearson[0] == pytest.approx(1) and found.spearman[0] == pytest.approx(1)
    assert -0.95 < found.pearson[1] < 0 and found.spearman[1] == pytest.approx(-1)
    assert np.isnan(found.pearson[2]) and np.isnan(found.spearman[2])
    assert (found.n == 11).all()
