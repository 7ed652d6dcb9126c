"""Figures are counted again (``python -m trust.recount``) by rules that can be worked out by
hand."""

import ast

import numpy as np
import pandas as pd
import pytest

from stages import fill_docs
from stages.imports import ROOT
from trust.recount.behaviour import of_maze
from trust.recount.choosing import Place, best_dose, doses_tried, tried_by_rule, writing_site
from trust.recount.edits import Edits, direction_and_place
from trust.recount.intervals import DIFFERENCE, SHARE, interval, lacking, value_of
from trust.recount.mazes import Lattice, unique_paths
from trust.recount.published import shown
from trust.recount.tables import PERCENT, filled

PAIRS = [(0, 3), (1, 4), (2, 5), (3, 6), (4, 7), (5, 8), (0, 1), (1, 2), (3, 4), (4, 5), (6, 7)]
PAIRS.append((7, 8))
THREE = Lattice(3)


def near(*open_pairs):
    """A maze of the 3 x 3 lattice, as which cells are connected to which."""
    return THREE.near([pair in open_pairs for pair in PAIRS])


def test_pairs_are_numbered_as_science_says():
    assert THREE.pairs() == PAIRS
    assert Lattice.of([False] * 12) == THREE and Lattice.of([False] * 40).side == 5


def test_the_blind_walker_takes_one_of_all_shortest_paths_of_the_lattice():
    assert THREE.blind((0, 1, 2, 5, 8)) == 1 / 6
    assert THREE.blind((0, 1, 4)) == 1 / 2
    assert THREE.blind((6, 7, 8)) == 1
    assert THREE.blind((0, 3, 4, 1)) == 0  # it takes one step


def test_the_near_sighted_walker_sees_the_walls_of_its_cell_alone():
    """A dead end at 3, and a way around from 0 by 1 to 8."""
    maze = near((0, 1), (1, 2), (2, 5), (5, 8), (0, 3))
    assert THREE.near_sighted((0, 1, 2, 5, 8), maze) == 1 / 2  # 3 is as near to 8 as 1 is
    assert THREE.near_sighted((0, 1, 2), maze) == 1  # 3 is farther from 2
    assert THREE.near_sighted((2, 1, 0, 3), maze) == 1 / 2  # 5 is as near to 3 as 1 is


def test_the_near_sighted_walker_does_not_go_back():
    """From 0 around by 6 to 2, where 0 is always nearer; it is led away only by a dead end at 1."""
    around = [(0, 3), (3, 6), (6, 7), (7, 8), (5, 8), (2, 5)]
    assert THREE.near_sighted((0, 3, 6, 7, 8, 5, 2), near(*around)) == 1
    assert THREE.near_sighted((0, 3, 6, 7, 8, 5, 2), near(*around, (0, 1))) == 0


def test_a_question_tells_if_each_walker_solves_less_than_half():
    """Three connections in a row, 3, 0, 1, 4. From 0 to 4, and from 1 to 3, each walker takes the
    path every second time; from 3 to 4 the blind one takes none, the other all. Who looks two steps
    ahead sees that 3 is a dead end."""
    bits = [pair in ((0, 1), (1, 4), (0, 3)) for pair in PAIRS]
    assert of_maze(bits) == [12, 12, 8, 11, 12, 12, 11, 12] + [0] * 14


def test_the_random_walker_chooses_evenly_between_open_cells():
    """Two ways from 3: by 0 around to 5, and a dead end at 4."""
    maze = near((0, 3), (0, 1), (1, 2), (2, 5), (3, 4))
    assert THREE.at_random((3, 0, 1, 2, 5), maze, 1) == 1 / 2
    assert THREE.at_random((3, 0, 1, 2, 5), maze, 2) == 1  # it sees that 4 is a dead end
    assert THREE.at_random((3, 4), maze, 1) == THREE.at_random((0, 3, 4), maze, 2) == 1


def test_only_the_one_shortest_path_counts():
    """A square of 0, 1, 4, 3 with a tail to 5."""
    paths = unique_paths(near((0, 1), (0, 3), (1, 4), (3, 4), (4, 5)))
    assert paths[0, 1] == (0, 1) and paths[1, 5] == (1, 4, 5) and paths[5, 3] == (5, 4, 3)
    assert {(0, 4), (4, 0), (1, 3), (3, 1), (0, 5), (5, 0)}.isdisjoint(paths)
    assert len(paths) == 5 * 4 - 6


