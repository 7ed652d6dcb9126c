"""Interchange with other libraries: with maze-dataset the same maze is the same text, the same
path, the same maze again; with TransformerLens and Hugging Face the same weights give the same
logits.
"""

import warnings

import numpy as np
import pytest
import torch

from benchmarks import counterparts
from mazewm.datasets import draw
from mazewm.maze import tokens
from mazewm.maze.lattice import lattice
from mazewm.model.positions import ENCODINGS
from mazewm.model.transformer import Transformer, TransformerParams

REASON = "{}, an optional peer, is not installed or does not import"
try:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from maze_dataset import SolvedMaze
        from maze_dataset.tokenization import MazeTokenizerModular, TokenizationMode
except ImportError:
    MazeTokenizerModular = None

# the libraries warn of their own deprecations
pytestmark = pytest.mark.filterwarnings("ignore::Warning")
with_mazes = pytest.mark.skipif(MazeTokenizerModular is None, reason=REASON.format("maze-dataset"))

N = 5
FAMILIES = {
    "sparse": draw.FamilyParams(generator="dfs", size=N, min_cells=6, max_cells=19, share=1.0),
    "loops": draw.FamilyParams(generator="percolation", size=N, p=0.6, share=1.0),
}


def connection_list(bits):
    """The library's ``[down | right, row, col]``."""
    theirs = np.zeros((2, N, N), bool)
    for a, b in lattice(N).ends[bits]:
        theirs[0 if b - a == N else 1, a // N, a % N] = True
    return theirs


def coordinates(cells):
    return [(int(cell) // N, int(cell) % N) for cell in cells if cell >= 0]


@pytest.fixture(scope="module", params=list(FAMILIES))
def pairs(request):
    """Our mazes beside the library's."""
    mazes = draw.draw(
        np.random.default_rng(0), lattice(N), request.param, FAMILIES[request.param], 211
    )[:61]
    rows = zip(mazes.connections, mazes.path, strict=True)
    theirs = [
        SolvedMaze(connection_list=connection_list(bits), solution=np.array(coordinates(path)))
        for bits, path in rows
    ]
    assert len(mazes) == 61
    return mazes, theirs


def cell_number(name):
    row, col = name.strip("()").split(",")
    return int(row) * N + int(col)


@with_mazes
@pytest.mark.parametrize("tokenizer", ["modular", "legacy"])
def test_the_same_maze_is_the_same_text(pairs, tokenizer):
    theirs_as = (
        MazeTokenizerModular()
        if tokenizer == "modular"
        else TokenizationMode.AOTP_UT_uniform.to_legacy_tokenizer(N)
    )
    for i, maze in enumerate(pairs[1]):
        words = maze.as_tokens(theirs_as)
        n = words.count(";")
        c1 = np.array(
            [cell_number(words[at]) for at in tokens.connection_positions(n, tokens.TokenClass.C1)]
        )
        c2 = np.array(
            [cell_number(words[at]) for at in tokens.connection_positions(n, tokens.TokenClass.C2)]
        )
        ours = tokens.encode_as(
            pairs[0][i : i + 1], lattice(N).connection_of[c1, c2][None], (c1 > c2)[None]
        )
        assert tokens.Vocabulary(N).text(ours.tokens[0]) == " ".join(words)


@with_mazes
def test_the_library_finds_the_same_path(pairs):
    for i, maze in enumerate(pairs[1]):
        path = coordinates(pairs[0].path[i])
        found = maze.find_shortest_path(path[0], path[-1])
        assert [tuple(map(int, cell)) for cell in found] == path
        assert maze.is_valid_path(np.array(path))


@with_mazes
def test_the_library_reads_our_text_as_the_same_maze(pairs):
    mazes, theirs = pairs
    legacy = TokenizationMode.AOTP_UT_uniform.to_legacy_tokenizer(N)
    rng = np.random.default_rng(0)
    for i, maze in enumerate(theirs):
        text = tokens.Vocabulary(N).text(tokens.encode(mazes[i : i + 1], rng).tokens[0])
        back = SolvedMaze.from_tokens(text.split(), legacy)
        # The library takes the largest coordinate that it meets for the size of the lattice.
        rows, cols = back.connection_list.shape[1:]
        outside = maze.connection_list.copy()
        outside[:, :rows, :cols] = False
        assert not outside.any()
        assert np.array_equal(back.connection_list, maze.connection_list[:, :rows, :cols])
        assert np.array_equal(back.solution, maze.solution)


@with_mazes
def test_every_word_of_ours_is_a_word_of_theirs():
    theirs = set(MazeTokenizerModular().token_arr)
    assert set(tokens.Vocabulary(N).names) <= theirs


@pytest.fixture(params=sorted(ENCODINGS))
def model(request):
    """A small transformer in which no weight is zero and no norm is the identity."""
    torch.manual_seed(0)
    shape = TransformerParams(n_layers=2, d_model=16, n_heads=4, d_mlp=24)
    made = Transformer(shape, request.param, d_vocab=len(tokens.Vocabulary(N)), n_ctx=60)
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.3 * torch.randn_like(weight)
    return made.eval()


def largest_difference(model, peer):
    drawn = torch.randint(model.d_vocab, (3, 50))
    with torch.no_grad():
        expected = model(drawn)
        return float((peer(drawn) - expected).abs().max()), float(expected.abs().max())


def test_the_same_weights_give_the_same_logits_in_transformer_lens(model):
    pytest.importorskip(
        "transformer_lens", reason=REASON.format("transformer-lens"), exc_type=ImportError
    )
    apart, size = largest_difference(model, counterparts.hooked(model).eval())
    assert apart < 1e-4 < size


def test_the_same_weights_give_the_same_logits_in_hugging_face(model):
    pytest.importorskip("transformers", reason=REASON.format("transformers"), exc_type=ImportError)
    if model.encoding_name in ("rotary", "alibi"):
        with pytest.raises(ValueError, match="positions"):
            counterparts.gpt2(model)
        return
    peer = counterparts.gpt2(model).eval()
    apart, size = largest_difference(model, lambda drawn: peer(drawn).logits)
    assert apart < 1e-4 < size
