"""Claims C1 to C6 from made-up tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted import (
    READOUTS,
    SITE,
    attention_rows,
    consistency_rows,
    feature_rows,
    knockout_rows,
)

from mazewm.claims import verdicts
from mazewm.claims.claim import decided
from mazewm.claims.statistics import wilson

HERE = str(SITE)


def verdict(claim):
    [one] = decided([claim])
    return one.verdict


def noisy(rows, *columns):
    """Numbers of which not all connections differ alike."""
    wave = np.random.default_rng(0).uniform(-0.05, 0.05, len(rows))
    return rows.assign(**{column: rows[column] + wave for column in columns})


def trees(mcc):
    return noisy(feature_rows(READOUTS | mcc), "mcc")


def test_c1_latents_against_every_control():
    found = verdicts.encodes_connections(trees({}), HERE)
    assert (found.id, verdict(found), found.value.n) == ("C1", "supported", 12)
    assert found.value.value == pytest.approx(0.9, abs=0.05)
    assert "untrained_model" in found.control.name and len(found.controls) == 3
    assert found.control.value.value == pytest.approx(0.3, abs=0.05)
    assert found.control.value.low < found.control.value.value < found.control.value.high
    worse = verdicts.encodes_connections(trees({"latents": 0.1}), HERE)
    assert verdict(worse) == "refuted"
    beaten = verdicts.encodes_connections(trees({"frozen_decoder": 0.97}), HERE)
    assert verdict(beaten) == "refuted" and "frozen_decoder" in beaten.control.name
    # Baselines are no controls: that neurons or probes do better refutes nothing.
    assert verdict(verdicts.encodes_connections(trees({"neurons": 1.0}), HERE)) == "supported"


def test_c1_is_about_its_own_site_and_paired():
    mixed = feature_rows(READOUTS)
    # the others have 0.9: the mean is the control's
    mixed.loc[(mixed.readout == "latents") & (mixed.connection % 2 == 0), "mcc"] = -0.3
    assert verdict(verdicts.encodes_connections(mixed, HERE)) == "undecided"
    both = pd.concat([trees({}), trees({"latents": 0.0}).assign(site="elsewhere")])
    assert verdict(verdicts.encodes_connections(both, HERE)) == "supported"
    assert verdict(verdicts.encodes_connections(both, "elsewhere")) == "refuted"
    # connections are hard or easy for both: the difference is narrower than either
    rows = trees({"frozen_decoder": 0.85})
    rows["mcc"] -= rows.connection / 30
    one = verdicts.encodes_connections(rows, HERE)
    width = one.control.gap.high - one.control.gap.low
    assert width < (one.value.high - one.value.low) / 2
    alike = feature_rows(READOUTS | {"frozen_decoder": 0.9})
    tie = verdicts.encodes_connections(alike, HERE)
    assert tie.control.gap.value == 0 and verdict(tie) == "undecided"


def test_c2_the_top_head_against_its_controls():
    heads = {(0, 0): 0.3, (0, 1): 0.8, (1, 0): 0.99}
    found = verdicts.has_connectivity_heads(attention_rows(heads))
    assert (found.id, verdict(found), found.value.value) == ("C2", "supported", 0.8)
    assert "head 0.1" in found.measure and found.control.name == "shuffled attention"
    half = 1.959964 * 0.1 / 101**0.5
    assert (found.value.low, found.value.high) == pytest.approx((0.8 - half, 0.8 + half))
    gap = found.control.gap
    assert gap.value == pytest.approx(0.6) and gap.high - gap.value == pytest.approx(half * 2**0.5)
    beaten = verdicts.has_connectivity_heads(attention_rows(heads, shuffled=0.85))
    assert verdict(beaten) == "refuted" and beaten.control.name == "shuffled attention"
    tie = verdicts.has_connectivity_heads(attention_rows(heads, uniform=0.79))
    assert verdict(tie) == "not beyond the control" and tie.control.name == "uniform attention"
    nothing = attention_rows({(0, 0): 0.0, (0, 1): 0.0}, 0.0, 0.0, sd=0.0)
    assert verdict(verdicts.has_connectivity_heads(nothing)) == "not beyond the control"


def test_c2_looks_at_own_mass_where_both_cells_are_known():
    rows = attention_rows({(0, 0): 0.8})
    rows.loc[rows.token_class == "c2", "mean"] *= 0.1
    others = rows.assign(measure="offset", mean=1.0)
    found = verdicts.has_connectivity_heads(pd.concat([rows, others]))
    assert found.value.value == 0.8 and found.measure.endswith("head 0.0 at ;")


def test_c3a_the_nearest_latent_against_chance_and_the_other_heads():
    def claim(picked, **options):
        rows = noisy(consistency_rows(picked, **options), "picked")
        return verdicts.directions_agree(rows, HERE)

    found = claim({"binding": 0.9, "other": 0.1})
    assert (found.id, verdict(found), found.value.n) == ("C3a", "supported", 12)
    assert found.control.name == "chance, by counting" and found.control.value.value == 0.25
    assert verdict(claim({"binding": 0.8, "other": 0.95})) == "refuted"
    assert verdict(claim({"binding": 0.1, "other": 0.1})) == "refuted", "chance is 0.25"
    for nothing in (
        consistency_rows({}),
        consistency_rows({"other": 0.4}),
        consistency_rows({"binding": 0.9}, site="elsewhere"),
    ):
        assert verdicts.directions_agree(nothing, HERE).reason == "no binding head"
    longer = consistency_rows({"binding": 0.9}).assign(path="heads+embedding+mlp", picked=0.0)
    both = pd.concat([consistency_rows({"binding": 0.9}), longer])
    assert verdicts.directions_agree(both, HERE).value.value == pytest.approx(0.9)


def test_c3a_all_of_24_is_an_interval_and_four_spellings_decide_nothing():
    """A review's example: all 48 spellings of 24 connections against 44 of them."""
    rows = pd.concat([consistency_rows({"binding": 1.0, "other": 1.0})] * 2, ignore_index=True)
    rows["connection"] = rows.groupby("heads").cumcount()
    assert verdicts.directions_agree(rows, HERE).value == pytest.approx(wilson(24, 24))
    rows.loc[(rows["heads"] == "other") & (rows.connection < 4), "picked"] = 0.5
    found = verdicts.directions_agree(rows, HERE)
    other = next(one for one in found.controls if "other" in one.name)
    assert other.value.value == pytest.approx(44 / 48) and found.control == other
    assert other.gap.p_above > 0.01 and verdict(found) != "refuted"
    two = [replace(found, id=f"C{n}") for n in range(2)]
    assert {one.verdict for one in decided(two)} == {"undecided"}


