"""Other orders and directions of a list, with readers whose mistakes depend on one of them."""

import numpy as np
import pandas as pd
import pytest
from readers import Reader, solver
from toys import HOOK, LADDER, batch, tiny

from mazewm.inference.kinds import BOTH, DIRECTIONS, ORDER
from mazewm.inference.spellings import SpellingRow, measure_spellings, respelled
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.maze.tokens import encode

MAZES = batch(*[LADDER] * 4, *[HOOK] * 8)


def rows_of(ignores=lambda pairs: False, n=16, n_apart=99, mazes=MAZES):
    model = Reader(3, solver, ignores)
    return pd.concat(measure_spellings(Subject(model, mazes, 0, 50), n, n_apart, "test"))


def test_a_solver_solves_all_spellings(tmp_path):
    rows = rows_of(n=3)
    assert set(rows.kind) == {BOTH, ORDER, DIRECTIONS} and len(rows) == 3 * len(MAZES)
    assert (rows.n_solved == 3).all() and (rows.n == 3).all()
    tables.write(tmp_path / "spellings.parquet", SpellingRow, dict(rows.items()))
    assert len(tables.read(tmp_path / "spellings.parquet", SpellingRow)) == len(rows)


def test_a_mistake_of_directions_is_one_of_directions():
    """Confused if the connection of (0,0) and (0,1) is flipped: half of the time where directions
    are drawn, and never where only the order is."""
    rows = rows_of(lambda pairs: ((0, 1), (0, 0)) in pairs)
    solved = rows.groupby("kind")[["n_solved", "n"]].sum()
    share = solved.n_solved / solved.n
    assert share[ORDER] == 1
    assert share[DIRECTIONS] == pytest.approx(0.5, abs=0.2)
    assert share[BOTH] == pytest.approx(0.5, abs=0.2)


def test_a_mistake_of_order_is_one_of_order():
    """Confused if (0,0) is in the connection that comes first, however it is flipped."""
    rows = rows_of(lambda pairs: (0, 0) in pairs[0])
    solved = rows.groupby("kind")[["n_solved", "n"]].sum()
    share = solved.n_solved / solved.n
    assert share[DIRECTIONS] == 1
    assert 0.5 < share[ORDER] < 1 and 0.5 < share[BOTH] < 1


def test_only_mazes_that_are_solved_count():
    rows = rows_of(lambda pairs: len(pairs) == 8, n=2)
    n = MAZES.n_connections
    assert set(rows.maze_id) == set(MAZES.maze_id[n != 8].tolist())
    assert (n == 8).any() and (n != 8).any()


def test_apart_only_for_the_first_mazes():
    rows = rows_of(n=1, n_apart=5)
    assert sorted(rows[rows.kind == ORDER].maze_id) == [0, 1, 2, 3, 4]
    assert len(rows[rows.kind == BOTH]) == len(MAZES)


def test_without_a_solved_maze_there_are_no_rows(tmp_path):
    model = tiny("none", 20, 90)
    rows = pd.concat(measure_spellings(Subject(model, MAZES, 0, 50), 2, 5, "test"))
    assert rows.empty
    tables.write(tmp_path / "spellings.parquet", SpellingRow, dict(rows.items()))


@pytest.mark.parametrize("kind", [ORDER, DIRECTIONS, BOTH])
def test_what_is_drawn_anew(kind):
    mazes = batch(*[HOOK] * 30)
    encoded, rows = encode(mazes, np.random.default_rng(0)), np.arange(30)[::2]
    again = respelled(mazes[rows], encoded, rows, kind, np.random.default_rng(1))
    assert (np.sort(again.order, axis=1) == np.sort(encoded.order[rows], axis=1)).all()
    assert (again.order != encoded.order[rows]).any() == (kind != DIRECTIONS)
    flips = [
        {(e, bool(f)) for e, f in zip(*each, strict=True)}
        for each in zip(again.order, again.is_flipped, strict=True)
    ]
    before = [
        {(e, bool(f)) for e, f in zip(*each, strict=True)}
        for each in zip(encoded.order[rows], encoded.is_flipped[rows], strict=True)
    ]
    assert (flips != before) == (kind != ORDER)
