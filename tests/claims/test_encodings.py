"""C7: what differs between encodings by more than between seeds."""

import numpy as np
import pandas as pd
import pytest
from planted_runs import geometries, numbers
from scipy import stats

from mazewm.claims.code import latents_needed
from mazewm.claims.comparison import between_runs
from mazewm.claims.encodings import (
    CODE,
    between,
    encodings_differ,
    furthest,
    geometry_differs,
    jackknifed,
    nearer_within,
)
from mazewm.claims.statistics import Contrast
from mazewm.claims.tested import decided_together

A, B = [2.0, 2.2, 1.8, 2.1, 1.9], [1.0, 1.1, 0.9, 1.2, 1.0]


def frame(**groups):
    rows = [(name, n, value) for name, some in groups.items() for n, value in enumerate(some)]
    found = pd.DataFrame(rows, columns=["encoding", "seed", "latents_needed"])
    return found.set_index(["encoding", "seed"])


def c7e(**groups):
    return encodings_differ("C7e", frame(**groups))


def verdict_of(tested):
    [one] = decided_together([tested])
    return one.verdict


def test_the_share_between_groups_is_that_of_analysis_of_variance():
    values, groups = np.array([[1.0], [2.0], [3.0], [5.0]]), np.array([[0, 0, 1, 1]])
    # group means 1.5 and 4 around 2.75: 4 x 1.25^2 of the 8.75 in all
    assert between(values, groups).item() == pytest.approx(6.25 / 8.75)
    f = stats.f_oneway([1.0, 2.0], [3.0, 5.0]).statistic
    share = between(values, groups).item()
    assert share / (1 - share) * 2 == pytest.approx(f)


def test_two_encodings_have_students_interval_and_p_by_exchange():
    """Of two groups, the studentized range is Student's t with pooled variance."""
    one = c7e(learned=A, rotary=B).claim
    student = stats.ttest_ind(A, B).confidence_interval(0.95)
    assert one.value[:3] == pytest.approx((0.96, student.low, student.high), abs=1e-6)
    assert 2 * one.p_above == pytest.approx(2 / 252), "no other way parts them so"
    assert "learned - rotary" in one.measure
    exchange = c7e(learned=A, rotary=B).exchange
    assert exchange.p == exchange.smallest_p == pytest.approx(2 / 252)
    f = stats.f_oneway(A, B).statistic  # with 1 and 8 degrees of freedom
    assert exchange.share == pytest.approx(f / (f + 8)) and 0 < exchange.median_share < 0.1
    assert verdict_of(c7e(learned=A, rotary=B)) == "supported"


def test_tukeys_interval_covers_all_pairs():
    groups = {"a": A, "b": B, "c": [1.4, 1.6, 1.5, 1.7, 1.3]}
    found = furthest(np.concatenate(list(groups.values())), np.repeat([0, 1, 2], 5), 1)
    tukey = stats.tukey_hsd(*groups.values())
    low, high = (getattr(tukey.confidence_interval(0.95), end)[0, 1] for end in ("low", "high"))
    assert found.difference == pytest.approx(0.96) and found.p == pytest.approx(tukey.pvalue[0, 1])
    assert found.half == pytest.approx((high - low) / 2, rel=1e-4)
    three = furthest(np.concatenate(list(groups.values())), np.repeat([0, 1, 2], 5), 3)
    assert three.half > found.half and three.p == pytest.approx(3 * found.p)
    assert furthest(np.array([1.0, 2.0, 1.1, 2.2]), np.array([0, 0, 1, 1]), 9).p > 1


def test_a_number_that_no_seed_changes_does_not_hide_another():
    """It has the largest share, all of its variance, and an interval by a spread that is only
    supposed; the other number differs plainly."""
    index = pd.MultiIndex.from_tuples([(name, n) for name in "abcde" for n in (0, 1)])
    whole = pd.DataFrame({"read_block": np.repeat([0, 2, 0, 0, 1], 2)}, index=index)
    shares = [0.1, 0.101, 0.5, 0.502, 0.9, 0.901, 0.3, 0.301, 0.7, 0.702]
    both = whole.assign(single_share=shares)
    alone, found = (encodings_differ("C7b", some).claim for some in (whole, both))
    assert alone.measure.startswith("block of the read site: b - a") and alone.p_above > 0.025
    assert found.measure.startswith("share of one token class: c - a")
    assert found.value.value == pytest.approx(0.8)
    assert 2 * found.p_above == pytest.approx(120 / 113_400)


