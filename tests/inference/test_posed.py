"""Comparing answers with expected paths in one pass, against rollouts that write them token by
token.
"""

import numpy as np
import pytest
import torch
from circuits.planted_circuit import trees
from toys import tiny, wanderer

from mazewm.inference import posed
from mazewm.inference.edits import Edit, Taps, add_at
from mazewm.inference.posed import Compared, Posed
from mazewm.inference.resuming import ReadLists
from mazewm.inference.rollout import Questions, ask_all, rollouts
from mazewm.maze.lattice import lattice
from mazewm.maze.routes import routes
from mazewm.maze.tokens import PATH_END, Asking, Vocabulary, encode
from mazewm.model.positions import ENCODINGS
from mazewm.model.reading import Prefix
from mazewm.model.sites import Place, Site

MAZES = trees(97)
MAZES = MAZES[np.flatnonzero(MAZES.n_connections == 8)[:11]]  # all cells are mentioned
LISTS = encode(MAZES, np.random.default_rng(0)).lists
AT = torch.randint(LISTS.shape[1], (11, 5), generator=torch.Generator().manual_seed(1))
NOISE = 3 * torch.randn(11, 5, 30, generator=torch.Generator().manual_seed(2))
ORIGIN, TARGET = (np.tile(cells, (11, 1)) for cells in np.nonzero(~np.eye(9, dtype=bool)))
CELL = Vocabulary(3).first_cell


def edit_after(layer: int) -> Edit:
    return add_at(Place(layer, Site.RESID_POST), AT, lambda here: NOISE)


def asking(guess: np.ndarray) -> Questions:
    return ask_all(MAZES.grid, MAZES.connections, ORIGIN, TARGET, guess)


def some_of_each(kinds: list[np.ndarray]) -> np.ndarray:
    """Expected paths of several kinds in turn; each is at most 8 cells, of which one is the
    first."""
    path = kinds[0].copy()
    for nth, kind in enumerate(kinds):
        is_it = (np.arange(72) + np.arange(11)[:, None]) % len(kinds) == nth
        path[is_it] = kind[is_it]
    is_broken = (path == -2).any(axis=2) | (path[:, :, 8] >= 0) | (path[:, :, 0] < 0)
    path[is_broken] = -1
    path[:, :, 0] = np.where(is_broken, ORIGIN, path[:, :, 0])
    return path[:, :, :9]


def expected(path: np.ndarray, written: np.ndarray) -> tuple[np.ndarray, ...]:
    """``agrees``, ``n_right`` and ``instead`` of each question, by going through the cells."""
    agrees, n_right, instead = np.zeros((11, 72), bool), np.zeros((11, 72), int), []
    for maze, question in np.ndindex(11, 72):
        cells = [cell for cell in path[maze, question] if cell >= 0]
        says = written[maze, question].tolist()
        same = [a == b for a, b in zip([*cells, -1], says, strict=False)]
        agrees[maze, question] = all(same)
        n_right[maze, question] = len(cells) if all(same) else same.index(False)
        instead.append(-1 if all(same) else says[same.index(False)])
    return agrees, n_right, np.array(instead).reshape(11, 72)


def one_step(model, edit: Edit | None) -> torch.Tensor:
    """The probabilities of the token after the origin, from a forward pass over each prompt."""
    asked = asking(ORIGIN[:, :, None]).asked
    rows = np.repeat(np.arange(11), 72)
    tokens = np.concatenate(
        [LISTS[rows], asked.reshape(len(rows), -1), ORIGIN.reshape(-1, 1) + CELL], axis=1
    )
    taps = None
    if edit is not None:
        taps = Taps([add_at(edit.place, AT[rows], lambda here: NOISE[rows])])
    with torch.inference_mode():
        logits = model(torch.from_numpy(tokens), taps)
    return logits[:, -1].softmax(dim=-1).reshape(11, 72, -1)


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_answers_are_those_of_rollouts(encoding):
    model = wanderer(encoding)
    read = ReadLists.of(model, LISTS, {0, 1})
    prefixes = {0: read.edited(edit_after(0)), 1: read.edited(edit_after(1)), None: read.prefix}
    ways = routes(MAZES.grid, MAZES.connections).paths(ORIGIN, TARGET)
    shortest = np.full((11, 72, 10), -1, np.int16)
    shortest[:, :, : ways.shape[2]] = ways
    alone = np.full_like(shortest, -1)
    written = {
        layer: rollouts(model, prefix, asking(shortest[:, :, :9]))
        for layer, prefix in prefixes.items()
    }
    path = some_of_each([written[None], written[0], shortest, alone])
    lengths = (path >= 0).sum(axis=2)
    assert len(np.unique(lengths)) >= 5 and (lengths == 1).sum() > 200
    answers = Posed.of(read, asking(path), {0, 1})
    for layer, prefix in prefixes.items():
        found = answers.compare(prefix, layer or 0)
        agrees, n_right, instead = expected(path, written[layer])
        assert np.array_equal(found.agrees, agrees) and 0 < agrees.sum() < 700
        assert np.array_equal(found.n_right, n_right) and len(np.unique(n_right)) >= 3
        assert np.array_equal(found.instead, instead) and len(np.unique(instead)) >= 5
        share = one_step(model, None if layer is None else edit_after(layer))
        to_target = share.gather(2, torch.from_numpy(TARGET + CELL)[:, :, None])[:, :, 0]
        at_origin = path[:, :, 0] == ORIGIN
        assert at_origin.mean() > 0.4 and to_target.std() > 0.01
        assert np.allclose(found.straight[at_origin], to_target.numpy()[at_origin], atol=1e-5)
        is_likeliest = (share.argmax(dim=-1) == torch.from_numpy(TARGET + CELL)).numpy()
        assert np.array_equal(found.is_straight[at_origin], is_likeliest[at_origin])
    assert not np.array_equal(written[0], written[None])


