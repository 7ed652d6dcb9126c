"""The ledger of a run: rows of each condition at the dose that validation mazes chose, differences
of selectivities, and lengths at half effect.
"""

import numpy as np
import pandas as pd
import pytest
from planted_edits import N_PAIRS, TOKENS, WRITING, ledger, pairs, rows

from mazewm.claims import edits
from mazewm.claims.edits import (
    Edits,
    efficiency,
    gap,
    gap_of_gaps,
    gap_of_lacking,
    lacking,
    selectivity,
)


def edits_of(*parts):
    book = pd.concat(parts, ignore_index=True)
    return Edits(book, pairs(book), WRITING)


def test_the_dose_is_chosen_on_validation_mazes_and_reported_on_test():
    found = edits_of(
        rows("latents", 1, 0.9, split="validation", dose=2.0),
        rows("latents", 1, 0.6, split="validation", dose=4.0),
        rows("latents", 1, 0.2, dose=2.0),
        rows("latents", 1, 0.8, dose=4.0),
    )
    setting = found.setting("add", "latents", 1)
    assert setting == ("add", 1, "latents", 1, "0.resid_post", TOKENS["site"])
    assert found.best == {setting: 2.0} and set(found.rows(setting).dose) == {2.0}
    assert selectivity(found.rows(setting)).value == pytest.approx(0.2)
    assert set(found.rows(setting, 4.0).dose) == {4.0} and found.rows(setting, 8.0).empty
    assert [dose for dose, _ in found.all_doses(setting)] == [2.0, 4.0]
    assert found.sizes == [1]


def test_settings_are_told_apart_by_kind_method_size_place_and_tokens():
    own = rows("latents", 1, 0.3)
    others = [
        rows("latents", 3, 0.9),
        rows("mean_difference", 0, 0.9),
        rows("latents", 1, 0.9, kind="remove"),
        rows("latents", 1, 0.9, where="one"),
        rows("latents", 1, 0.9, k=2),
        rows("latents", 1, 0.9).assign(place="1.resid_post"),
    ]
    found = edits_of(own, *others)
    mine = found.rows(found.setting("add", "latents", 1))
    assert len(mine) == N_PAIRS and selectivity(mine).value == pytest.approx(0.3)
    assert len(found.settings()) == 7
    elsewhere = found.rows(found.setting("add", "latents", 1, where="one"))
    assert selectivity(elsewhere).value == pytest.approx(0.9)


def test_selectivity_is_hit_less_spill_over_all_questions():
    one = rows("latents", 1).assign(n_affected=[1] * 10 + [9] * 10, n_hit=[1] * 10 + [3] * 10)
    one = one.assign(n_unaffected=[4] * 20, n_spill=[0, 1] * 10)
    found = selectivity(one)
    assert found.value == pytest.approx(40 / 100 - 10 / 80)
    assert found.low < found.value < found.high and found.n_clusters == N_PAIRS


def test_pairs_of_one_connection_set_count_together():
    alone = selectivity(rows("latents", 1, 0.5, 0.2))
    alike = rows("latents", 1, 0.5, 0.2, sets=np.arange(N_PAIRS) % 5)
    together = selectivity(alike.assign(n_hit=np.arange(N_PAIRS) % 5 * 2 + 1))
    spread = selectivity(rows("latents", 1).assign(n_hit=np.arange(N_PAIRS) % 5 * 2 + 1))
    assert (alone.n_clusters, together.n_clusters) == (N_PAIRS, 5)
    assert together.high - together.low > 1.5 * (spread.high - spread.low)


def test_differences_are_paired_by_the_number_of_the_pair_and_not_by_order():
    one = rows("latents", 1).assign(n_hit=np.arange(N_PAIRS) % 10)
    other = one.assign(n_hit=np.maximum(one.n_hit - 1, 0)).sample(frac=1, random_state=0)
    one, other = (part.set_index("pair") for part in (one, other[other.pair != 3]))
    found = gap(one, other)
    n = one.n_hit.drop(3)
    assert found.value == pytest.approx((n - np.maximum(n - 1, 0)).sum() / 10 / 19)
    assert found.n == 19 and found.high - found.low < 0.05, "not as wide as unpaired"


def test_a_difference_of_differences_by_hand():
    def of(hit, spill):
        return rows("latents", 1, hit, spill).set_index("pair")

    found = gap_of_gaps((of(0.9, 0.1), of(0.2, 0.3)), (of(0.6, 0.2), of(0.5, 0.4)))
    assert found.value == pytest.approx((0.8 - -0.1) - (0.4 - 0.1))


def pushed(hit, beside):
    """An edit's rows, and those of another that hits so much."""
    kinds = (rows("mean_difference", 0, hit, 0.1), rows("random_direction", 0, beside, 0.0))
    return tuple(part.set_index("pair") for part in kinds)


def test_what_another_edit_lacks_by_hand():
    found = lacking(pushed(0.9, 0.2))
    assert found.value == pytest.approx(1 - 0.2 / 0.8) and found.low < 0.75 < found.high < 1
    gap = gap_of_lacking(pushed(0.9, 0.2), pushed(0.5, 0.3))
    assert gap.value == pytest.approx(0.75 - 0.25) and gap.low > 0.3
    turned = gap_of_lacking(pushed(0.5, 0.3), pushed(0.9, 0.2))
    ends = (turned.value, turned.low, turned.high)
    assert ends == pytest.approx((-gap.value, -gap.high, -gap.low), abs=1e-9)
    assert (gap.n, found.n) == (N_PAIRS, N_PAIRS)


