"""Prompts are spelled as they should be: the edited maze, the maze with repetitions, and the maze
at later positions.
"""

from collections import Counter

import numpy as np
import pytest
import torch
from planted import trees
from toys import tiny

from mazewm.counterfactuals import examples
from mazewm.interventions import prompts
from mazewm.interventions.prompts import repeated, shifted, walk_prompt
from mazewm.maze.tokens import Vocabulary, encode, prompt_length

VOCABULARY = Vocabulary(3)
MAZES = examples.with_new_ends(trees(211), np.random.default_rng(1), 3)
SOME = examples.overload(MAZES, np.random.default_rng(0), 2, 19, 7)
RNG = np.random.default_rng


def pairs_of(encoded):
    """Which pairs of cells a list spells, and how often."""
    n, rest = divmod(len(encoded) - 2, 4)
    assert rest == 0
    return Counter(
        frozenset(int(encoded[at + 4 * k]) - VOCABULARY.first_cell for at in (1, 3))
        for k in range(n)
    )


def connections_of(bits):
    return {frozenset(int(cell) for cell in SOME.mazes.grid.ends[e]) for e in np.flatnonzero(bits)}


def test_repeated_mazes_say_nothing_new():
    encoded = repeated(SOME.mazes, 2, RNG(0))
    assert encoded.n_connections == 9 and encoded.prompt.shape == (19, prompt_length(9))
    twice = Counter()
    for prompt, bits, origin, target in zip(
        encoded.prompt, SOME.mazes.connections, SOME.mazes.origin, SOME.mazes.target, strict=True
    ):
        counted = pairs_of(prompt[:-7])
        assert (
            set(counted) == connections_of(bits) and sorted(counted.values()) == [1] * 5 + [2] * 2
        )
        assert (prompt[[-6, -3]] - VOCABULARY.first_cell).tolist() == [origin, target]
        twice.update(pair for pair, n in counted.items() if n == 2)
    assert len(twice) > 7, "not always the same"
    both = repeated(SOME.mazes, 7, RNG(0))
    assert all(set(pairs_of(row).values()) == {2} for row in both.lists)
    flips = both.is_flipped[np.arange(19)[:, None], np.argsort(both.order, axis=1)].reshape(
        19, 7, 2
    )
    assert 0.2 < (flips[..., 0] != flips[..., 1]).mean() < 0.8, (
        "a second time in a direction of its own"
    )


@pytest.mark.parametrize("encoding", ["learned", "sinusoidal"])
def test_a_shifted_model_reads_later_positions(encoding):
    model = tiny(encoding, d_vocab=len(VOCABULARY), n_ctx=73)
    prompt = torch.from_numpy(encode(SOME.mazes, RNG(0)).prompt)
    table, k = model.encoding.W_pos.clone(), 8
    moved = shifted(model, k)
    assert torch.equal(moved.encoding.W_pos[: 73 - k], table[k:]) and torch.equal(
        model.encoding.W_pos, table
    )
    for position in range(prompt.shape[1]):
        model.encoding.W_pos[position] = table[position + k]
    assert torch.equal(moved(prompt), model(prompt)) and not torch.equal(
        moved(prompt), shifted(model, 4)(prompt)
    )


@pytest.mark.parametrize("encoding", ["rotary", "alibi", "none"])
def test_encodings_of_offsets_are_not_shifted(encoding):
    model = tiny(encoding, d_vocab=len(VOCABULARY), n_ctx=73)
    assert shifted(model, 8) is model


def test_every_method_has_its_prompt(monkeypatch):
    seen, cells = [], np.zeros((19, 3), int)
    monkeypatch.setattr(prompts, "walk", lambda *given: seen.append(given) or cells)
    encoded = encode(SOME.mazes, RNG(0))
    counts = []
    for method in ("tokens", "repeated", "shifted"):
        model = tiny("learned", d_vocab=len(VOCABULARY), n_ctx=73)
        walked, n = walk_prompt(method, model, SOME, encoded, RNG(0))
        assert walked is cells
        counts.append(n)
        reader, mazes, lists = seen.pop()
        expected = SOME.edited if method == "tokens" else SOME.mazes
        assert mazes is expected
        assert all(
            set(pairs_of(row)) == connections_of(bits)
            for row, bits in zip(lists, expected.connections, strict=True)
        )
        assert (reader is model) == (method != "shifted")
        if method == "shifted":
            assert np.array_equal(lists, encoded.lists) and torch.equal(
                reader.encoding.W_pos[0], model.encoding.W_pos[8]
            )
    assert not seen
    assert counts == [9, 9, 7]
