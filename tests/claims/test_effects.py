"""From made-up ledgers: settings chosen where they may be, reported where they must be, beside the
right controls.
"""

import pandas as pd
import pytest
from planted import SITE, ledger, outcomes

from mazewm.claims import effects
from mazewm.claims.statistics import NOTHING, wilson

HERE = str(SITE)


def disagreeing():
    """On validation mazes four latents at dose 2 follow best, on test mazes one latent at dose 1
    does."""
    parts = [
        outcomes("latents", [1, 1, 0, 0, 0], split="validation", n_latents=1, dose=1.0),
        outcomes("latents", [1, 1, 1, 1, 0], split="validation", n_latents=4, dose=2.0),
        outcomes(
            "latents", [1, 1, 1, 0, 0], split="validation", n_latents=4, dose=2.0, where="borrowed"
        ),
        outcomes("latents", [1, 1, 1, 1, 1, 1, 0], split="test", n_latents=1, dose=1.0),
        outcomes(
            "latents",
            [1, 0, 1, 0, 0, 0, 0],
            split="test",
            n_latents=4,
            dose=2.0,
            keeps=[0, 1, 0, 1, 1, 1, 0],
        ),
        outcomes("latents", [1] * 7, split="test", n_latents=4, dose=2.0, where="borrowed"),
    ]
    return pd.concat(parts, ignore_index=True)


def test_the_setting_is_chosen_on_validation_and_reported_on_test():
    found = effects.chosen(disagreeing(), "add", HERE, "latents")
    assert (found.method, found.where, found.n_latents, found.dose) == ("latents", "all", 4, 2.0)
    assert found.follows == wilson(2, 7) and found.keeps == wilson(4, 7)
    assert found.outcomes.follows_edit.tolist() == [True, False, True, False, False, False, False]


def test_only_what_was_solved_before_counts():
    parts = [
        outcomes("latents", [1, 1, 1, 0], split="validation", dose=1.0, solved=[0, 0, 0, 1]),
        outcomes("latents", [0, 0, 0, 1], split="validation", dose=2.0, solved=[0, 0, 0, 1]),
        outcomes("latents", [1, 1, 1, 1, 1], dose=1.0, solved=[1, 1, 0, 0, 0]),
        outcomes("latents", [0, 1, 1, 1, 0], dose=2.0, solved=[1, 1, 0, 0, 1]),
    ]
    found = effects.chosen(pd.concat(parts), "add", HERE, "latents")
    assert found.dose == 2.0 and found.follows == wilson(1, 3)
    assert found.outcomes.index.tolist() == [0, 1, 4]


def test_nothing_solved_is_nothing_measured():
    parts = [
        outcomes("latents", [1, 1], split=split, dose=dose, solved=[0, 0])
        for split in ("validation", "test")
        for dose in (1.0, 2.0)
    ]
    found = effects.chosen(pd.concat(parts), "add", HERE, "latents")
    assert found.follows == NOTHING and len(found.outcomes) == 0


def validated(**hits):
    """Of 100 validation examples so many follow at each setting, ``where_latents_dose``."""
    parts = []
    for name, n in hits.items():
        where, n_latents, dose = name.split("_")
        for split in ("validation", "test"):
            flags = [1] * n + [0] * (100 - n)
            parts.append(
                outcomes(
                    "latents",
                    flags,
                    split=split,
                    where=where,
                    n_latents=int(n_latents),
                    dose=float(dose),
                )
            )
    found = effects.chosen(pd.concat(parts), "add", HERE, "latents")
    return found.where, found.n_latents, found.dose


def test_the_gentlest_of_what_is_nearly_best_is_chosen():
    assert validated(all_1_4=90, all_1_2=89, all_1_1=80) == ("all", 1, 2.0)
    assert validated(all_1_4=90, all_1_2=87, all_1_1=80) == ("all", 1, 4.0)
    assert validated(all_16_2=90, all_4_2=89, all_1_2=60) == ("all", 4, 2.0)
    assert validated(all_1_4=90, all_16_2=89) == ("all", 16, 2.0), "a small dose before few latents"
    assert validated(all_4_2=90, borrowed_4_2=89) == ("borrowed", 4, 2.0), "one place before all"
    assert validated(all_4_2=90, borrowed_4_2=80) == ("all", 4, 2.0)


def test_other_kinds_sites_and_methods_are_left_out():
    loud = [
        outcomes(method, [1] * 5, split=split, kind=kind, dose=4.0, site=site)
        for split in ("validation", "test")
        for method, kind, site in (
            ("latents", "remove", HERE),
            ("latents", "add", "elsewhere"),
            ("mean_difference", "add", HERE),
        )
    ]
    found = effects.chosen(pd.concat([disagreeing(), *loud]), "add", HERE, "latents")
    assert found.dose == 2.0 and found.follows == wilson(2, 7)


def test_controls_stand_at_the_same_place_and_dose():
    parts = [
        outcomes(method, [hit, 0, 0], where=where, dose=dose, n_latents=4)
        for method in ("random_latents", "random_direction", "other_connection")
        for where, dose, hit in (("all", 2.0, 1), ("all", 4.0, 0), ("borrowed", 2.0, 0))
    ]
    parts += [
        outcomes("no_op", [0, 0, 0], where="borrowed", n_latents=0),
        outcomes("tokens", [1, 1, 1]),
        outcomes("fixed_value", [1, 1, 1]),
    ]
    everything = pd.concat([disagreeing(), *parts])
    beside = effects.chosen(everything, "add", HERE, "latents")
    found = effects.beside(everything, "add", HERE, beside, effects.CONTROLS)
    assert [one.method for one in found] == [
        "no_op",
        "random_latents",
        "random_direction",
        "other_connection",
    ]
    assert {(one.where, one.dose) for one in found[1:]} == {("all", 2.0)}
    assert [one.follows for one in found] == [wilson(0, 3)] + [wilson(1, 3)] * 3


