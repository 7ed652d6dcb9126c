"""Directions from early and from late tokens: which are written where, and at which dose."""

from types import SimpleNamespace

import numpy as np
import pytest
from circuits import planted_circuit
from localize.test_writing import MAZES, TWINS

from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.localize import carrying
from mazewm.localize.carrying import CarriedRow, Carrying, Halved
from mazewm.localize.directions import mean_differences
from mazewm.localize.halves import EARLY, LATE
from mazewm.localize.labelled import labelled_at
from mazewm.localize.locations import LIST_END, WritingSite
from mazewm.maze.tokens import TokenClass

SITE = WritingSite(0, ("c1", "<-->", LIST_END), TokenClass.C2)


@pytest.fixture(scope="module")
def subject():
    return Subject(planted_circuit.planted(), MAZES, 0, 13)


def test_halves_part_at_the_median_position(subject):
    tokens, found = labelled_at(subject, [SITE.source])[SITE.source], Halved.of(subject, SITE)
    n_early = (tokens.position <= found.middle.last).sum()
    assert 0.3 < n_early / len(tokens.position) < 0.8 and found.middle.last % 4 == 3, "a c2"
    for half, some in ((EARLY, tokens.position < 13), (LATE, tokens.position > 13)):
        assert found.arrows[half].shape == (12, subject.model.params.d_model), half
        assert some.any()
    late = tokens.position > found.middle.last
    expected = mean_differences(tokens.values[late], tokens.connection[late], 12)
    assert np.array_equal(found.arrows[LATE], expected)


def test_both_directions_are_written_at_the_dose_of_the_own(subject, monkeypatch):
    """The toy hits all when early tokens get their own direction twice, late ones four times; the
    other's direction hits half."""
    study, wrote = Carrying(subject, SITE), []
    arrows, wanted = study.known.arrows, {EARLY: 2.0, LATE: 4.0}

    def write_at(trial, layer, at, push):
        half = EARLY if at.max() <= study.known.middle.last else LATE
        assert layer == 0 and (half == EARLY or at.min() > study.known.middle.last - 3)
        own, other = (push / wanted[half] for _ in range(2))
        is_own = np.allclose(own, arrows[half])
        is_other = np.allclose(other, arrows[LATE if half == EARLY else EARLY])
        wrote.append((half, trial.lists.n_connections, at.tolist()))
        n = np.full(len(trial.pairs), 4)
        return SimpleNamespace(
            n_affected=n, n_hit=n * is_own + n // 2 * is_other, n_unaffected=n, n_spill=0 * n
        )

    monkeypatch.setattr(carrying, "write_at", write_at)
    rows = tables.frame(study.measure(TWINS, TWINS, [1.0, 2.0, 4.0]), CarriedRow)
    tried = rows[rows.split == "validation"]
    assert (tried.written_at == tried.found_at).all() and len(tried) == 2 * 3 * len(TWINS)
    test = rows[rows.split == "test"]
    assert test.groupby("written_at").dose.unique().map(list).to_dict() == {EARLY: [2], LATE: [4]}
    share = test.groupby(["written_at", "found_at"]).n_hit.mean() / 4
    assert share[EARLY, EARLY] == share[LATE, LATE] == 1
    assert share[EARLY, LATE] == share[LATE, EARLY] == 0.5
    # c1 and <--> of every connection, once; the end of the list never
    for n in {n for _, n, _ in wrote}:
        parts = {half: at for half, m, at in wrote if m == n}
        every = [1 + 4 * nth + back for nth in range(n) for back in (0, 1)]
        assert sorted(parts[EARLY] + parts[LATE]) == every


def test_the_end_of_the_list_alone_has_no_halves(subject):
    only = WritingSite(0, (LIST_END,), TokenClass.C2)
    assert Carrying(subject, only).measure(TWINS, TWINS, [1.0]) == []
