"""Greedy rollouts, with a scripted transformer, and of many questions at once against a loop that
asks one and writes token by token.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from circuits.planted_circuit import trees
from toys import assert_walks_vary, walk_alone, wanderer

from mazewm.inference import rollout
from mazewm.inference.edits import Edit, Taps
from mazewm.inference.rollout import ask_all, questions_of, rollouts, rollouts_behind
from mazewm.maze.lattice import lattice
from mazewm.maze.tokens import ASKING, DELIMITER, PADDING, PATH_END, PATH_START, Vocabulary, encode
from mazewm.model.positions import ENCODINGS
from mazewm.model.reading import Prefix
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer, TransformerParams

N = 2
CELL = Vocabulary(N).first_cell
N_READ = 5  # tokens of a scripted model's lists


class Scripted(Transformer):
    """Says the tokens of a script of each maze and origin as long as it reads back what it said,
    and nonsense after anything else.

    Which maze a row is about is what it remembers in the prefix, so that rollouts that are done may
    be dropped."""

    def __init__(self, scripts):
        super().__init__(
            TransformerParams(n_layers=1, d_model=2, n_heads=1, d_mlp=1),
            "none",
            len(Vocabulary(N)),
            53,
        )
        self.scripts = scripts

    def ask(self, prefix, ids, layout, tap=None):
        assert ids.shape == (len(prefix.keys[0]), len(layout)) and len(prefix) == N_READ
        logits = torch.zeros(*ids.shape, self.d_vocab)
        for row, maze in enumerate(prefix.keys[0][:, 0, 0, 0].int().tolist()):
            for question in layout.question.unique():
                at = torch.nonzero(layout.question == question)[:, 0]
                assert layout.position[at].tolist() == list(range(N_READ, N_READ + len(at)))
                asked = ids[row, at].tolist()
                script = self.scripts[maze, asked[1] - CELL]
                for step in range(len(at) - ASKING + 1):
                    is_read_back = asked[ASKING : ASKING + step] == script[:step] and step < len(
                        script
                    )
                    logits[
                        row,
                        at[ASKING - 1 + step],
                        script[step] if is_read_back else CELL + 1 - step % 2,
                    ] = 1
        return logits


def prefix_of(n_mazes):
    return Prefix(
        *[[torch.arange(float(n_mazes))[:, None, None, None].expand(-1, 1, N_READ, 2)]] * 2
    )


def guesses_of(script):
    """None, the right one, too short and too long ones, and wrong ones from the first, a later or
    the last step on."""
    right = [token - CELL for token in script[:4] if token >= CELL]
    yield from (
        [],
        right,
        right[:1],
        (right + [2, 0, 1, 3])[:4],
        [3, 1, 0, 2],
        [*right[:1], 3, 1],
        [*right[:-1], 2],
    )


def walk(*scripts):
    """One question about each maze; what comes out is the same for every guess."""
    n, found = len(scripts), []
    ends = np.zeros((n, 1), int)
    for guesses in zip(*map(guesses_of, scripts), strict=True):
        guess = np.array([[[*cells, -1, -1, -1, -1][:4]] for cells in guesses], np.int16)
        asked = ask_all(lattice(N), np.ones((n, 4), bool), ends, ends + 3, guess)
        model = Scripted({(maze, 0): list(script) for maze, script in enumerate(scripts)})
        found.append(rollouts(model, prefix_of(n), asked)[:, 0].tolist())
    assert all(one == found[0] for one in found)
    return found[0]


def test_a_walk_ends_at_path_end():
    assert walk([CELL, CELL + 2, CELL + 3, PATH_END]) == [[0, 2, 3, -1, -1]]


def test_a_walk_that_is_done_waits_for_the_others():
    first, second = walk([CELL + 1, PATH_END], [CELL, CELL + 2, CELL + 3, CELL + 1, PATH_END])
    assert first == [1, -1, -1, -1, -1]
    assert second == [0, 2, 3, 1, -1]


def test_what_comes_after_the_end_is_not_read():
    assert walk([CELL, PATH_END, CELL + 1, CELL + 1, PATH_END], [CELL] * 4 + [PATH_END])[0] == [
        0,
        -1,
        -1,
        -1,
        -1,
    ]


@pytest.mark.parametrize("wrong", [PATH_START, PADDING, DELIMITER])
def test_a_token_that_is_no_cell_breaks_the_walk(wrong):
    broken, whole = walk([CELL, wrong, CELL, CELL], [CELL, CELL + 1, CELL + 3, PATH_END])
    assert broken == [0, -2, -1, -1, -1]
    assert whole == [0, 1, 3, -1, -1]
    assert walk([wrong]) == [[-2, -1, -1, -1, -1]]
    assert walk([CELL, CELL + 1] * 2 + [wrong]) == [[0, 1, 0, 1, -2]]


def test_a_walk_that_never_ends_is_marked():
    endless, whole = walk([CELL, CELL + 1] * 3, [CELL, CELL + 1, PATH_END])
    assert endless == [0, 1, 0, 1, -2]
    assert whole == [0, 1, -1, -1, -1]


def test_an_immediate_end_is_an_empty_walk():
    assert walk([PATH_END]) == [[-1] * 5]


@pytest.mark.parametrize("most_tokens", [1, 25, 256])
def test_every_question_of_every_maze_has_its_own_walk(monkeypatch, most_tokens):
    """However many are asked at once, and with guesses of different lengths."""
    monkeypatch.setattr(rollout, "MOST_TOKENS", most_tokens)
    rng = np.random.default_rng(0)
    cells = rng.integers(4, size=(3, 4, 4))
    lengths = rng.integers(5, size=(3, 4))
    scripts = {
        (maze, origin): [*(cells[maze, origin, : lengths[maze, origin]] + CELL).tolist(), PATH_END]
        for maze in range(3)
        for origin in range(4)
    }
    origins = np.array([[0, 1, 2, 3], [3, 1, 0, 2], [2, 3, 1, 0]])
    guess = np.where(
        np.arange(4) < rng.integers(5, size=(3, 4, 1)), rng.integers(4, size=(3, 4, 4)), -1
    )
    asked = ask_all(lattice(N), rng.random((3, 4)) < 0.7, origins, (origins + 1) % 4, guess)
    found = rollouts(Scripted(scripts), prefix_of(3), asked)
    for maze in range(3):
        for nth, origin in enumerate(origins[maze]):
            n = lengths[maze, origin]
            assert found[maze, nth].tolist() == [*cells[maze, origin, :n], *[-1] * (5 - n)]


MAZES = trees(61)
MAZES = MAZES[np.flatnonzero(MAZES.n_connections == 7)[:5]]
SPELLED = encode(MAZES, np.random.default_rng(0))
LISTS = torch.from_numpy(SPELLED.lists)
N_QUESTIONS = 5


def questions(how):
    """The maze's own question and four others, with guesses."""
    rng = np.random.default_rng(1)
    origin = np.concatenate(
        [MAZES.origin[:, None], rng.integers(9, size=(len(MAZES), N_QUESTIONS - 1))], axis=1
    )
    target = np.concatenate(
        [MAZES.target[:, None], rng.integers(9, size=(len(MAZES), N_QUESTIONS - 1))], axis=1
    )
    guess = rng.integers(9, size=(*origin.shape, 9))
    guess[np.arange(9) >= rng.integers(1, 10, size=(*origin.shape, 1))] = -1
    guess = {"random": guess, "none": np.full_like(guess, -1)}[how]
    return ask_all(MAZES.grid, MAZES.connections, origin, target, guess)


