"""Every claim from made-up tables: supported, refuted, undecided."""

import pandas as pd
import pytest
from planted import (
    READOUTS,
    SITE,
    attention_rows,
    consistency_rows,
    feature_rows,
    knockout_rows,
    outcomes,
)

from mazewm.claims import effects, verdicts
from mazewm.claims.statistics import NOTHING, Interval

HERE = str(SITE)


@pytest.mark.parametrize(
    ("interval", "control", "verdict"),
    [
        ((0.5, 0.4, 0.6, 10), 0.3, "supported"),
        ((0.5, 0.4, 0.6, 10), 0.7, "refuted"),
        ((0.5, 0.4, 0.6, 10), 0.6, "refuted"),
        ((0.5, 0.4, 0.6, 10), 0.4, "undecided"),
        ((0.5, 0.4, 0.6, 10), 0.45, "undecided"),
        ((0.5, 0.5, 0.5, 10), 0.5, "refuted"),  # a point that lies on the control
        ((0.5, 0.5, 0.5, 10), 0.4, "supported"),
        ((0.0, 0.0, 0.0, 10), 0.0, "refuted"),
        ((0.0, 0.0, 0.0, 0), 0.0, "undecided"),
        ((0.9, 0.8, 1.0, 0), 0.1, "undecided"),
    ],
)
def test_the_rule(interval, control, verdict):
    assert verdicts.decide(Interval(*interval), control) == verdict


def test_a_claim_as_json():
    one = verdicts.claim("C9", "it is so", "how much", Interval(1 / 3, 0.1, 0.6, 7), 0.05, "chance")
    expected = {
        "statement": "it is so",
        "measure": "how much",
        "value": 0.333333,
        "low": 0.1,
        "high": 0.6,
        "control": 0.05,
    }
    found = {name: value for name, value in one.as_json().items() if name != "id"}
    assert one.id == "C9" and found == expected | {
        "control_name": "chance",
        "n": 7,
        "verdict": "supported",
    }


def test_c1_latents_against_the_best_control():
    found = verdicts.encodes_connections(feature_rows(READOUTS), HERE)
    assert (found.id, found.verdict, found.n) == ("C1", "supported", 12)
    assert (
        found.value == pytest.approx(0.9)
        and found.control == pytest.approx(0.3)
        and "untrained_model" in found.control_name
    )
    assert (
        verdicts.encodes_connections(feature_rows(READOUTS | {"latents": 0.25}), HERE).verdict
        == "refuted"
    )
    assert (
        verdicts.encodes_connections(
            feature_rows(READOUTS | {"frozen_decoder": 0.95}), HERE
        ).verdict
        == "refuted"
    )
    # Baselines are no controls: that neurons or probes do better refutes nothing.
    assert (
        verdicts.encodes_connections(feature_rows(READOUTS | {"neurons": 1.0}), HERE).verdict
        == "supported"
    )


def test_c1_is_about_its_own_site_and_undecided_where_the_control_lies_inside():
    mixed = feature_rows(READOUTS)
    # the others have 0.9: the mean is the control's
    mixed.loc[(mixed.readout == "latents") & (mixed.connection % 2 == 0), "mcc"] = -0.3
    assert verdicts.encodes_connections(mixed, HERE).verdict == "undecided"
    both = pd.concat(
        [feature_rows(READOUTS), feature_rows(READOUTS | {"latents": 0.0}, site="elsewhere")]
    )
    assert verdicts.encodes_connections(both, HERE).verdict == "supported"
    assert verdicts.encodes_connections(both, "elsewhere").verdict == "refuted"


def test_c2_the_top_head_against_threshold_and_controls():
    heads = {(0, 0): 0.3, (0, 1): 0.8, (1, 0): 0.99}
    found = verdicts.has_connectivity_heads(attention_rows(heads), 0.5)
    assert (found.id, found.verdict, found.n, found.value, found.control) == (
        "C2",
        "supported",
        101,
        0.8,
        0.5,
    )
    assert "head 0.1" in found.measure and "threshold" in found.control_name
    half = 1.96 * 0.1 / 101**0.5
    assert found.low == pytest.approx(0.8 - half) and found.high == pytest.approx(0.8 + half)
    assert verdicts.has_connectivity_heads(attention_rows(heads), 0.9).verdict == "refuted"
    assert verdicts.has_connectivity_heads(attention_rows(heads), 0.8).verdict == "undecided"
    beaten = verdicts.has_connectivity_heads(attention_rows(heads, shuffled=0.85), 0.5)
    assert beaten.verdict == "refuted" and beaten.control_name == "shuffled attention"
    assert (
        verdicts.has_connectivity_heads(
            attention_rows({(0, 0): 0.0, (0, 1): 0.0}, 0.0, 0.0, sd=0.0), 0.5
        ).verdict
        == "refuted"
    )


