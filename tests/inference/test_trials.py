"""Which questions about a pair of mazes count, and what is counted of the answers, on one ring that
is opened and closed; worked out by hand.

The cells of the 3 x 3 lattice are 0 1 2 / 3 4 5 / 6 7 8. The tree goes 6 3 0 1 2 5 4; with 3-4 it
is a ring of six cells with 6 at its side.
"""

from dataclasses import asdict

import numpy as np
import pytest
from counterfactuals.small_trees import every_kind
from toys import batch, draw, drawing_of, tiny

from mazewm.counterfactuals.pairs import Pairs
from mazewm.inference.posed import Compared, Posed
from mazewm.inference.trials import Paths, Trial, paths_of
from mazewm.maze.lattice import lattice
from mazewm.maze.tokens import Vocabulary, list_length

TREE = batch(draw("o-o-o\n|   |\nO T-o\n|   .\no o o"))
EDGE = lattice(3).connection_of
ADD = Pairs("add", TREE.grid, np.array([5]), TREE.connections, np.array([[EDGE[3, 4]]]),
            np.zeros((1, 0), int), np.array([-1]))  # fmt: skip
REMOVE = ADD.backwards()
CELLS = [0, 1, 2, 3, 4, 5, 6]
ASKED = [(a, b) for a in CELLS for b in CELLS if a != b]
AFFECTED = {(3, 5), (5, 3), (3, 4), (4, 3), (0, 4), (4, 0), (6, 4), (4, 6), (6, 5), (5, 6)}
LATER = {(6, 4), (6, 5)}  # both go from 6 to 3 first
TIES = {(3, 2), (2, 3), (0, 5), (5, 0), (1, 4), (4, 1), (6, 2), (2, 6)}  # in the ring, both ways
TELLING = {(5, 3), (5, 6)}  # of the tree: away from the target first, where 4 is nearer
SAID = {*zip((0, 1, 4, 0, 2, 3), (1, 2, 5, 3, 5, 6), strict=True)}  # the connections of the tree


def answers(wrong=(), said=(), agree=True) -> Compared:
    """Answers that are as expected, but for those in ``wrong``: the cells before the first other
    token, and this token. Believed in a direction is what is in ``said``."""
    found = Compared(*(np.zeros((1, 42), kind) for kind in (bool, int, int, float, bool)))
    for nth, ends in enumerate(ASKED):
        found.agrees[0, nth] = agree and ends not in wrong
        found.n_right[0, nth], found.instead[0, nth] = dict(wrong).get(ends, (0, -1))
        found.is_straight[0, nth] = ends in said
    return found


def both_ways(pairs) -> set:
    return {*pairs, *((b, a) for a, b in pairs)}


PLAIN = answers(said=both_ways(SAID) | {(1, 4)})


def trial_of(pairs: Pairs, counts=None, told=PLAIN, solved=None) -> Trial:
    """A trial without a model: which questions count, and the answers without an edit, are given;
    by default all with unique paths count."""
    trial = object.__new__(Trial)
    trial.pairs, trial.paths, trial.plain, trial.told = pairs, paths_of(pairs), PLAIN, told
    trial.counts = trial.paths.is_unique if counts is None else counts
    trial.solved = np.ones_like(trial.counts) if solved is None else solved
    return trial


def flagged(flags) -> set:
    return {ends for ends, flag in zip(ASKED, flags[0], strict=True) if flag}


def counted(counts) -> dict[str, int]:
    return {name.removeprefix("n_"): int(value[0]) for name, value in asdict(counts).items()}


KINDS = every_kind(37, 2, 9)


@pytest.mark.parametrize("kind", list(KINDS))
def test_paths_are_those_of_the_drawings(kind):
    pairs, seen = KINDS[kind], []
    for index in pairs.batches(6):
        part = pairs[index]
        found = paths_of(part)
        for nth, question in np.ndindex(found.origin.shape):
            ways, ends = [], (found.origin[nth, question], found.target[nth, question])
            for connections, path in ((part.before, found.before), (part.after, found.after)):
                drawing = drawing_of(part.grid.n, connections[nth], *ends)
                ways.append(drawing.shortest_paths())
                cells = [divmod(int(c), part.grid.n) for c in path[nth, question] if c >= 0]
                assert cells in ways[-1] if ways[-1] else not cells
            is_unique = len(ways[0]) < 2 and len(ways[1]) == 1
            assert found.is_unique[nth, question] == is_unique
            assert found.is_new[nth, question] == (not ways[0])
            if is_unique:
                assert found.differs[nth, question] == (ways[0] != ways[1])
                wanted = found.expected[nth, question]
                cells = [divmod(int(cell), part.grid.n) for cell in wanted if cell >= 0]
                assert [cells] == ways[1]
            seen.append((is_unique, not ways[0], ways[0] != ways[1]))
    assert set(seen) == {(True, True, True)} if kind == "corridor" else len(set(seen)) > 2