def test_single_runs_that_are_furthest_apart_have_an_interval():
    """The others' seeds do not differ; so the spread is supposed, and no p is 0."""
    values, groups = np.array([1.0, 1, 2, 1, 1, 1, 1, 0]), np.array([0, 0, 1, 2, 2, 3, 3, 4])
    found = furthest(values, groups, 1)
    assert (found.high, found.low, found.difference) == (1, 4, 2)
    # one of the two runs of a group off by 2: squares of 2
    error = (2 / 3 * (1 + 1) / 2) ** 0.5
    assert found.p == pytest.approx(stats.studentized_range.sf(2 / error, 5, 3))
    assert found.half > 2


def test_the_clearest_difference_is_not_lost_for_lack_of_spread():
    """Seeds that do not differ say more than others, and still are no point."""
    one = c7e(learned=[2.0] * 5, rotary=[0.0] * 5)
    assert verdict_of(one) == "supported"
    assert 0 < one.claim.value.low < 2.0 < one.claim.value.high
    assert 2 * one.claim.p_above == pytest.approx(2 / 252)


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ({"learned": [2.0] * 4}, "only one encoding"),
        ({"learned": [2.0], "rotary": [1.0]}, "1 and 1 runs can give is 1"),
        ({"learned": A[:3], "rotary": B[:3]}, "3 and 3 runs can give is 0.1"),
        ({"learned": [1.5] * 5, "rotary": [1.5] * 5}, "all runs are alike"),
    ],
)
def test_too_few_seeds_show_nothing_and_say_so(groups, reason):
    one = c7e(**groups)
    assert verdict_of(one) == "unmeasured" and reason in one.claim.reason


def test_a_run_without_a_number_does_not_count():
    groups = {"learned": [*A, np.nan], "rotary": B}
    assert c7e(**groups).claim.value == c7e(learned=A, rotary=B).claim.value


def runs_of(detected, units):
    """The numbers of ten runs from trees of ten connections. By encoding, how many connections are
    detected, and how many latents each of those takes; one connection takes one more in every other
    seed, and in two seeds one more is lost. These are not the same seeds of both encodings."""
    rows = {}
    for shift, encoding in enumerate(("learned", "rotary")):
        for seed in range(5):
            n = detected[encoding] - ((seed + shift) % 3 == 1)
            best = np.where(np.arange(10) < n, 0.9, 0.4)
            asked = [range(units[encoding] + (e == 0 and (seed + shift) % 2)) for e in range(10)]
            trees = pd.DataFrame({"connection": range(10), "mcc_chosen": best, "units": asked})
            found = latents_needed(trees)
            rows[encoding, seed] = {key: one["value"] for key, one in found.items()}
    found = pd.DataFrame.from_dict(rows, orient="index")
    return found.rename_axis(["encoding", "seed"])


def test_connections_that_are_lost_count_as_latents_do():
    """An encoding that loses half of its connections does not look as if it needed no more latents
    than another, and one that needs more for each is still found."""
    same, fewer = {"learned": 9, "rotary": 9}, {"learned": 9, "rotary": 4}
    two, four = {"learned": 2, "rotary": 2}, {"learned": 2, "rotary": 4}
    lost = encodings_differ("C7e", runs_of(fewer, two))
    assert verdict_of(lost) == "supported"
    means = runs_of(fewer, two).groupby("encoding").latents_needed.mean()
    assert means["rotary"] - means["learned"] == pytest.approx(5 * (8 - 2) / 10 + 0.02)
    more = encodings_differ("C7e", runs_of(same, four))
    assert verdict_of(more) == "supported"
    assert more.claim.measure.startswith("latents per connection (undetected: 8): rotary - learned")
    shares = runs_of(same, four).groupby("encoding").share_detected.mean()
    assert shares.to_numpy() == pytest.approx(0.86)
    neither = encodings_differ("C7e", runs_of(same, two))
    assert verdict_of(neither) == "undecided" and neither.claim.p_above > 0.2


def test_a_claim_about_several_numbers_finds_the_one_that_differs():
    found = numbers({"brought_to_c2": {"rotary": 6.0}})
    [one] = decided_together([encodings_differ("C7a", wide(found, "C7a"))])
    assert one.verdict == "supported"
    assert one.measure.startswith("brought to c2: rotary - ")


def wide(found, id):
    mine = found[found.id == id]
    return mine.pivot(index=["encoding", "seed"], columns="key", values="value")