GIVEN = [1.0, 2.0, 4.0]


@pytest.mark.parametrize(
    ("scores", "tried"),
    [
        ({1.0: 0.1, 2.0: 0.3, 4.0: 0.2}, GIVEN),
        ({1.0: 0.1, 2.0: 0.2, 4.0: 0.3, 8.0: 0.4, 16.0: 0.3}, [*GIVEN, 8.0, 16.0]),
        ({0.5: 0.4, 1.0: 0.5, 2.0: 0.3, 4.0: 0.2}, [0.5, *GIVEN]),
        ({1.0: 0.1, 2.0: 0.2, 4.0: 0.3, 8.0: 0.3}, [*GIVEN, 8.0]),  # as well: the end
        ({1.0: 0.1, 2.0: 0.3, 4.0: 0.3}, GIVEN),
        ({0.5: 0.2, 1.0: 0.3, 2.0: 0.3, 4.0: 0.2}, [0.5, *GIVEN]),  # the smallest of equal ones
        ({1.0: 0.0, 2.0: 0.001, 4.0: 0.0049}, GIVEN),  # does nothing
        ({1.0: 0.1, 2.0: 0.2, 4.0: 0.3}, [*GIVEN, 8.0]),  # one more should have been tried
        ({2.0**n: n / 100 for n in range(12)}, [2.0**n for n in range(9)]),  # six times at most
    ],
)
def test_doses_go_on_while_the_best_is_at_an_end(scores, tried):
    assert doses_tried(GIVEN, scores) == tried


def counts(dose, n_hit, n_spill=0, split="validation", **others):
    one = {"split": split, "kind": "add", "k": 1, "method": "latents", "n_units": 1, "place": "p"}
    one |= {"tokens": "c1", "dose": dose, "n_hit": n_hit, "n_affected": 10, "n_spill": n_spill}
    return one | {"n_unaffected": 10} | others


def test_the_dose_is_the_smallest_of_the_best_on_validation_mazes():
    rows = [counts(1.0, 4), counts(4.0, 9, 3), counts(2.0, 7, 1), counts(8.0, 10, split="test")]
    assert best_dose(pd.DataFrame(rows)) == 2.0


def test_a_dose_too_many_or_too_few_is_seen():
    given = [counts(dose, 0, method="no effect") for dose in (1.0, 2.0)]
    rows = [*given, counts(1.0, 4), counts(2.0, 6), counts(4.0, 5)]
    assert tried_by_rule(pd.DataFrame(rows)) == [True, True]
    assert tried_by_rule(pd.DataFrame(rows[:-1])) == [False, True]
    assert tried_by_rule(pd.DataFrame([*rows, counts(8.0, 5)])) == [False, True]


def test_an_edit_is_tested_at_its_own_dose_or_at_a_given_one():
    rows = [counts(1.0, 4), counts(2.0, 6)]
    rows += [counts(1.0, 3, split="test"), counts(2.0, 5, split="test")]
    pairs = pd.DataFrame({"cluster": ["a"]})
    edits = Edits(pd.DataFrame(rows).assign(pair=0), pairs, {"add": Place("p", "c1")}, 1)
    assert edits.tested("add", "latents", 1).n_hit.tolist() == [5]
    assert edits.tested("add", "latents", 1, dose=1.0).n_hit.tolist() == [3]


def test_pushes_are_compared_at_dose_1_and_places_at_the_best_dose():
    """Hits of ten, one spill of ten. Adding, the mean difference hits nine and the push one, which
    lacks all; removing, nine and five, which lacks half. At dose 2, which is better on validation
    mazes, there are other hits: ten at the own token, three where connections are added."""
    made = [("add", "c1", 9, 1, 10), ("remove", "own c2", 9, 5, 10), ("remove", "c1", 2, 2, 3)]
    rows = []
    for kind, tokens, mean, push, better in made:
        at = {"kind": kind, "tokens": tokens, "n_units": 0}
        for name, n in (("mean_difference", mean), ("random_direction", push)):
            rows += [counts(dose, 2 * dose, 1, method=name, **at) for dose in (1.0, 2.0)]
            rows.append(counts(1.0, n, 1, "test", method=name, **at))
            rows.append(counts(2.0, better, 1, "test", method=name, **at))
    places = {"add": Place("p", "c1"), "remove": Place("p", "own c2")}
    edits = Edits(pd.DataFrame(rows).assign(pair=0), pd.DataFrame({"cluster": ["a"]}), places, 1)
    found = {"/".join(one.at): one.value for one in direction_and_place(edits)}
    assert found == pytest.approx(
        {
            "claims/C5c": 1.0,
            "claims/C5c/control": 0.5,
            "claims/C5d": 0.9,
            "claims/C5d/control": 0.2,
        }
    )