def test_c2_looks_at_own_mass_where_both_cells_are_known():
    rows = attention_rows({(0, 0): 0.8})
    rows.loc[rows.token_class == "c2", "mean"] *= 0.1
    others = rows.assign(measure="offset", mean=1.0)
    found = verdicts.has_connectivity_heads(pd.concat([rows, others]), 0.5)
    assert found.value == 0.8 and found.measure.endswith("head 0.0 at ;")
    rows.loc[rows.token_class == ";", "mean"] *= 0.1
    assert verdicts.has_connectivity_heads(pd.concat([rows, others]), 0.5).verdict == "refuted", (
        "whatever is seen from <-->"
    )


def test_c3a_the_nearest_latent_against_chance_and_the_other_heads():
    found = verdicts.directions_agree(consistency_rows({"binding": 0.9, "other": 0.2}), HERE)
    assert (found.id, found.verdict, found.n, found.control) == ("C3a", "supported", 12, 0.25)
    assert (
        verdicts.directions_agree(consistency_rows({"binding": 0.9, "other": 0.95}), HERE).verdict
        == "refuted"
    )
    assert (
        verdicts.directions_agree(consistency_rows({"binding": 0.2, "other": 0.1}), HERE).verdict
        == "refuted"
    )
    for rows in (
        consistency_rows({}),
        consistency_rows({"other": 0.4}),
        consistency_rows({"binding": 0.9}, site="elsewhere"),
    ):
        nothing = verdicts.directions_agree(rows, HERE)
        assert (nothing.verdict, nothing.n) == ("undecided", 0)
    longer = consistency_rows({"binding": 0.9}).assign(path="heads+embedding+mlp", picked=0.0)
    assert verdicts.directions_agree(
        pd.concat([consistency_rows({"binding": 0.9}), longer]), HERE
    ).value == pytest.approx(0.9)


def test_c3b_own_latent_out_and_no_other():
    found = verdicts.knockout_is_specific(
        knockout_rows({"binding": (0.9, 0.1), "others": (0.3, 0.0), "all": (1.0, 1.0)}), HERE
    )
    assert (found.id, found.verdict, found.n) == (
        "C3b",
        "supported",
        12,
    ) and found.control == pytest.approx(0.3)
    above = "1.resid_post at c2"
    unspecific = verdicts.knockout_is_specific(
        knockout_rows({"binding": (0.9, 0.95), "others": (0.0, 0.0)}, site=above), above
    )
    assert unspecific.verdict == "refuted" and "other connections" in unspecific.control_name
    assert (
        verdicts.knockout_is_specific(
            knockout_rows({"binding": (0.2, 0.0), "others": (0.9, 0.0)}), HERE
        ).verdict
        == "refuted"
    )
    for rows in (
        knockout_rows({}),
        knockout_rows({"others": (0.4, 0.0)}),
        knockout_rows({"binding": (0.9, 0.0)}, site="elsewhere"),
    ):
        nothing = verdicts.knockout_is_specific(rows, HERE)
        assert (nothing.verdict, nothing.n) == ("undecided", 0)
    rows = knockout_rows({"binding": (0.9, 0.1), "others": (0.3, 0.0)})
    rows.loc[rows.ablation == "resample", "effect_own"] = 0.0
    assert verdicts.knockout_is_specific(rows, HERE).value == pytest.approx(0.9)


def made(method, hits, n=100, kind="add"):
    return effects.effect(
        outcomes(method, [1] * hits + [0] * (n - hits), kind=kind, dose=2.0), method, "all", 1, 2.0
    )


