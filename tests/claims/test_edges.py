"""Tables at their smallest: nothing, one of a kind, everything alike. Either a value with its
number, or unmeasured with the reason; never a crash, and no interval of a single thing."""

import numpy as np
import pandas as pd
import pytest
from planted import probe_rows, single_rows
from planted_edits import WRITING, ledger, pairs
from planted_runs import geometries, numbers

from mazewm.claims import planning, verdicts
from mazewm.claims.claim import decided
from mazewm.claims.comparison import between_runs
from mazewm.claims.draws import best_draw
from mazewm.claims.edits import Edits, efficiency
from mazewm.claims.encodings import jackknifed
from mazewm.claims.geometry import gram
from mazewm.claims.solvers import left_out
from mazewm.claims.statistics import NO_CONTRAST, Ratio, contrast, estimate, holm, mean, share

BOTH = ("all", "path")


def test_statistics_of_nothing_and_of_one():
    assert estimate(np.zeros((0, 2)), lambda some: some[:, 0]) == NO_CONTRAST
    one = contrast([Ratio([3.0, 5.0], [1, 1])], [], [7, 7])
    assert one.n == 0 and one.low == one.value == one.high == 4 and one.p_above == 1, (
        "of one cluster there is no interval of a mean"
    )
    low, high = contrast([Ratio([1, 1], [1, 1])], [], [7, 7])[1:3]
    assert low < 0.3 and high == 1, "the interval of a share is that of one example"
    assert share(np.array([True]), np.array([0]))[1:3] == (0, 1)
    assert mean([]).n == 0


def test_holm_over_no_verdict_and_over_one():
    assert holm({}) == {} and decided([]) == []
    assert holm({"a": 0.05}) == {"a": True} and holm({"a": 0.051}) == {"a": False}


def test_a_control_that_is_missing_leaves_the_claim_unmeasured():
    """It stood beside fewer controls."""
    rows = single_rows({"latents": 0.9, "frozen_decoder": 0.1, "neurons": 0.2})
    claim = verdicts.encodes_connections(rows)
    assert claim.verdict == "unmeasured" and "shuffled labels" in claim.reason
    assert best_draw(rows, "untrained_model").empty


@pytest.mark.parametrize("what", ["no push", "no pair", "silent"])
def test_without_lengths_nothing_is_said_of_them(what):
    book = ledger()
    if what == "no push":
        book = book[book.method != "random_direction"]
    elif what == "no pair":
        book = book[(book.kind != "remove") | (book.split != "test")]
    else:
        book = book.assign(length=book.length.where(book.method != "latents", 0.0))
    edits = Edits(book, pairs(ledger()), WRITING)
    own, other = (edits.setting("remove", name, n) for name, n in
                  (("latents", edits.sizes[0]), ("random_direction", 0)))  # fmt: skip
    assert efficiency(edits, own, other) == NO_CONTRAST


def test_probes_with_nothing_to_explain_are_unmeasured():
    """All distances were equal, so no token was the best."""
    rows = probe_rows({("target", 0): 0.5, ("target", 2): 0.9}).assign(sse=0.0, sst=0.0)
    claim = planning.represents(rows, "distance")
    assert claim.verdict == "unmeasured" and "too few mazes" in claim.reason
    assert (
        planning.step_curve(rows).empty and planning.summary(rows, planning.step_curve(rows)) == {}
    )


def test_geometry_of_no_connection_and_of_an_encoding_with_one_run():
    assert gram(pd.DataFrame(np.zeros((0, 1)))).shape == (0, 0)
    rng = np.random.default_rng(0)
    found = rng.uniform(0, 1, (6, 6))
    one = jackknifed((found + found.T) / 2, np.array([0, 0, 0, 0, 0, 1]))
    assert one.n == 0 and one.p_above == 1, "without the one run no two encodings are left"


def test_runs_that_solve_too_little_do_not_count_between_runs():
    """Two encodings with five seeds each are just enough for C7; without two runs they are not."""
    found = numbers({"f1_carried": {"learned": -9.0}}, ("learned", "rotary"))
    alike = geometries(found, 0.0)
    solved = dict.fromkeys(found.run.unique(), 0.5)
    assert left_out(solved) == {}
    assert between_runs(found, alike, left_out(solved))["C7c"]["verdict"] == "supported"
    without = left_out(solved | {"rotary-all-3": 0.126, "rotary-all-4": 0.4})
    assert list(without) == ["rotary-all-3", "rotary-all-4"]
    less = between_runs(found, alike, without)
    assert {one["verdict"] for one in less.values()} == {"unmeasured"}
    for id in ("C7c", "C7f", "C10"):
        assert (
            "rotary-all-3 solves only 12.6% of held-out mazes, less than 50%" in less[id]["reason"]
        )
    assert less["C7c"]["values"]["F1 carried"]["rotary"]["n_seeds"] == 5, "values are shown"
    nobody = between_runs(found, alike, left_out(dict.fromkeys(solved, 0.0)))
    assert {one["verdict"] for one in nobody.values()} == {"unmeasured"}


def test_a_pair_of_objectives_with_one_that_solves_too_little_does_not_count():
    found = numbers({"share_at_delimiter": {"path": 3.0}}, ("learned",), BOTH, n_seeds=8)
    alike = geometries(found, 0.0)
    assert between_runs(found, alike, {})["C10"]["verdict"] == "supported"
    said = between_runs(found, alike, {"learned-path-1": "it solves nothing"})["C10"]
    assert said["verdict"] == "supported" and "over 7 pairs" in said["measure"]
    assert "left out: it solves nothing" in said["measure"]