@pytest.mark.parametrize("pairs", [ADD, REMOVE], ids=["add", "remove"])
def test_what_an_edit_affects_in_a_ring(pairs):
    trial = trial_of(pairs)
    unique = trial.paths.is_unique
    assert flagged(unique) == set(ASKED) - TIES
    assert flagged(unique & trial.paths.differs) == AFFECTED
    assert flagged(unique & trial.paths.differs & trial.is_first) == AFFECTED - LATER
    telling = TELLING if pairs is REMOVE else set()
    assert flagged(unique & trial.paths.differs & trial.is_telling) == telling


def test_an_edit_that_does_all_and_nothing_else():
    said = both_ways(SAID | {(3, 4)})
    assert counted(trial_of(ADD).count(answers(said=said))) == {
        "affected": 10, "hit": 10, "affected_first": 8, "hit_first": 8, "affected_telling": 0,
        "hit_telling": 0, "unaffected": 24, "spill": 0, "crossings": 0, "edited": 1,
        "edited_believed": 1, "others": 7, "others_changed": 0, "others_open": 6, "others_kept": 6,
        "others_false": 0,
    }  # fmt: skip


def test_what_goes_wrong_is_counted_by_hand():
    wrong = {
        (3, 4): (1, 0),  # to 0, which 3 is connected to: no hit, and no crossing
        (6, 5): (2, -1),  # ends before its time
        (0, 1): (1, 4),  # to a cell that is not adjacent
        (1, 2): (1, 4),  # through the wall 1-4
        (3, 6): (0, 7),  # begins with another cell
        (2, 5): (2, 8),  # does not end, and goes on through the wall 5-8
        (4, 5): (1, -2),  # neither a cell nor the end
        (1, 4): (1, 4),  # through a wall, but one of the ties, which do not count
    }
    said = both_ways(SAID | {(1, 4), (3, 4)}) - {(0, 1), (4, 3)}
    assert counted(trial_of(ADD).count(answers(wrong, said))) == {
        "affected": 10, "hit": 8, "affected_first": 8, "hit_first": 7, "affected_telling": 0,
        "hit_telling": 0, "unaffected": 24, "spill": 5, "crossings": 2, "edited": 1,
        "edited_believed": 0, "others": 7, "others_changed": 2, "others_open": 6, "others_kept": 5,
        "others_false": 1,
    }  # fmt: skip


def test_a_removal_is_believed_if_the_step_is_not_taken_in_both_directions():
    wrong = {(5, 3): (1, 4), (3, 4): (1, 4)}  # the latter through the wall that was put up
    said = both_ways(SAID) | {(3, 4)}
    assert counted(trial_of(REMOVE).count(answers(wrong, said))) == {
        "affected": 10, "hit": 8, "affected_first": 8, "hit_first": 6, "affected_telling": 2,
        "hit_telling": 1, "unaffected": 24, "spill": 0, "crossings": 1, "edited": 1,
        "edited_believed": 1, "others": 7, "others_changed": 0, "others_open": 6, "others_kept": 6,
        "others_false": 0,
    }  # fmt: skip
    found = counted(trial_of(REMOVE).count(answers(said=said | {(4, 3)})))
    assert found["edited_believed"] == 0 and found["hit"] == 10


def test_a_crossing_is_a_matter_of_the_edited_maze():
    """From 3 to 6 by way of 4: through a wall of the tree, but not of the ring."""
    wrong = {(3, 6): (1, 4)}
    assert counted(trial_of(ADD).count(answers(wrong)))["crossings"] == 0
    assert counted(trial_of(REMOVE).count(answers(wrong)))["crossings"] == 1


def test_another_first_cell_is_no_crossing():
    """Nothing was left through a wall, whichever cell is adjacent to the origin."""
    wrong = {(1, 2): (0, 4)}
    assert counted(trial_of(ADD).count(answers(wrong)))["crossings"] == 0


def test_only_questions_that_count_are_counted():
    counts = np.array([[ends in {(3, 4), (0, 1), (1, 2)} for ends in ASKED]])
    found = counted(trial_of(ADD, counts).count(answers({(0, 1): (1, 4), (2, 1): (1, 5)})))
    names = ("affected", "hit", "affected_first", "hit_first", "unaffected", "spill")
    assert [found[name] for name in names] == [1, 1, 1, 1, 2, 1]
    assert found["others"] == 7, "beliefs are of all connections"


