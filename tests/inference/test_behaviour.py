"""Rollouts judged by hand-made walks."""

import numpy as np
import pytest
import torch
from toys import HOOK, LADDER, RING, batch, draw

from mazewm.inference import behaviour
from mazewm.inference.subject import Subject
from mazewm.maze.tokens import PATH_END, PATH_START, Vocabulary
from mazewm.model.transformer import Transformer, TransformerParams

END = -1


def judge_one(drawing, *cells):
    walked = np.full((1, 10), END, np.int16)
    walked[0, : len(cells)] = cells
    result = behaviour.judge(batch(drawing), walked)
    return bool(result.solved[0]), bool(result.valid[0])


@pytest.mark.parametrize(
    ("cells", "solved", "valid"),
    [
        ((3, 4, 5, 2), True, True),
        ((3, 0, 3, 4, 5, 2), False, True),  # a detour
        ((3, 4, 1, 4, 5, 2), False, True),
        ((3, 4, 5), False, False),  # stops early
        ((3,), False, False),
        ((), False, False),
        ((0, 3, 4, 5, 2), False, False),  # another origin
        ((4, 5, 2), False, False),
        ((3, 4, 1, 2), False, False),  # through a wall
        ((3, 5, 2), False, False),  # a jump
        ((3, 4, 5, 2, 5), False, False),  # does not stop
        ((3, 4, 4, 5, 2), False, False),  # stands still
        ((3, 4, 5, 2, -2), False, False),  # no cell, or no end
        ((-2,), False, False),
    ],
)
def test_walks_through_the_ladder(cells, solved, valid):
    assert judge_one(LADDER, *cells) == (solved, valid)


def test_a_walk_that_visits_every_cell():
    assert judge_one(HOOK, 0, 1, 2, 5, 8, 7, 6, 3, 4) == (True, True)


def test_the_other_shortest_path_of_a_ring_is_valid_but_not_the_path():
    path = tuple(cell for cell in batch(RING).path[0].tolist() if cell >= 0)
    other = {(0, 1, 3): (0, 2, 3), (0, 2, 3): (0, 1, 3)}[path]
    walked = np.array([[*path, -1, -1], [*other, -1, -1]], np.int16)
    result = behaviour.judge(batch(RING, RING), walked)
    assert result.solved.tolist() == [True, False]
    assert result.valid.tolist() == [True, True]


def test_walks_are_judged_by_their_own_maze():
    walked = np.full((2, 10), END, np.int16)
    walked[0, :9] = [0, 1, 2, 5, 8, 7, 6, 3, 4]
    walked[1, :4] = [3, 4, 5, 2]
    assert behaviour.judge(batch(HOOK, LADDER), walked).solved.tolist() == [True, True]
    assert behaviour.judge(batch(LADDER, HOOK), walked).valid.tolist() == [False, False]


class KnowsTheWay(Transformer):
    """Walks from each cell to the next of a table, or ends; reads the origin in the question."""

    def __init__(self, leads_to):
        vocabulary = Vocabulary(3)
        super().__init__(
            TransformerParams(n_layers=1, d_model=2, n_heads=1, d_mlp=1),
            "none",
            len(vocabulary),
            97,
        )
        self.first_cell = vocabulary.first_cell
        self.leads_to = leads_to

    def ask(self, prefix, tokens, layout, tap=None):
        assert layout.position.tolist() == list(range(len(prefix), len(prefix) + tokens.shape[1]))
        origin = tokens[:, 1].tolist()
        said = [
            [
                start
                if token == PATH_START
                else self.leads_to.get(token - self.first_cell, PATH_END)
                for token in row
            ]
            for start, row in zip(origin, tokens.tolist(), strict=True)
        ]
        return torch.nn.functional.one_hot(torch.tensor(said), self.d_vocab).float()


def model_of(*path):
    first = Vocabulary(3).first_cell
    return KnowsTheWay({a: b + first for a, b in zip(path, path[1:], strict=False)})


SHORT = draw("""
    o-o-T
        |
    o-O-o
        |
    o o-o
""")


def test_behave_puts_results_back_where_the_mazes_were():
    """Mazes of different lengths are spelled and walked apart, in batches smaller than the
    groups."""
    mazes = batch(HOOK, LADDER, SHORT, LADDER, HOOK, LADDER)
    result = behaviour.behave(Subject(model_of(3, 4, 5, 2), mazes, 0, 2))
    assert result.solved.tolist() == [False, True, True, True, False, True]
    assert result.valid.tolist() == [False, True, True, True, False, True]
    assert [cell for cell in result.cells[2].tolist() if cell >= 0] == [4, 5, 2]
    assert [cell for cell in result.cells[0].tolist() if cell >= 0] == [0]


def test_measure_makes_one_row_per_maze():
    subject = Subject(model_of(3, 4, 5, 2), batch(HOOK, LADDER), 0, 7)
    rows = behaviour.behaviour_rows(subject, "test")
    assert rows == [
        behaviour.BehaviourRow("test", 0, "drawn", 8, 9, False, False),
        behaviour.BehaviourRow("test", 1, "drawn", 7, 4, True, True),
    ]
