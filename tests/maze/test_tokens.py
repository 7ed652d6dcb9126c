"""The spelling of mazes, letter by letter."""

import numpy as np
import pytest
from toys import HOOK, LADDER, RING, batch, draw

from mazewm.maze import tokens
from mazewm.maze.lattice import lattice
from mazewm.maze.tokens import CONNECTION_CLASSES, TokenClass, Vocabulary

CORNER = draw("""
    O o
    |
    o-T
""")


def cell(name):
    """``"(1,2)"`` -> (1, 2)."""
    row, col = name.strip("()").split(",")
    return int(row), int(col)


def decode(text):
    """Text back to (connections, origin, target, path), by splitting at the markers."""
    adjacency, rest = text.removeprefix("<ADJLIST_START>").split("<ADJLIST_END>")
    pairs = [
        tuple(part.split(" <--> "))
        for part in adjacency.strip().removesuffix(";").strip().split(" ; ")
    ]
    origin = rest.split("<ORIGIN_START>")[1].split("<ORIGIN_END>")[0].strip()
    target = rest.split("<TARGET_START>")[1].split("<TARGET_END>")[0].strip()
    path = rest.split("<PATH_START>")[1].split("<PATH_END>")[0].split()
    return pairs, origin, target, path


def test_letter_by_letter():
    mazes = batch(CORNER)
    vocabulary = Vocabulary(2)
    down, right = lattice(2).connection_of[0, 2], lattice(2).connection_of[2, 3]
    encoded = tokens.encode_as(mazes, np.array([[right, down]]), np.array([[True, False]]))
    assert vocabulary.text(encoded.tokens[0]) == (
        "<ADJLIST_START> (1,1) <--> (1,0) ; (0,0) <--> (1,0) ; <ADJLIST_END> <ORIGIN_START> (0,0) "
        "<ORIGIN_END> "
        "<TARGET_START> (1,1) <TARGET_END> <PATH_START> (0,0) (1,0) (1,1) <PATH_END>"
    )
    assert vocabulary.text(encoded.prompt[0]).endswith("<TARGET_END> <PATH_START>")
    assert encoded.prompt.shape[1] == tokens.prompt_length(2) == 17


def test_the_vocabulary_by_hand():
    vocabulary = Vocabulary(3)
    assert len(vocabulary) == 11 + 9 == len(vocabulary.names)
    assert vocabulary.names[vocabulary.first_cell + 5] == "(1,2)"
    assert vocabulary.names[tokens.PADDING] == "<PADDING>"
    assert vocabulary.names[tokens.PATH_END] == "<PATH_END>"
    assert vocabulary.names[tokens.DELIMITER] == ";"
    assert vocabulary.max_length == 1 + 4 * 12 + 8 + 9 + 1


def test_shorter_paths_are_padded():
    mazes = batch(
        LADDER,
        draw("""
        o-o o
        | | |
        O-T-o
          |
        o o o
    """),
    )
    encoded = tokens.encode(mazes, np.random.default_rng(0))
    assert encoded.tokens.shape[1] == tokens.prompt_length(7) + 4 + 1
    names = [Vocabulary(3).names[token] for token in encoded.tokens[1, tokens.prompt_length(7) :]]
    assert names == ["(1,0)", "(1,1)", "<PATH_END>", "<PADDING>", "<PADDING>"]


def many(drawing, n_mazes=97):
    mazes = batch(drawing)
    return mazes[np.zeros(n_mazes, int)]


@pytest.mark.parametrize("drawing", [HOOK, LADDER], ids=["hook", "ladder"])
def test_decoding_gives_the_maze_back(drawing):
    mazes = many(drawing)
    encoded = tokens.encode(mazes, np.random.default_rng(0))
    spellings = set()
    for row in encoded.tokens:
        pairs, origin, target, path = decode(Vocabulary(3).text(row))
        cells = [tuple(map(cell, pair)) for pair in pairs]
        assert len(pairs) == len(drawing.pairs)
        assert {frozenset(pair) for pair in cells} == drawing.pairs
        assert (cell(origin), cell(target)) == (drawing.origin, drawing.target)
        assert [list(map(cell, path))] == drawing.shortest_paths()
        spellings.add(tuple(pairs))
    assert len(spellings) == len(mazes)


