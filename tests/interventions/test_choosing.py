"""The best dose: what scores it, ties, grids that are widened, and mazes that may not choose."""

import pandas as pd
import pytest
from planted_edits import PLACE, TOKENS, rows

from mazewm.doses import MOST_GROWTH
from mazewm.interventions.choosing import NEVER, Best, best_doses, score_of, widened
from mazewm.interventions.labels import Label

NOTHING = dict.fromkeys(
    ("n_affected", "n_hit", "n_unaffected", "n_spill", "n_edited", "n_edited_believed",
     "n_others_open", "n_others_kept", "n_others_false"), 0.0,
)  # fmt: skip


def test_scores_by_hand():
    some = NOTHING | {"n_affected": 8.0, "n_hit": 6.0, "n_unaffected": 10.0, "n_spill": 2.0}
    some |= {"n_edited": 3.0, "n_edited_believed": 1.0, "n_others_open": 7.0, "n_others_kept": 4.0}
    for kind in ("add", "remove"):
        assert score_of(kind, some) == pytest.approx(6 / 8 - 2 / 10)
    corridor = some | {"n_unaffected": 0.0, "n_spill": 0.0}
    assert score_of("corridor", corridor) == pytest.approx(6 / 8)
    assert score_of("single", some) == pytest.approx((1 + 4) / (3 + 7))
    some |= {"n_others_false": 2.0}
    assert score_of("single", some) == pytest.approx((1 + 4 - 2) / (3 + 7))
    assert [score_of(kind, NOTHING) for kind in ("add", "single")] == [0, 0]
    one = NOTHING | dict.fromkeys(("n_affected", "n_hit", "n_edited", "n_edited_believed"), 1.0)
    assert [score_of(kind, one) for kind in ("add", "single")] == [1, 1]
    assert score_of("add", NOTHING | {"n_unaffected": 1.0, "n_spill": 1.0}) == -1


def validation(*given):
    """Rows of hit, spill, dose and more on validation mazes."""
    return pd.concat(
        [
            rows(more.pop("method", "latents"), 1, hit, spill, dose=dose,
                 split=more.pop("split", "validation"), **more)
            for hit, spill, dose, more in ((*one[:3], dict(*one[3:])) for one in given)
        ]
    )  # fmt: skip


def test_the_best_dose_of_each_kind_number_method_and_place():
    found = best_doses(
        validation(
            (0.5, 0.0, 1.0),
            (0.9, 0.2, 2.0),
            (1.0, 0.6, 4.0),
            (0.3, 0.0, 4.0, {"k": 2}),
            (0.3, 0.0, 1.0, {"kind": "remove"}),
            (0.9, 0.0, 8.0, {"method": "mean_difference"}),
            (0.1, 0.0, 1.0, {"where": "one"}),
        )
    )
    assert len(found) == 5
    by_key = {(one.kind, one.k, one.label.method, one.label.tokens): one for one in found}
    best = by_key["add", 1, "latents", TOKENS["site"]]
    label = Label("latents", 1, PLACE, TOKENS["site"], 2.0)
    assert best == Best("add", 1, label, pytest.approx(0.7))
    assert by_key["add", 2, "latents", TOKENS["site"]].label.dose == 4
    assert by_key["add", 1, "mean_difference", TOKENS["site"]].label.dose == 8
    assert by_key["add", 1, "latents", TOKENS["one"]].label.dose == 1


def test_of_equal_doses_the_smallest():
    found = best_doses(validation((0.4, 0.0, 4.0), (0.4, 0.0, 1.0), (0.4, 0.0, 2.0)))
    assert [one.label.dose for one in found] == [1.0]


def test_a_dose_is_scored_over_all_pairs_together():
    many = validation((0.0, 0.0, 1.0), (0.0, 0.0, 2.0))
    many["n_affected"] = [1] + [19] * 19 + [10] * 20
    many["n_hit"] = [1] + [0] * 19 + [1] * 20
    assert best_doses(many)[0].label.dose == 2.0
    assert best_doses(many)[0].score == pytest.approx(0.1)


def test_test_mazes_choose_nothing():
    some = validation((0.9, 0.0, 1.0), (0.1, 0.0, 2.0, {"split": "test"}))
    with pytest.raises(RuntimeError, match="test were to decide a choice"):
        best_doses(some)


def tried(doses, score):
    found = []
    widened(doses, lambda dose: found.append(dose) or score(dose))
    return found


def test_grids_are_widened_where_the_best_is_at_an_end():
    def peak(at):
        return lambda dose: 1 / (1 + abs(dose - at))

    assert tried([1.0, 2.0, 4.0], peak(2)) == [1, 2, 4]
    assert tried([1.0, 2.0, 4.0], peak(8)) == [1, 2, 4, 8, 16]
    assert tried([1.0, 2.0, 4.0], peak(0.25)) == [1, 2, 4, 0.5, 0.25, 0.125]
    endless = tried([1.0, 2.0], lambda dose: dose)
    assert endless == [2**n for n in range(2 + MOST_GROWTH)]
    assert tried([1.0], peak(1)) == [1, 2, 0.5]


def test_a_method_that_does_nothing_is_left_alone():
    assert tried([1.0, 2.0], lambda dose: 0.9 * NEVER * dose / 2) == [1, 2]
    assert tried([1.0, 2.0], lambda dose: 1.1 * NEVER * dose / 2)[:3] == [1, 2, 4]