def test_the_edited_maze_in_the_prompt_is_held_against_all_that_was_solved():
    """Those that it fails count here, as they do for no edit."""
    told = answers({(3, 4): (1, 0), (4, 3): (1, 5), (1, 2): (1, 4)}, agree=True)
    solved = np.array([[ends not in {(4, 3), (0, 1)} for ends in ASKED]])
    trial = trial_of(ADD, counts=np.zeros((1, 42), bool), told=told, solved=solved)
    found = counted(trial.count_told())
    names = ("affected", "hit", "unaffected", "spill", "crossings")
    assert [found[name] for name in names] == [9, 8, 23, 1, 1]
    assert counted(trial.count(told))["affected"] == 0


class Behaving:
    """What stands for a model: it takes the shortest path of the maze in its prompt, except for
    some questions; which prompt it is, is told by its length."""

    def __init__(self, paths: Paths, n_before: int, fails: dict[str, set]) -> None:
        self.paths, self.n_before, self.fails = paths, n_before, fails

    def __call__(self, posed: Posed, prefix, layer: int) -> Compared:
        which = "before" if len(prefix) == list_length(self.n_before) else "after"
        taken = getattr(self.paths, which).copy()
        taken[:, :, 0] = self.paths.origin  # where there is no way it stays
        guess = np.full_like(taken, -1)
        n = posed.questions.guess.shape[2]
        guess[:, :, :n] = posed.questions.guess[:, :, : guess.shape[2]]
        agrees = (taken == guess).all(axis=2)
        for row, question in np.ndindex(agrees.shape):
            ends = self.paths.origin[row, question], self.paths.target[row, question]
            agrees[row, question] &= tuple(map(int, ends)) not in self.fails[which]
        nothing = np.zeros(agrees.shape, int)
        return Compared(agrees, nothing, nothing, nothing.astype(float), nothing > 0)


def trial_with(monkeypatch, pairs: Pairs, **fails) -> Trial:
    n_before, paths = int(pairs.before[0].sum()), paths_of(pairs)
    behaving = Behaving(paths, n_before, {"before": set(), "after": set()} | fails)
    monkeypatch.setattr(Posed, "compare", lambda *asked: behaving(*asked))
    vocabulary = Vocabulary(pairs.grid.n)
    model = tiny("none", len(vocabulary), vocabulary.max_length)
    return Trial(model, pairs, np.random.default_rng(0), {0, 1})


@pytest.mark.parametrize("pairs", [ADD, REMOVE], ids=["add", "remove"])
def test_a_question_counts_if_both_mazes_are_solved_in_the_prompt(monkeypatch, pairs):
    before, after = {(3, 4), (0, 1), (0, 5)}, {(4, 3), (1, 2), (5, 0)}
    trial = trial_with(monkeypatch, pairs, before=before, after=after)
    assert flagged(trial.solved) == set(ASKED) - before
    assert flagged(trial.told.agrees) == set(ASKED) - after
    assert flagged(trial.counts) == set(ASKED) - TIES - before - after
    assert flagged(trial.plain.agrees & trial.counts) == (
        set(ASKED) - AFFECTED - TIES - before - after
    )
    found = counted(trial.count_told())
    assert (found["affected"], found["hit"]) == (9, 8), "(3, 4) is not solved, (4, 3) is no hit"
    assert (found["unaffected"], found["spill"]) == (23, 1)


@pytest.mark.parametrize("kind", ["corridor", "single"])
def test_what_could_not_be_asked_before_always_counts(monkeypatch, kind):
    pairs = KINDS[kind][next(KINDS[kind].batches(1))]
    every = {(a, b) for a in range(16) for b in range(16)}
    trial = trial_with(monkeypatch, pairs, before=every, after=every)
    assert np.array_equal(trial.counts, trial.paths.is_new & trial.paths.is_unique)
    assert not trial.solved.any() and trial.counts.any()
    able = trial_with(monkeypatch, pairs)
    assert np.array_equal(able.solved, ~able.paths.is_new), "to stay is no solution"
    if kind == "corridor":
        assert trial.counts.all() and trial.paths.differs.all() and trial.is_first.all()
    n = int(trial.counts.sum())
    assert trial.count_told().n_affected.tolist() == [n] and trial.count_told().n_hit == [0]
    right = replace_all(trial)
    assert trial.count(right).n_hit.tolist() == [n]


def replace_all(trial: Trial) -> Compared:
    """Answers that are all as expected."""
    return trial.plain._replace(agrees=np.ones_like(trial.counts))


def test_beliefs_are_of_all_pairs_of_a_batch_by_itself(monkeypatch):
    trial = trial_with(monkeypatch, Pairs.joined([ADD, ADD]))
    said = answers(said=both_ways(SAID | {(3, 4)})).is_straight[0]
    straight = np.stack([said, np.zeros_like(said)])
    found = trial.count(trial.plain._replace(is_straight=straight))
    assert found.n_edited.tolist() == [1, 1] and found.n_edited_believed.tolist() == [1, 0]
    assert found.n_others_kept.tolist() == [6, 0] and found.n_others_changed.tolist() == [6, 0]