def one_by_one(model, asked, edits=()):
    texts = [
        [np.concatenate([row, one]) for one in ones]
        for row, ones in zip(SPELLED.lists, asked.asked, strict=True)
    ]
    return np.array([[walk_alone(model, text, edits) for text in texts_of] for texts_of in texts])


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_rollouts_are_those_of_asking_one_by_one_and_writing_token_by_token(encoding, monkeypatch):
    model, asked = wanderer(encoding), questions("random")
    expected = one_by_one(model, asked)
    assert_walks_vary(expected)
    prefix = model.read(LISTS)
    assert np.array_equal(rollouts(model, prefix, asked), expected)
    assert np.array_equal(rollouts(model, prefix, questions("none")), expected)
    right = ask_all(
        MAZES.grid,
        MAZES.connections,
        asked.asked[..., 1] - 11,
        asked.target,
        np.maximum(expected[..., :9], -1),
    )
    assert np.array_equal(rollouts(model, prefix, right), expected)
    assert np.array_equal(rollouts(model, prefix, questions_of(MAZES)), expected[:, :1])
    monkeypatch.setattr(rollout, "MOST_TOKENS", 40)  # two questions at once
    assert np.array_equal(rollouts(model, prefix, asked), expected)


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_rollouts_under_an_edit_of_every_token(encoding):
    """As when what an SAE makes of the residual stream flows on instead of it."""
    model, asked = wanderer(encoding), questions("random")
    matrix = torch.randn(30, 30, generator=torch.Generator().manual_seed(0))
    edit = Edit(Place(0, Site.RESID_POST), lambda x: x + (x @ matrix).relu() @ matrix.T / 50)
    expected = one_by_one(model, asked, [edit])
    assert_walks_vary(expected, 3, 5)
    tap = Taps([edit])
    found = rollouts(model, model.read(LISTS, tap), asked, lambda _: tap)
    assert np.array_equal(found, expected)
    assert (found != rollouts(model, model.read(LISTS), asked)).any(axis=2).mean() > 0.2


