"""Compression and distinction, with readers of which the answers are known and by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from readers import Reader, solver, through_walls
from toys import HOOK, LADDER, batch, draw, drawing_of, wanderer

from mazewm.inference.continuations import (
    Accepted,
    Prompts,
    Spelled,
    accepted_by,
    accepted_by_walker,
)
from mazewm.inference.kinds import CONNECTION, ORIGIN, SAME_STATE, SPELLING, TARGET
from mazewm.inference.states import StateRow, compare, measure_states, pairs_of
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.maze.tokens import PATH_END, Vocabulary, encode_questions

TREE = draw("""
    O-o-o
    |
    o o-o
    |   |
    T-o-o
""")
MIXED = batch(HOOK, LADDER, TREE, HOOK)  # LADDER has a cycle and fewer connections


def rows_of(model, mazes=MIXED, n=3):
    return pd.concat(measure_states(Subject(model, mazes, 0, 5), n, 0.01, "test"))


def test_a_solver_compresses_and_distinguishes_all():
    rows = rows_of(Reader(3, solver))
    assert set(rows.kind) == {SPELLING, ORIGIN, TARGET, CONNECTION}
    assert rows.is_right.all() and rows.is_likeliest_right.all()
    assert (rows.n_claimed == np.where(rows.kind.isin(SAME_STATE), 0, 1)).all()


def test_who_ignores_walls_compresses_and_takes_mazes_for_the_same():
    rows = rows_of(Reader(3, through_walls))
    of = rows.groupby("kind")
    assert of.is_right.mean()[SPELLING] == of.is_right.mean()[ORIGIN] == 1
    assert of.is_right.mean()[CONNECTION] == of.n_claimed.sum()[CONNECTION] == 0
    assert of.is_likeliest_right.mean()[CONNECTION] == 0
    assert 0 < of.is_right.mean()[TARGET] < 1


def test_who_accepts_everything_compresses_and_distinguishes_nothing():
    model = Reader(3, solver)
    model.forward = lambda tokens, *_: torch.zeros(*tokens.shape, model.d_vocab)
    rows = rows_of(model)
    is_same = rows.kind.isin(SAME_STATE)
    assert rows.is_right[is_same].all() and not rows.is_right[~is_same].any()
    assert not rows.n_claimed.any()


def cells_of(prompts):
    """The given cells, and the right continuation."""
    for row, n in zip(prompts.cells, prompts.n_given, strict=True):
        path = row[row >= 0].tolist()
        yield path[:n], path[n:]


def connections_in(grid, text):
    """The connections that a list names, by its tokens."""
    first = Vocabulary(grid.n).first_cell
    cells = [int(token) - first for token in text if token >= first]
    return {int(grid.connection_of[a, b]) for a, b in zip(cells[::2], cells[1::2], strict=True)}


def test_what_the_pairs_are():
    grid, n_of = MIXED.grid, {}
    for pairs in pairs_of(MIXED, 4, np.random.default_rng(0)):
        n_of[pairs.kind] = len(pairs.maze)
        together = zip(
            cells_of(pairs.first),
            cells_of(pairs.second),
            pairs.first.lists,
            pairs.second.lists,
            pairs.first.connections,
            pairs.second.connections,
            strict=True,
        )
        for (given, right), (other, other_right), *lists, bits, other_bits in together:
            for (a, b), text, there in zip(
                ((given, right), (other, other_right)), lists, (bits, other_bits), strict=True
            ):
                assert connections_in(grid, text) == set(np.flatnonzero(there).tolist())
                drawing = drawing_of(grid.n, there, a[0], (a + b)[-1])
                assert [drawing.number(cell) for cell in drawing.shortest_paths()[0]] == a + b
                assert len(drawing.shortest_paths()) == 1
            said = [text.tolist() for text in lists]
            if pairs.kind in SAME_STATE:
                assert given[-1] == other[-1] and right == other_right
                assert (bits == other_bits).all()
                assert (said[0] == said[1]) == (pairs.kind == ORIGIN)
                assert (len(given) > len(other)) == (pairs.kind == ORIGIN) and right
            else:
                assert given == other and right != other_right
                assert (bits != other_bits).sum() == (pairs.kind == CONNECTION)
                assert ((given + right)[-1] == (other + other_right)[-1]) == (
                    pairs.kind == CONNECTION
                )
    assert min(n_of.values()) >= 4, n_of


@pytest.mark.parametrize("encoding", ["learned", "rotary", "alibi"])
def test_accepted_tokens_are_those_of_one_prompt_at_a_time(encoding):
    model, grid = wanderer(encoding), MIXED.grid
    for pairs in pairs_of(MIXED, 3, np.random.default_rng(1)):
        found = accepted_by(model, grid, pairs.first, 0.05)
        for row, (given, right) in enumerate(cells_of(pairs.first)):
            text = [
                *pairs.first.lists[row],
                *encode_questions(grid, np.array(given[0]), np.array((given + right)[-1])),
                *(np.array(given) + 11),
            ]
            for point, token in enumerate([*(np.array(right, int) + 11), PATH_END]):
                share = model(torch.tensor([text]))[0, -1].softmax(dim=0)
                assert found.right[row, point] == token
                assert found.accepted[row, point].tolist() == (share > 0.05).tolist()
                assert found.likeliest[row, point] == share.argmax()
                text.append(token)
            assert not found.accepted[row, len(right) + 1 :].any()
    assert found.accepted.any()


def test_what_the_walker_accepts_by_hand():
    """At the origin of the ladder, both ways that lead nearer to the target; at the target, the
    end."""
    mazes = batch(LADDER)
    way = mazes.path[:1].astype(int)
    lists = Spelled.at_random(mazes.grid, mazes.connections, np.random.default_rng(0))
    prompts = Prompts(mazes.connections, lists.lists(np.array([0])), way, np.array([1]))
    right = accepted_by(Reader(3, solver), mazes.grid, prompts, 0.5).right
    found = accepted_by_walker(mazes.grid, prompts, right).accepted[0]
    assert (np.flatnonzero(found[0]) - 11).tolist() == [0, 4]
    assert np.flatnonzero(found[(right[0] > 0).sum() - 1]).tolist() == [PATH_END]


def test_the_comparison_by_hand():
    """Continuations that fork at their second token, accepted in part."""

    def side(right, *accepted):
        flags = np.zeros((1, len(right), 20), bool)
        for point, tokens in enumerate(accepted):
            flags[0, point, list(tokens)] = True
        likeliest = [min(tokens) for tokens in accepted]
        return Accepted(np.array([right]), flags, np.array([likeliest]))

    one, other = side([11, 12, 8], {11}, {12, 15}, {8}), side([11, 13, 8], {11}, {13, 14}, {8})
    assert [each.tolist() for each in compare(TARGET, one, other)] == [[True], [True], [2]]
    blurred = side([11, 13, 8], {11}, {12, 13}, {8})
    assert [each.tolist() for each in compare(TARGET, one, blurred)] == [[False], [False], [1]]
    assert [each.tolist() for each in compare(SPELLING, one, blurred)] == [[False], [True], [0]]
    assert [each.tolist() for each in compare(SPELLING, one, one)] == [[True], [True], [0]]


def test_without_a_maze_to_which_one_can_be_added():
    """All have as many connections as any, so no pair differs in one."""
    rows = rows_of(Reader(3, solver), batch(HOOK))
    assert set(rows.kind) == {SPELLING, ORIGIN, TARGET} and rows.is_right.all()


def test_rows_can_be_written(tmp_path):
    rows = rows_of(Reader(3, solver)).assign(model="trained")
    tables.write(tmp_path / "states.parquet", StateRow, dict(rows.items()))
    assert len(tables.read(tmp_path / "states.parquet", StateRow)) == len(rows)