def test_c3a_heads_are_compared_over_the_same_connections():
    rows = noisy(consistency_rows({"binding": 0.9, "other": 0.2}), "picked")
    easy = rows[(rows["heads"] == "binding") | (rows.connection < 6)]
    assert verdicts.directions_agree(easy, HERE).controls[1].gap.n == 6


def test_c3b_own_latent_out_and_no_other():
    def claim(effects, site=HERE):
        rows = noisy(knockout_rows(effects, site=site), "effect_own", "effect_other")
        return verdicts.knockout_is_specific(rows, site)

    found = claim({"binding": (0.9, 0.1), "others": (0.3, 0.0), "all": (1.0, 1.0)})
    assert (found.id, verdict(found), found.value.n) == ("C3b", "supported", 12)
    assert found.control.value.value == pytest.approx(0.3, abs=0.05)
    above = "1.resid_post at c2"
    unspecific = claim({"binding": (0.8, 0.95), "others": (0.0, 0.0)}, site=above)
    assert unspecific.control.name == "other connections' latents"
    assert verdict(claim({"binding": (0.2, 0.0), "others": (0.9, 0.0)})) == "refuted"
    for nothing, reason in (
        (knockout_rows({}), "no binding head to ablate"),
        (knockout_rows({"others": (0.4, 0.0)}), "no binding head to ablate"),
        (knockout_rows({"binding": (0.9, 0.0)}), "there is no control to compare with"),
        (knockout_rows({"binding": (0.9, 0.0)}, site="elsewhere"), "no binding head to ablate"),
    ):
        assert verdicts.knockout_is_specific(nothing, HERE).reason == reason
    rows = knockout_rows({"binding": (0.9, 0.1), "others": (0.3, 0.0)})
    rows.loc[rows.ablation == "resample", "effect_own"] = 0.0
    assert verdicts.knockout_is_specific(rows, HERE).value.value == pytest.approx(0.9)