def test_of_sites_as_good_the_one_with_most_tokens_is_written_to():
    sites = [(0, "c2 and ;", 8, 2), (0, "c1", 9, 0), (1, "c2", 10, 0)]
    sites += [(1, "c1 and <ADJLIST_END>", 99, 10), (1, "<ADJLIST_END>", 100, 9)]
    rows = [
        counts(1.0, 10 * hit, 10 * spill, layer=layer, tokens=tokens)
        for layer, tokens, hit, spill in sites
    ]
    rows = pd.DataFrame(rows).assign(n_affected=1000, n_unaffected=1000)
    assert writing_site(rows) == (1, "c1 and <ADJLIST_END>")


def test_intervals_are_those_of_a_mean():
    """Of 100 clusters, half of which are 1: the standard error is 1/20, as in the draws, and there
    are 99 degrees of freedom, so the ends are 0.5 ± 1.98/20, up to steps of 1/100."""
    sums = np.column_stack([np.arange(100) % 2, np.ones(100)]).astype(float)
    assert value_of(sums, SHARE) == 0.5
    assert interval(sums, SHARE) == pytest.approx((0.4, 0.6), abs=0.011)


def test_intervals_are_those_of_few_clusters_that_make_up_the_spread():
    """Of 30 clusters three are 1, so draws are binomial. Kurtosis 8.1 leaves 60/7.1 = 8.4 degrees
    of freedom, and 0.54 of the draws lie below the value, so the upper end is the quantile at 0.994
    of the draws, eight in 30. By 29 degrees of freedom, or without the bias, it would be seven."""
    few = np.column_stack([np.arange(30) < 3, np.ones(30)]).astype(float)
    assert interval(few, SHARE)[1] == pytest.approx(8 / 30)


def test_what_a_push_lacks_is_a_share_of_what_the_other_does():
    """Of the one 9/10 less 1/10, of the other 5/10 less 1/10: half of it is lacking."""
    each = [9.0, 10.0, 1.0, 10.0, 5.0, 10.0, 1.0, 10.0]
    assert value_of(np.tile(each, (7, 1)), lacking) == pytest.approx(0.5)
    assert interval(np.tile(each, (7, 1)), lacking) is None  # no spread
    several = np.array([each, [*each[:4], 9.0, 10.0, 1.0, 10.0]] * 20)  # 1/2 and nothing, in turn
    assert interval(several, lacking) == pytest.approx((0.25 - 0.08, 0.25 + 0.08), abs=0.02)


def test_parts_of_a_difference_come_from_the_same_draw():
    sums = np.column_stack([np.arange(20) % 3, np.full(20, 3.0)]).astype(float)
    assert interval(np.hstack([sums, sums]), DIFFERENCE) is None  # no spread
    assert interval(sums[:4], SHARE) is None  # too few clusters


def test_clusters_without_what_is_counted_are_left_out():
    rows = pd.DataFrame([(0, 0, 1, 5), (0, 0, 0, 0), (2, 3, 0, 0)])
    assert filled(rows)[:, 1].tolist() == [0, 3]


def test_numbers_are_shown_as_documents_show_them():
    for value in (0.98425, -0.0001, 0.4125, 1.0):
        assert shown(value, PERCENT) == fill_docs.percent(value)
    assert shown(-0.61875, ".2f") == "-0.62"


def test_modules_share_no_code_with_the_project():
    """But the exception; the program also writes results down."""
    allowed = {"mazewm.io.errors", "trust.recount"}
    for path in sorted((ROOT / "trust/recount").glob("[a-z]*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        modules |= {a.name for node in nodes if isinstance(node, ast.Import) for a in node.names}
        own = {name for name in modules if name.split(".")[0] in ("mazewm", "stages", "trust")}
        assert all(name in allowed or name.startswith("trust.recount.") for name in own), path