def test_controls_of_validation_mazes_are_no_controls():
    rows = pd.concat(
        [disagreeing(), outcomes("random_latents", [1, 1], split="validation", dose=2.0)]
    )
    assert (
        effects.beside(
            rows, "add", HERE, effects.chosen(rows, "add", HERE, "latents"), effects.CONTROLS
        )
        == []
    )


def made(rate, n=100):
    return effects.effect(outcomes("any", [1] * rate + [0] * (n - rate)), "any", "all", 1, 1.0)


def test_recovered_effect_by_hand():
    assert effects.recovered_effect(made(50), made(10), made(70), made(10)) == pytest.approx(
        40 / 60
    )
    assert effects.recovered_effect(made(50), made(10), made(70), made(20)) == pytest.approx(
        40 / 50
    ), "each has its own control"
    assert effects.recovered_effect(made(5), made(10), made(70), made(10)) == pytest.approx(-5 / 60)
    assert effects.recovered_effect(made(50), made(10), made(10), made(10)) is None
    assert effects.recovered_effect(made(50), made(10), made(5), made(10)) is None


def test_the_strongest_control():
    assert effects.strongest([made(3), made(11), made(7)]).follows == wilson(11, 100)


def test_a_curve_has_every_condition_of_the_test_mazes_once():
    book = ledger(adds=17, removes=3, n=23, solved=[0] + [1] * 22)
    curve = effects.curve(book)
    keys = ["kind", "site", "method", "where", "n_latents", "dose", "n_changed"]
    assert not curve.duplicated(keys).any()
    assert len(curve) == len(book[book.split == "test"].drop_duplicates(keys))
    row = curve[(curve.kind == "add") & (curve.method == "latents") & (curve.dose == 2)].iloc[0]
    expected = wilson(16, 22)
    assert (row.follows_edit, row.low, row.high, row.n) == (
        expected.value,
        expected.low,
        expected.high,
        22,
    )


def test_examples_of_one_connection_set_count_together():
    alone = effects.curve(outcomes("latents", [1, 0] * 50)).iloc[0]
    together = effects.curve(
        outcomes("latents", [1, 0] * 50, sets=[e // 10 * 2 + e % 2 for e in range(100)])
    ).iloc[0]
    assert alone.follows_edit == together.follows_edit == 0.5 and alone.n == together.n == 100
    assert together.high - together.low > 2 * (alone.high - alone.low)


def several(method, follows_of_k, where="all", dose=1.0):
    """Examples of adding k connections at once, of which so many of ten follow; numbered
    through."""
    parts = [
        outcomes(
            method,
            [1] * hits + [0] * (10 - hits),
            kind="several",
            where=where,
            dose=dose,
            n_changed=k,
        )
        for k, hits in follows_of_k.items()
    ]
    return pd.concat(
        [part.assign(example=part.example + 10 * k) for k, part in enumerate(parts)],
        ignore_index=True,
    )


def test_kinds_without_validation_rows_take_the_best_setting_of_another_kind_that_they_have():
    parts = [
        outcomes("latents", [1, 1, 1, 1], split="validation", dose=4.0),
        outcomes("latents", [1, 1, 1, 0], split="validation", dose=2.0, where="borrowed"),
        outcomes("latents", [0, 1, 0, 0], split="validation", dose=1.0),
        several("latents", {1: 9, 2: 7}, where="borrowed", dose=2.0),
        several("latents", {1: 10, 2: 10}, dose=1.0),
    ]
    found = effects.chosen_as(pd.concat(parts), "several", "add", HERE, "latents")
    assert (
        (found.where, found.dose) == ("borrowed", 2.0)
        and found.follows.value == 0.8
        and found.follows.n == 20
    )


def test_a_setting_can_be_asked_for_at_one_place():
    settings = (("all", 1.0, 5), ("borrowed", 1.0, 1), ("borrowed", 2.0, 3))
    parts = [outcomes("latents", [1] * hits + [0] * (5 - hits), split=split, where=where, dose=dose)
             for split in ("validation", "test") for where, dose, hits in settings]  # fmt: skip
    found = effects.chosen(pd.concat(parts), "add", HERE, "latents", at="borrowed")
    assert (found.where, found.dose) == ("borrowed", 2.0)


def test_a_kind_that_shares_no_setting_takes_its_own_first():
    parts = [
        outcomes("latents", [1, 1], split="validation"),
        several("latents", {1: 9}, where="own", dose=2.0),
    ]
    assert effects.chosen_as(pd.concat(parts), "several", "add", HERE, "latents").where == "own"


def test_the_ceiling_is_what_the_tokens_do():
    found = effects.unedited(ledger(), "add", HERE, "tokens")
    assert found.method == "tokens" and found.follows == wilson(5, 23)
    assert effects.among(found, pd.Index([0, 1, 22])).follows == wilson(2, 3)