def test_c4_latents_against_the_strongest_control():
    controls = [made("no_op", 5), made("random_latents", 9), made("random_direction", 1)]
    found = verdicts.is_causal("C4a", "adding", made("latents", 60), controls)
    assert (found.id, found.verdict, found.control, found.control_name, found.n) == (
        "C4a",
        "supported",
        0.09,
        "random_latents",
        100,
    )
    assert "1 latents at all, dose 2" in found.measure
    assert (
        verdicts.is_causal(
            "C4b", "removing", made("latents", 2), [*controls, made("other_latents", 30)]
        ).verdict
        == "refuted"
    )
    assert verdicts.is_causal("C4a", "adding", made("latents", 10), controls).verdict == "undecided"
    assert (
        verdicts.is_causal(
            "C4a", "adding", made("latents", 0, n=0), [made("no_op", 0, n=0)]
        ).verdict
        == "undecided"
    )


def everything(n=100):
    return made("tokens", n, n)


def test_c5_the_difference_of_two_rates():
    better = verdicts.is_asymmetric(
        made("latents", 70), made("latents", 20, n=50, kind="remove"), everything(), everything(50)
    )
    assert (better.id, better.verdict, better.n) == ("C5", "supported", 50)
    assert better.value == pytest.approx(0.3) and better.control == 0
    half = 1.96 * (0.7 * 0.3 / 100 + 0.4 * 0.6 / 50) ** 0.5
    assert better.high - better.low == pytest.approx(2 * half, rel=0.1)
    assert (
        verdicts.is_asymmetric(
            made("latents", 20), made("latents", 70), everything(), everything()
        ).verdict
        == "refuted"
    )
    assert (
        verdicts.is_asymmetric(
            made("latents", 20), made("latents", 22), everything(), everything()
        ).verdict
        == "undecided"
    )
    assert (
        verdicts.is_asymmetric(
            made("latents", 20), made("latents", 0, n=0), everything(), everything(0)
        ).verdict
        == "undecided"
    )


def test_c5_counts_only_where_the_edited_maze_is_solved_as_tokens():
    # The first 40 tokens follow: of additions 40 of these, of removals (the first 70) 40 of these
    # too.
    found = verdicts.is_asymmetric(
        made("latents", 90), made("latents", 70), made("tokens", 40), made("tokens", 40)
    )
    assert (found.value, found.n) == (0.0, 40)


def test_c6_latents_where_tokens_fail():
    found = verdicts.holds_more_than_was_seen(
        made("latents", 60), made("tokens", 10), [made("random_latents", 20)]
    )
    assert (found.id, found.verdict, found.control, found.control_name) == (
        "C6a",
        "supported",
        0.2,
        "random_latents",
    )
    assert (
        verdicts.holds_more_than_was_seen(
            made("latents", 60), made("tokens", 90), [made("random_latents", 20)]
        ).verdict
        == "refuted"
    )
    same = verdicts.holds_more_than_was_seen(
        made("latents", 60), made("tokens", 60), [made("random_latents", 2)]
    )
    assert same.control_name == "the same as tokens" and same.verdict == "refuted"


def test_c6b_own_path_on_longer_prompts_against_half_of_what_is_lost():
    found = verdicts.fails_by_number(made("repeated", 80), made("tokens", 10), made("tokens", 90))
    assert (found.id, found.verdict, found.value, found.control) == ("C6b", "supported", 0.8, 0.5)
    assert (
        verdicts.fails_by_number(
            made("repeated", 30), made("tokens", 10), made("tokens", 90)
        ).verdict
        == "refuted"
    )
    assert (
        verdicts.fails_by_number(
            made("repeated", 51), made("tokens", 10), made("tokens", 90)
        ).verdict
        == "undecided"
    )
    assert (
        verdicts.fails_by_number(
            made("repeated", 0, n=0), made("tokens", 0, n=0), made("tokens", 0, n=0)
        ).verdict
        == "undecided"
    )


def test_pairs_that_share_a_connection_set_count_together():
    sets = [e // 20 for e in range(100)]

    def of(method, hits):
        return effects.effect(outcomes(method, hits, dose=2.0, sets=sets), method, "all", 1, 2.0)

    own, other = of("latents", [e % 20 < 4 * (e // 20) for e in range(100)]), of("no_op", [0] * 100)
    wide = verdicts.paired_rates(own, other)
    narrow = verdicts.paired_rates(made("latents", 40), made("no_op", 0))
    assert wide.value == narrow.value == 0.4 and wide.high - wide.low > 2 * (
        narrow.high - narrow.low
    )


def test_nothing_is_undecided_whatever_the_control():
    for control in (-1.0, 0.0, 1.0):
        assert verdicts.decide(NOTHING, control) == "undecided"