def test_order_and_direction_are_random():
    encoded = tokens.encode(many(HOOK, 2003), np.random.default_rng(0))
    first = np.bincount(encoded.order[:, 0], minlength=12)
    open_ = first[HOOK.bits]
    assert first.sum() == open_.sum()
    sd = (2003 * (1 / 8) * (7 / 8)) ** 0.5
    assert np.abs(open_ - 2003 / 8).max() < 4 * sd
    assert np.abs(encoded.is_flipped.mean(axis=0) - 0.5).max() < 4 * 0.5 / 2003**0.5


def test_the_same_seed_spells_the_same():
    first, again, other = (
        tokens.encode(many(HOOK), np.random.default_rng(seed)).tokens for seed in (2, 2, 3)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_spelling_positions_find_the_cells_of_each_connection():
    encoded = tokens.encode(many(LADDER), np.random.default_rng(0))
    vocabulary, n = Vocabulary(3), encoded.n_connections
    assert n == 7
    assert (
        encoded.tokens[:, tokens.connection_positions(n, TokenClass.CONNECTOR)] == tokens.CONNECTOR
    ).all()
    assert (
        encoded.tokens[:, tokens.connection_positions(n, TokenClass.DELIMITER)] == tokens.DELIMITER
    ).all()
    c1 = encoded.tokens[:, tokens.connection_positions(n, TokenClass.C1)] - vocabulary.first_cell
    c2 = encoded.tokens[:, tokens.connection_positions(n, TokenClass.C2)] - vocabulary.first_cell
    assert np.array_equal(lattice(3).connection_of[c1, c2], encoded.order)
    assert np.array_equal(c1 > c2, encoded.is_flipped)


def test_token_classes_by_hand():
    c1, connector, c2, delimiter = CONNECTION_CLASSES
    frame, path = TokenClass.FRAME, TokenClass.PATH
    expected = [
        frame,
        c1,
        connector,
        c2,
        delimiter,
        c1,
        connector,
        c2,
        delimiter,
        *[frame] * 8,
        path,
        path,
        path,
    ]
    assert tokens.token_classes(2, 20) == expected
    assert tokens.token_classes(2, 3) == expected[:3]


def test_token_classes_agree_with_the_tokens():
    encoded = tokens.encode(batch(RING), np.random.default_rng(0))
    classes = tokens.token_classes(4, encoded.tokens.shape[1])
    names = [Vocabulary(2).names[token] for token in encoded.tokens[0]]
    for position, (name, token_class) in enumerate(zip(names, classes, strict=True)):
        assert (token_class == TokenClass.DELIMITER) == (name == ";")
        assert (token_class == TokenClass.CONNECTOR) == (name == "<-->")
        assert (token_class == TokenClass.PATH) == (position > names.index("<PATH_START>"))
    for token_class in CONNECTION_CLASSES:
        at = [position for position, c in enumerate(classes) if c == token_class]
        assert tokens.connection_positions(4, token_class).tolist() == at


def test_a_spelling_that_does_not_name_the_maze_is_what_it_was_told():
    """``encode_as`` writes the order that it is given, whichever maze it is: interventions on
    tokens rely on it."""
    mazes = batch(CORNER)
    encoded = tokens.encode_as(mazes, np.array([[0, 1, 2]]), np.zeros((1, 3), bool))
    assert (
        Vocabulary(2)
        .text(encoded.tokens[0])
        .startswith(
            "<ADJLIST_START> (0,0) <--> (1,0) ; (0,1) <--> (1,1) ; (0,0) <--> (0,1) ; <ADJLIST_END>"
        )
    )
