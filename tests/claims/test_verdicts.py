"""Claims C1 to C6 from made-up tables."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from planted import (
    N_CONNECTIONS,
    SINGLES,
    SITE,
    consistency_rows,
    knockout_rows,
    single_rows,
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


def test_c1_the_best_single_latents_against_those_of_every_control():
    values = {"latents": 0.9, "frozen_decoder": 0.2, "untrained_model": 0.3}
    values |= {"shuffled_labels": 0.0, "neurons": 0.6}
    found = verdicts.encodes_connections(single_rows(values))
    assert (found.id, verdict(found), found.value.n) == ("C1", "supported", N_CONNECTIONS)
    assert found.value.value == pytest.approx(0.9, abs=0.01)
    assert found.control.name == "best of 3 draws of neurons" and len(found.controls) == 4
    by_name = {one.name: one.value.value for one in found.controls}
    best = by_name["best of 3 draws of frozen decoder"]
    assert best == pytest.approx(0.21, abs=0.02), "the best draw, not the mean of all"
    for name in ("neurons", "frozen_decoder"):
        beaten = verdicts.encodes_connections(single_rows(values | {name: 0.97}))
        assert verdict(beaten) == "refuted" and name.replace("_", " ") in beaten.control.name


def test_c1_is_paired_by_connection():
    weak = dict.fromkeys(SINGLES, 0.1) | {"latents": 0.9}
    rows = single_rows(weak | {"frozen_decoder": 0.85})
    rows["mcc"] -= rows.connection / 30
    one = verdicts.encodes_connections(rows)
    width = one.control.gap.high - one.control.gap.low
    assert width < (one.value.high - one.value.low) / 2
    near = verdicts.encodes_connections(single_rows(weak | {"frozen_decoder": 0.89}))
    assert verdict(near) != "supported", "the best draw does as well"


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