def verdicts(found, by_encoding=0.0):
    return {
        id: one["verdict"]
        for id, one in between_runs(found, geometries(found, by_encoding), {}).items()
    }


def test_of_five_encodings_with_five_seeds_what_is_planted_is_found():
    moved = {"f1_carried": {"learned": -5.0}, "binding_heads": {"none": 5.0, "alibi": 4.0}}
    said = verdicts(numbers(moved), by_encoding=0.7)
    shown = [id for id, verdict in said.items() if verdict == "supported"]
    assert shown == ["C7c", "C7d", "C7f"] and said["C10"] == "unmeasured"


def test_two_encodings_need_five_seeds_for_six_verdicts():
    """0.05 / 6 lies above 2 / 252, and below 2 / 70."""
    moved = {"f1_carried": {"learned": -9.0}}
    five = numbers(moved, ("learned", "rotary"))
    assert verdicts(five)["C7c"] == "supported"
    four = between_runs(
        some := numbers(moved, ("learned", "rotary"), n_seeds=4), geometries(some, 0.0), {}
    )
    assert {one["verdict"] for one in four.values()} == {"unmeasured"}
    assert "0.029, above 0.05 when 6 verdicts are corrected" in four["C7c"]["reason"]
    assert four["C7c"]["exchange"]["p"] == four["C7c"]["exchange"]["smallest_p"] == 0.028571
    assert set(four["C7f"]["exchange"]) == {"p", "smallest_p"}
    shown = four["C7c"]["values"]["F1 carried"]["learned"]
    assert shown["n_seeds"] == 4 and shown["low"] < shown["value"] < -7


def test_encodings_that_change_nothing_are_seldom_said_to():
    """Of 40 tables, 5 % may support a claim, and twice the error of 40 more."""
    some = [numbers(seed=seed, encodings=("learned", "rotary")) for seed in range(40)]
    n = sum(
        any(one.verdict == "supported" for one in decided_together(five_claims(found)))
        for found in some
    )
    assert n <= 5


def five_claims(found):
    return [encodings_differ(id, wide(found, id)) for id in CODE]


def test_the_jackknife_over_runs_by_pseudovalues():
    groups = np.array([0, 0, 0, 1, 1, 1, 1])
    rng, n = np.random.default_rng(4), len(groups)
    alike = rng.normal(0.3 * (groups[:, None] == groups), 0.2)
    alike = (alike + alike.T) / 2

    def nearer(kept):
        a, b = (each.ravel() for each in np.meshgrid(kept, kept))
        same, other = ((groups[a] == groups[b]) & (a != b)), groups[a] != groups[b]
        return alike[a[same], b[same]].mean() - alike[a[other], b[other]].mean()

    value = nearer(np.arange(n))
    pseudo = [n * value - (n - 1) * nearer(np.delete(np.arange(n), nth)) for nth in range(n)]
    error = np.std(pseudo, ddof=1) / n**0.5
    found = jackknifed(alike, groups)
    assert found.interval[0] == pytest.approx(value) and found.n == found.n_clusters == n
    assert found.interval[1:3] == pytest.approx(stats.t.interval(0.95, n - 1, value, error))
    assert found.p_above == pytest.approx(stats.t.sf(value / error, n - 1))
    assert found.p_below == pytest.approx(stats.t.cdf(value / error, n - 1))
    equal = jackknifed(np.ones((n, n)), groups)
    assert equal == Contrast(0, 0, 0, 0, n, 1, 1), "without spread there is no interval"


def test_geometry_is_nearer_within_an_encoding():
    alike = np.array([[np.nan, 0.9, 0.1], [0.9, np.nan, 0.2], [0.1, 0.2, np.nan]])
    assert nearer_within(alike, np.array([0, 0, 1])) == pytest.approx(0.9 - 0.15)
    found = numbers(encodings=("learned", "rotary", "alibi"))
    runs = list(found.drop_duplicates("run")[["run", "encoding"]].itertuples(False, None))

    def of(by_encoding, by_embedding=0.0):
        return geometry_differs(geometries(found, by_encoding, by_embedding), runs)

    assert verdict_of(of(0.7)) == "supported"
    assert verdict_of(of(0.0)) in ("undecided", "not beyond the control")
    both = of(0.7, by_embedding=0.7)
    assert both.claim.control.name == "the same of the embeddings of cells"
    assert verdict_of(both) != "supported", "the embeddings' geometry differs as much"
