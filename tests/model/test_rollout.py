"""Greedy rollouts, with a scripted transformer and against a loop that has no cache."""

import numpy as np
import pytest
import torch
from toys import tiny, tokens

from mazewm.model.positions import ENCODINGS
from mazewm.model.rollout import rollout
from mazewm.model.sites import Place, Site
from mazewm.model.transformer import Transformer, TransformerParams
from mazewm.tokens import PADDING, PATH_END, PATH_START, Vocabulary

N = 2
CELL = Vocabulary(N).first_cell


class Scripted(Transformer):
    """Says the tokens of a script, one row per maze, and minds that each token it said is read back.

    Which row of the script a sequence follows is what it remembers in the cache, so that sequences that are done may be dropped.
    """

    def __init__(self, script):
        super().__init__(TransformerParams(n_layers=1, d_model=2, n_heads=1, d_mlp=1), "none", len(Vocabulary(N)), 53)
        self.script, self.step = script, 0

    def forward(self, ids, tap=None, past=None):
        now = torch.arange(len(ids)) if self.step == 0 else torch.zeros(len(ids))
        keys, _ = past.extend(0, *[now[:, None, None, None].expand(-1, 1, ids.shape[1], 2).float()] * 2)
        row = keys[:, 0, 0, 0].long()
        if self.step:
            assert torch.equal(ids[:, 0], self.script[row, self.step - 1])
        said = self.script[row, self.step]
        self.step += 1
        return torch.nn.functional.one_hot(said, self.d_vocab).float()[:, None].expand(-1, ids.shape[1], -1)


def walk(*scripts):
    length = max(map(len, scripts))
    script = torch.tensor([list(s) + [PADDING] * (length - len(s)) for s in scripts])
    return rollout(Scripted(script), torch.full((len(scripts), 7), PATH_START)).tolist()


def test_a_walk_ends_at_path_end():
    assert walk([CELL, CELL + 2, CELL + 3, PATH_END]) == [[0, 2, 3, -1, -1]]


def test_a_walk_that_is_done_waits_for_the_others():
    first, second = walk([CELL + 1, PATH_END], [CELL, CELL + 2, CELL + 3, CELL + 1, PATH_END])
    assert first == [1, -1, -1, -1, -1]
    assert second == [0, 2, 3, 1, -1]


def test_what_comes_after_the_end_is_not_read():
    assert walk([CELL, PATH_END, CELL + 1, CELL + 1, PATH_END], [CELL] * 4 + [PATH_END])[0] == [0, -1, -1, -1, -1]


def test_a_token_that_is_no_cell_breaks_the_walk():
    broken, whole = walk([CELL, PATH_START, CELL, CELL], [CELL, CELL + 1, CELL + 3, PATH_END])
    assert broken == [0, -2, -1, -1, -1]
    assert whole == [0, 1, 3, -1, -1]
    assert walk([PADDING]) == [[-2, -1, -1, -1, -1]]


def test_a_walk_that_never_ends_is_marked():
    endless, whole = walk([CELL, CELL + 1] * 3, [CELL, CELL + 1, PATH_END])
    assert endless == [0, 1, 0, 1, -2]
    assert whole == [0, 1, -1, -1, -1]


def test_an_immediate_end_is_an_empty_walk():
    assert walk([PATH_END]) == [[-1] * 5]


def without_cache(model, prompt, n_cells):
    """The same definition, with a full forward pass for every step."""
    rows = []
    for ids in prompt:
        row, ids = [], ids[None]
        for _ in range(n_cells + 1):
            said = int(model(ids)[0, -1].argmax())
            row.append(said - CELL if said >= CELL else -1 if said == PATH_END else -2)
            if said < CELL:
                break
            ids = torch.cat([ids, torch.tensor([[said]])], dim=1)
        row = row[: n_cells + 1]
        if len(row) == n_cells + 1 and row[-1] >= 0:
            row[-1] = -2
        rows.append(row + [-1] * (n_cells + 1 - len(row)))
    return rows


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_rollouts_equal_those_without_a_cache(encoding):
    model = tiny(encoding, d_vocab=20, n_ctx=31)
    with torch.no_grad():
        model.W_E *= 30  # what is read decides what is said next
        model.W_U[:, [i for i in range(11) if i != PATH_END]] = 0.0
    prompt = tokens(23, 11, 20)
    expected = without_cache(model, prompt, 9)
    found = rollout(model, prompt)
    assert found.tolist() == expected
    assert len(np.unique(found)) > 4


def test_the_taps_see_the_prompt_and_the_steps():
    model, prompts, steps = tiny("rotary", d_vocab=20, n_ctx=31), [], []
    rollout(
        model,
        tokens(3, 11, 20),
        lambda place, value: (prompts.append((place, value.shape)), value)[1],
        lambda place, value: (steps.append((place, value.shape)), value)[1],
    )
    read = [shape[1] for place, shape in prompts if place == Place(0, Site.RESID_PRE)]
    written = [shape[1] for place, shape in steps if place == Place(0, Site.RESID_PRE)]
    assert read == [11]
    assert written
    assert set(written) == {1}


def test_a_tap_on_the_prompt_steers_the_walk():
    model = tiny("learned", d_vocab=20, n_ctx=31)
    ids = tokens(23, 11, 20)

    def push(place, value):
        if place == Place(1, Site.RESID_POST):
            return value + 1000 * model.W_U[:, PATH_END] / model.W_U[:, PATH_END].norm()
        return value

    assert (rollout(model, ids)[:, 0] != -1).any()
    assert (rollout(model, ids, prompt_tap=push) == -1).all()