def test_each_tap_is_told_whose_rows_it_sees():
    """A tap that counts: every maze's rows, once for all questions and then as often as its walks
    are guessed anew."""
    model, asked, seen = wanderer("rotary"), questions("none"), []

    def tap_of(mazes):
        def tap(place, value):
            if place == Place(0, Site.RESID_PRE):
                assert len(value) == len(mazes)
                seen.append(mazes.tolist())
            return value

        return tap

    found = rollouts(model, model.read(LISTS), asked, tap_of)
    assert np.array_equal(found, rollouts(model, model.read(LISTS), asked))
    assert seen[0] == list(range(len(MAZES))) and len(seen) > 2
    assert all(0 <= maze < len(MAZES) for mazes in seen for maze in mazes)


@pytest.mark.parametrize("n_most", [1, 2, 5, 9, 10])
@pytest.mark.parametrize("how", ["random", "none"])
def test_no_more_cells_than_are_asked_for(n_most, how):
    """The first of the whole walk; one that goes on is not marked as endless."""
    model, asked = wanderer("rotary"), questions(how)
    whole = rollouts(model, model.read(LISTS), asked)
    found = rollouts(model, model.read(LISTS), replace(asked, n_most=n_most))
    expected = whole[..., :n_most]
    assert (
        found.shape == expected.shape
        and ((found == expected) | ((expected == -2) & (n_most == 10))).all()
    )
    assert n_most >= 9 or (whole[..., n_most] >= 0).any()


@pytest.mark.parametrize("most_waiting", [0, 300, 2**16])
def test_the_same_questions_behind_many_readings(monkeypatch, most_waiting):
    """Whether rollouts wait for those behind other readings or not, and where none waits; readings
    are asked for one by one."""
    monkeypatch.setattr(rollout, "MOST_WAITING", most_waiting)
    model, asked, seen = wanderer("rotary"), questions("random"), []
    edits = [
        Edit(Place(0, Site.RESID_POST), lambda x, nth=nth: x.roll(nth, dims=-1)) for nth in range(6)
    ]
    expected = [rollouts(model, model.read(LISTS, Taps([edit])), asked) for edit in edits]
    assert len({cells.tobytes() for cells in expected}) == len(edits)

    def readings():
        for edit in edits:
            seen.append(edit)
            yield model.read(LISTS, Taps([edit]))

    found = rollouts_behind(model, readings(), asked)
    assert seen == edits and len(found) == len(edits) and all(map(np.array_equal, found, expected))
    assert rollouts_behind(model, [], asked) == []
    right = ask_all(
        MAZES.grid,
        MAZES.connections,
        asked.asked[..., 1] - 11,
        asked.target,
        np.maximum(expected[0][..., :9], -1),
    )
    assert np.array_equal(rollouts_behind(model, readings(), right)[0], expected[0])


def test_an_edit_that_never_fires_is_an_error():
    model = wanderer("none")
    taps = Taps([Edit(Place(0, Site.Z), torch.clone), Edit(Place(2, Site.Z), torch.clone)])
    with pytest.raises(RuntimeError, match=r"never came to 2\.z"):
        rollouts(model, model.read(LISTS), questions("none"), lambda _: taps)
