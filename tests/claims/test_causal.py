"""C4, C5 and C9 on ledgers in which the truth is planted."""

from dataclasses import replace

import pandas as pd
import pytest
from planted import verdict
from planted_edits import METHODS, MOVES, N_PAIRS, WRITING, ledger, moves, pairs, rows, twins

from mazewm.claims import causal
from mazewm.claims.edits import Edits
from mazewm.localize.locations import LIST_END


def edits_of(book, **walkers):
    return Edits(book, pairs(book, **walkers), WRITING)


@pytest.fixture(scope="module")
def usual():
    return edits_of(ledger())


def test_c4a_one_latent_stands_beside_everything_else(usual):
    found = causal.is_causal("C4a", usual, "add")
    assert (found.id, verdict(found)) == ("C4a", "supported")
    assert found.value.value == pytest.approx(0.8 - 0.05)
    assert "latents, 1 units, 0.resid_post at c1 and <ADJLIST_END>, dose 2" in found.measure
    expected = {
        f"{name}, 1 units": METHODS[name.replace(" ", "_"), 1]
        for name in ("frozen decoder", "untrained model", "residual dimensions")
    }
    expected |= {"random direction": (0.1, 0.1), "other connection, 3 units": (0.05, 0.1)}
    expected |= {"none": (0, 0), "the blind walker": (0.1, 0)}
    values = {one.name: one.value.value for one in found.controls}
    assert set(values) == set(expected)
    # a method that does harm at any dose does least at the smallest
    harmless = {"other connection, 3 units": -0.025}
    for name, (hit, spill) in expected.items():
        assert values[name] == pytest.approx(harmless.get(name, hit - spill), abs=0.03), name
    assert found.control.name == "the blind walker"


@pytest.mark.parametrize(
    ("rates", "walkers", "says"),
    [
        ({("residual_dimensions", 1): (0.95, 0.0)}, {}, "refuted"),
        ({("random_direction", 0): (0.8, 0.04)}, {}, "not beyond the control"),
        ({}, {"blind": 0.95}, "refuted"),
        ({}, {"blind": 0.95, "spill": 0.5}, "supported"),
        ({("other_connection", 3): (0.7, 0.1)}, {"near": 0.3}, "supported"),
    ],
)
def test_c4a_turns_with_one_control(rates, walkers, says):
    found = causal.is_causal("C4a", edits_of(twins("add", METHODS | rates), **walkers), "add")
    assert verdict(found) == says


def test_c4b_is_about_removing(usual):
    found = causal.is_causal("C4b", usual, "remove")
    assert verdict(found) == "supported" and "own c2" in found.measure
    assert found.value.value == pytest.approx(0.75 * 0.75, abs=0.01)


def test_a_claim_without_one_of_its_controls_is_unmeasured():
    book = twins("add", METHODS)
    found = causal.is_causal("C4a", edits_of(book[book.method != "frozen_decoder"]), "add")
    assert verdict(found) == "unmeasured" and "frozen decoder, 1 units" in found.reason
    nothing = book.assign(n_affected=0, n_hit=0)
    assert verdict(causal.is_causal("C4a", edits_of(nothing), "add")) == "unmeasured"