def test_what_never_does_anything_lacks_all_within_an_interval():
    found = lacking(pushed(0.9, 0.0))
    assert found.value == 1.0 and found.n == N_PAIRS
    # Wilson's upper end of 0 of 20 is 0.1611, of what is hit and of what is spilt, over 0.8
    assert (found.low, found.high) == pytest.approx((1 - 0.1611 / 0.8, 1 + 0.1611 / 0.8), abs=1e-3)
    assert lacking(tuple(part.head(4) for part in pushed(0.9, 0.0))).n == 0, "too few clusters"


def test_the_doubt_about_what_never_does_anything_is_in_the_gap():
    silent, other = pushed(0.9, 0.0), pushed(0.5, 0.2)
    found, shares = gap_of_lacking(silent, other), [lacking(silent), lacking(other)]
    assert found.value == pytest.approx(1 - 0.5)
    below = np.hypot(1 - shares[0].low, shares[1].high - 0.5)
    above = np.hypot(shares[0].high - 1, 0.5 - shares[1].low)
    assert (found.low, found.high) == pytest.approx((0.5 - below, 0.5 + above), abs=0.01)
    assert found.p_above < 0.025 < 0.5 < found.p_below and found.low > 0
    turned = gap_of_lacking(other, silent)
    assert (turned.low, turned.p_below) == pytest.approx((-found.high, found.p_above))
    both = gap_of_lacking(silent, pushed(0.5, 0.0))
    assert both.value == 0 and both.low < -0.1 and both.high > 0.1
    assert (both.p_above, both.p_below) == (0.5, 0.5)


def test_of_an_edit_without_effect_nothing_can_be_lacking():
    dead = [part.assign(n_hit=0, n_spill=0) for part in pushed(0.5, 0.0)]
    assert lacking(tuple(dead)).n == 0
    assert gap_of_lacking(pushed(0.9, 0.0), tuple(dead)).n == 0


def test_a_walker_misses_other_questions_too():
    book = ledger()
    found = Edits(book, pairs(book, blind=0.43, near=0.27, spill=0.2), WRITING)
    assert selectivity(found.walker("add", "blind")).value == pytest.approx(0.23)
    assert selectivity(found.walker("remove", "near")).value == pytest.approx(0.07)
    assert len(found.walker("add", "blind")) == N_PAIRS


def curve(method, n_units, hits, length, **others):
    """What a method reaches at doses 1, 2, 4 ...; ``length`` is that of dose 1."""
    return pd.concat(
        [
            rows(method, n_units, hit, kind="remove", dose=2.0**nth, split=split,
                 length=length * 2.0**nth, **others)
            for nth, hit in enumerate(hits)
            for split in ("validation", "test")
        ]
    )  # fmt: skip


def efficient(own, random, told=1.0):
    found = edits_of(own, random, rows("tokens", 0, told, kind="remove"))
    settings = [
        found.setting("remove", *method) for method in (("latents", 1), ("random_direction",))
    ]
    return efficiency(found, *settings)


RISING = [0.0, 0.2, 0.8, 0.9]  # half of 1 at dose 2 * sqrt(2)


def test_efficiency_is_the_ratio_of_lengths_at_half_effect():
    own = curve("latents", 1, RISING, 1.0)
    found = efficient(own, curve("random_direction", 0, RISING, 5.0))
    assert np.exp(found.value) == pytest.approx(5)
    assert 0 < found.low <= found.value <= found.high
    later = efficient(own, curve("random_direction", 0, [0.0, 0.0, 0.2, 0.8], 1.0))
    assert np.exp(later.value) == pytest.approx(2)
    less = efficient(own, curve("random_direction", 0, RISING, 5.0), told=0.4)
    # own reaches 0.2 at dose 2 and so does the other: the ratio stays
    assert np.exp(less.value) == pytest.approx(5)


def test_spill_counts_against_an_effect():
    own = curve("latents", 1, RISING, 1.0)
    other = curve("random_direction", 0, RISING, 1.0)
    assert efficient(own, other).value == pytest.approx(0)
    worse = other.assign(n_spill=np.where(other.dose == 4, 6, 0))  # 0.5 of selectivity at dose 4
    assert np.exp(efficient(own, worse).value) == pytest.approx(2**0.5)


def test_what_is_not_known_of_lengths_never_speaks_for_a_method():
    short, long = 0.1, 10.0
    never = curve("latents", 1, [0.0, 0.1, 0.2, 0.3], short)
    assert efficient(never, curve("random_direction", 0, RISING, long)).value <= 0
    at_once = curve("random_direction", 0, [0.7, 0.8, 0.9, 0.9], long)
    assert efficient(curve("latents", 1, RISING, short), at_once).value <= 0
    bound = efficient(curve("latents", 1, RISING, 1.0), curve("random_direction", 0, [0.1] * 4, 1))
    assert np.exp(bound.value) == pytest.approx(8 / 8**0.5), "the control, at its largest dose"


def test_length_by_hand():
    lengths, reached = np.log([1.0, 10.0, 100.0]), np.array([[0.0, 0.4, 0.8], [0.6, 0.4, 0.8]])
    at, is_there, is_at_once = edits._log_length(lengths, reached)
    assert np.exp(at) == pytest.approx([10 * 10**0.25, 1])
    assert is_there.tolist() == [True, True] and is_at_once.tolist() == [False, True]


def test_without_validation_mazes_nothing_is_chosen():
    book = rows("latents", 1, 0.9, split="validation")
    assert edits_of(book).best
    assert not edits_of(book.assign(split="test")).best