def of_rotary() -> tuple[ReadLists, np.ndarray, Prefix, Compared]:
    """Lists that a model has read, the paths expected, the edited prefix, and all answers."""
    model = wanderer("rotary")
    read = ReadLists.of(model, LISTS, {0, 1})
    written = rollouts(model, read.prefix, asking(ORIGIN[:, :, None]))
    path = some_of_each([written, np.full_like(written, -1)])
    prefix = read.edited(edit_after(0))
    usual = Posed.of(read, asking(path), {0}).compare(prefix, 0)
    return read, path, prefix, usual


@pytest.mark.parametrize("n_tokens", [1, 1000])
def test_how_many_questions_share_a_row_changes_nothing(monkeypatch, n_tokens):
    read, path, prefix, usual = of_rotary()
    monkeypatch.setattr(posed, "MOST_TOKENS", n_tokens)
    other = Posed.of(read, asking(path), {0}).compare(prefix, 0)
    for name, a, b in zip(Compared._fields, usual, other, strict=True):
        assert np.allclose(a, b, atol=1e-5), name


def test_of_some_questions_only_theirs_are_answered():
    """As if all were asked; a maze may have none."""
    read, path, prefix, usual = of_rotary()
    is_asked = np.random.default_rng(0).random((11, 72)) < 0.3
    is_asked[4] = False
    some = Posed.of(read, asking(path), {0}, is_asked).compare(prefix, 0)
    for name, a, b in zip(Compared._fields, usual, some, strict=True):
        assert np.allclose(a[is_asked], b[is_asked], atol=1e-5), name
    assert not some.agrees[~is_asked].any() and not some.straight[~is_asked].any()
    nothing = Posed.of(read, asking(path), {0}, np.zeros_like(is_asked)).compare(prefix, 0)
    assert not nothing.agrees.any() and not nothing.is_straight.any()


def test_a_model_that_always_ends_agrees_with_the_origin_alone_only():
    """Its answers after one cell are known: it repeats what it is given first, and ends."""
    model = tiny("none", len(Vocabulary(3)), Vocabulary(3).max_length)
    model.silence()
    model.W_U.zero_()
    model.W_E.zero_()
    model.W_E[:, 0], model.W_E[:, 1] = 1.0, -1.0  # after LayerNorm too, every token is the same
    model.W_U[0, PATH_END] = 1.0
    read = ReadLists.of(model, LISTS[:1], {0})
    guess = np.array([[[0, -1, -1], [0, 1, 2]]])
    asked = ask_all(
        lattice(3), MAZES.connections[:1], np.array([[0, 0]]), np.array([[1, 2]]), guess
    )
    found = Posed.of(read, asked, {0}).compare(read.prefix, 0)
    assert found.n_right.tolist() == [[0, 0]] and found.instead.tolist() == [[-1, -1]]
    assert not found.agrees.any() and not found.is_straight.any()
    assert found.straight[0, 0] == found.straight[0, 1] < 0.05


@pytest.mark.parametrize("token", [Asking.ORIGIN, Asking.TARGET, Asking.TARGET_END, Asking(6)])
def test_what_is_added_at_tokens_of_the_question_reaches_every_answer(token):
    """As in a forward pass over each prompt alone with the same added."""
    read, path, prefix, _ = of_rotary()
    push = 3 * torch.randn(11, 30, generator=torch.Generator().manual_seed(3))
    found = Posed.of(read, asking(path), {0}).compare(read.prefix, 0, {token: push})
    rows, asked = np.repeat(np.arange(11), 72), asking(ORIGIN[:, :, None]).asked
    tokens = np.concatenate(
        [LISTS[rows], asked.reshape(len(rows), -1), ORIGIN.reshape(-1, 1) + CELL], axis=1
    )
    at = torch.full((len(rows), 1), LISTS.shape[1] + int(token))
    edit = add_at(Place(0, Site.RESID_POST), at, lambda here: push[rows][:, None])
    with torch.inference_mode():
        logits = read.model(torch.from_numpy(tokens), Taps([edit]))[:, -1]
        plain = read.model(torch.from_numpy(tokens))[:, -1]
    target = torch.from_numpy(TARGET + CELL).reshape(-1, 1)
    share, usual = (x.softmax(dim=-1).gather(1, target).reshape(11, 72) for x in (logits, plain))
    at_origin = path[:, :, 0] == ORIGIN
    assert np.allclose(found.straight[at_origin], share.numpy()[at_origin], atol=1e-5)
    assert not np.allclose(usual, share, atol=1e-3)