def test_pairs_of_one_maze_widen_the_interval():
    book = twins("add", METHODS)
    alone = causal.is_causal("C4a", edits_of(book), "add")
    sets = edits_of(book.assign(connection_set=book.pair // 4))
    together = causal.is_causal("C4a", sets, "add")
    assert [one.control.gap.n_clusters for one in (alone, together)] == [N_PAIRS, 5]
    assert together.value.value == alone.value.value
    assert together.control.gap != alone.control.gap


def test_c4c_moving_beats_each_of_its_halves(usual):
    found = causal.is_moved(usual)
    assert verdict(found) == "supported" and found.control.name == "add and random, 1 units"
    assert {one.name.split(",")[0] for one in found.controls} == {
        "add only", "remove only", "add and random", "random direction", "none",
    }  # fmt: skip
    half = pd.concat([twins("add", METHODS), moves(MOVES | {("add_only", 1): (0.9, 0.0)})])
    assert verdict(causal.is_moved(edits_of(half))) == "refuted"
    assert verdict(causal.is_moved(edits_of(twins("add", METHODS)))) == "unmeasured"


def test_c4d_is_about_the_largest_sets(usual):
    found = causal.latents_are_special(usual)
    assert verdict(found) == "supported" and found.value.value == pytest.approx(0.8)
    assert {one.name for one in found.controls} == {
        "frozen decoder, 3 units", "untrained model, 3 units", "residual dimensions, 3 units",
    }  # fmt: skip
    same = METHODS | {("frozen_decoder", 3): METHODS["latents", 3]}
    assert verdict(causal.latents_are_special(edits_of(twins("add", same)))) != "supported"


def removal(own, random, lengths=(1.0, 1.0)):
    """Both methods reach so much at doses 1, 2, 4."""
    parts = [rows("tokens", 0, 1.0, kind="remove")]
    for key, hits, length in zip(
        (("latents", 1), ("random_direction", 0)), (own, random), lengths, strict=True
    ):
        parts += [
            rows(*key, hit, kind="remove", dose=dose, split=split, length=length * dose)
            for dose, hit in zip((1.0, 2.0, 4.0), hits, strict=True)
            for split in ("validation", "test")
        ]
    return causal.removal_is_efficient(edits_of(pd.concat(parts, ignore_index=True)))


def test_c4e_is_about_lengths():
    rising, other = (0.1, 0.4, 0.9), (0.2, 0.3, 0.95)
    assert verdict(removal(rising, other, (1.0, 9.0))) == "supported"
    assert verdict(removal(rising, other, (9.0, 1.0))) == "refuted"
    assert verdict(removal(rising, other)) not in ("supported", "refuted")
    assert verdict(removal(rising, (0.8, 0.9, 0.9), (0.1, 9.0))) != "supported", (
        "nobody knows how short a random push may be"
    )
    assert verdict(removal((0.1, 0.1, 0.2), rising, (0.01, 9.0))) != "supported", (
        "it never gets to half"
    )


def test_c5_depends_where_conventions_disagree():
    def of(add, remove, random_add=0.1, random_remove=0.1):
        book = pd.concat(
            [
                twins("add", {("latents", 1): (add, 0), ("random_direction", 0): (random_add, 0)}),
                twins(
                    "remove",
                    {("latents", 1): (remove, 0), ("random_direction", 0): (random_remove, 0)},
                ),
            ],
            ignore_index=True,
        )
        return causal.is_asymmetric(edits_of(book))

    supported = of(0.9, 0.2)
    assert verdict(supported) == "supported" and len(supported.controls) == 4
    gaps = {one.name.partition("convention ")[2]: one.gap.value for one in supported.controls}
    assert gaps["raw"] == pytest.approx(0.7)
    assert gaps["net of a random direction"] == pytest.approx(0.7)
    assert gaps["at dose 1"] == pytest.approx(0.35, abs=0.01)
    assert gaps["in beliefs"] == pytest.approx(0.7)
    assert verdict(of(0.2, 0.9)) == "refuted"
    assert verdict(of(0.5, 0.8, random_remove=0.7)) == "depends", "net of random adding is better"
    missing = twins("add", METHODS)
    assert verdict(causal.is_asymmetric(edits_of(missing))) == "unmeasured"


def pushes(away=0.0, add=0.9, remove=0.8, random_add=0.1, random_remove=0.7, site=WRITING):
    """What the mean difference and a random push as long do at dose 1, half of it at dose 2, and
    what the mean difference removes at the tokens where connections are added."""
    parts = [
        rows(method, 0, hit * share, kind=kind, where=where, dose=dose, split=split)
        for method, hit, kind, where in (
            ("mean_difference", add, "add", "site"),
            ("random_direction", random_add, "add", "site"),
            ("mean_difference", remove, "remove", "own"),
            ("random_direction", random_remove, "remove", "own"),
            ("mean_difference", away, "remove", "site"),
        )
        for dose, share in ((1.0, 1.0), (2.0, 0.5))
        for split in ("validation", "test")
    ]
    book = pd.concat([rows("tokens", 0, 1.0), rows("tokens", 0, 1.0, kind="remove"), *parts])
    return Edits(book, pairs(book), site)


def test_c5c_adding_needs_the_direction():
    found = causal.adding_needs_the_direction(pushes())
    assert verdict(found) == "supported" and found.value.value == pytest.approx(8 / 9, abs=0.01)
    [control] = found.controls
    assert control.value.value == pytest.approx(1 / 8, abs=0.01)
    assert control.gap.value == pytest.approx(found.value.value - control.value.value)
    likewise = causal.adding_needs_the_direction(pushes(add=0.8, random_remove=0.1))
    assert verdict(likewise) not in ("supported", "refuted"), "removing needs it just so"
    turned = causal.adding_needs_the_direction(pushes(random_add=0.8, random_remove=0.1))
    assert verdict(turned) == "refuted"


def test_c5c_is_of_shares():
    """What is removed at all may be little: a random push has as large a share of it."""
    little = causal.adding_needs_the_direction(pushes(remove=0.2, random_remove=0.19))
    assert verdict(little) == "supported"
    needed = causal.adding_needs_the_direction(pushes(remove=0.2, random_remove=0.02))
    assert verdict(needed) == "undecided", "in differences, 0.8 beside 0.18"


def test_c5c_is_of_dose_1():
    """The best dose of the mean difference is another, where a random push would have it all."""
    found = pushes()
    alike = found.test.method.eq("random_direction") & found.test.dose.eq(2.0)
    same = found.test.assign(n_hit=found.test.n_hit.where(~alike, found.test.n_affected))
    found.test = same
    assert causal.adding_needs_the_direction(found) == causal.adding_needs_the_direction(pushes())


@pytest.mark.parametrize(
    ("rates", "says"),
    [
        ({"add": 0.0}, "the mean difference of dose 1 does not add connections"),
        ({"remove": 0.0}, "the mean difference of dose 1 does not remove connections"),
    ],
)
def test_c5c_needs_something_that_could_be_lacking(rates, says):
    found = causal.adding_needs_the_direction(pushes(**rates))
    assert verdict(found) == "unmeasured" and found.reason == says


@pytest.mark.parametrize("method", ["mean_difference", "random_direction"])
def test_c5c_needs_both_pushes_at_dose_1(method):
    found = pushes()
    odd = (found.test.method == method) & (found.test.dose == 1) & (found.test.kind == "remove")
    found.test = found.test[~odd]
    made = causal.adding_needs_the_direction(found)
    assert verdict(made) == "unmeasured"
    assert made.reason == f"no {method.replace('_', ' ')} of dose 1 to remove connections"


def test_c5d_removing_needs_the_place():
    found = causal.removing_needs_the_place(pushes())
    assert verdict(found) == "supported" and found.value.value == pytest.approx(0.8, abs=0.01)
    assert "own c2, dose 1" in found.measure
    [control] = found.controls
    assert (control.value.value, control.gap.value) == pytest.approx((0, 0.8), abs=0.01)
    assert verdict(causal.removing_needs_the_place(pushes(away=0.8))) == "undecided"
    assert verdict(causal.removing_needs_the_place(pushes(away=1.0))) == "refuted"
    assert verdict(causal.removing_needs_the_place(pushes(remove=0.0))) == "undecided"


def test_c5d_is_unmeasured_where_the_other_place_is_the_own_one_too():
    found = causal.removing_needs_the_place(pushes(site=replace(WRITING, tokens=("c2", LIST_END))))
    assert verdict(found) == "unmeasured"
    assert found.reason == "c2 is among the tokens where connections are added"


def test_c9_weights_against_their_pattern(usual):
    found = causal.probes_do_not_write(usual)
    assert verdict(found) == "supported"
    assert [one.name for one in found.controls] == ["probe direction"]
    other = METHODS | {("probe_direction", 0): (0.95, 0.0)}
    assert verdict(causal.probes_do_not_write(edits_of(twins("add", other)))) == "refuted"
