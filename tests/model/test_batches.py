"""Batches: functions of the seed and their number, which read every maze, with questions that have
one answer each.
"""

from collections import Counter

import numpy as np
import pytest
import torch
from planted import trees
from toys import drawing_of

from mazewm.datasets import draw
from mazewm.maze.lattice import lattice
from mazewm.maze.tokens import (
    ASKING,
    ORIGIN_START,
    PADDING,
    PATH_END,
    PATH_START,
    Vocabulary,
    encode_questions,
    list_length,
)
from mazewm.model.batches import N_AHEAD, Batches, ahead

CELL, GRID = Vocabulary(3).first_cell, lattice(3)
MAZES = trees(61)
CPU = torch.device("cpu")


def same(one, other):
    return all(
        a.shape == b.shape and torch.equal(a, b)
        for a, b in zip(
            (*one[:3], one.layout.position, one.layout.question),
            (*other[:3], other.layout.position, other.layout.question),
            strict=True,
        )
    )


def bits_of(batch, grid=GRID):
    """The connections that each list spells, each once."""
    ends = batch.lists[:, 1:-1].reshape(len(batch.lists), -1, 4)[:, :, [0, 2]].numpy() - CELL
    bits = np.zeros((len(ends), grid.n_connections), int)
    np.add.at(
        bits, (np.arange(len(ends))[:, None], grid.connection_of[ends[..., 0], ends[..., 1]]), 1
    )
    assert bits.max() == 1
    return bits.astype(bool)


def questions_of(batch):
    """The tokens of each question of each row, path included: [question] of [row, token]."""
    question = batch.layout.question[batch.lists.shape[1] :]
    for number in range(int(question.max()) + 1):
        at = torch.nonzero(question == number)[:, 0]
        assert torch.equal(batch.questions[:, at[1:]], batch.wanted[:, at[:-1]])
        yield torch.cat([batch.questions[:, at], batch.wanted[:, at[-1:]]], dim=1).numpy()


def test_a_batch_is_a_function_of_the_seed_and_its_number():
    one, other = Batches(MAZES, 5, 4, 0), Batches(MAZES, 5, 4, 0)
    numbers = [0, 1, 2, 29, 3, 1, 0]
    in_this_order = {i: one[i] for i in numbers}
    for i in sorted(numbers, reverse=True):
        assert same(other[i], in_this_order[i])
    assert not same(in_this_order[0], in_this_order[1])
    assert not same(Batches(MAZES, 5, 4, 1)[0], in_this_order[0])


def test_a_moved_batch_differs_in_positions_only():
    plain, moved, starts = Batches(MAZES, 5, 4, 0), Batches(MAZES, 5, 4, 0, most_offset=9), set()
    for i in range(40):
        one, other = plain[i], moved[i]
        start = int(other.layout.position[0])
        starts.add(start)
        assert torch.equal(other.layout.position, one.layout.position + start)
        assert torch.equal(other.is_path, one.is_path)
        assert all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))
    assert starts == set(range(10))


@pytest.mark.parametrize("n_questions", [1, 4])
def test_a_batch_holds_mazes_with_equally_many_connections_and_questions_with_one_answer(
    n_questions,
):
    """Each answer is the one shortest path that a search of the drawing finds; paths of a question
    are padded to the longest."""
    batches, lengths = Batches(MAZES, 7, n_questions, 0), set()
    for i in range(batches.per_epoch):
        batch = batches[i]
        bits = bits_of(batch)
        n = batch.lists.shape[1]
        assert (
            n == list_length(int(bits[0].sum()))
            and len(batch.layout) == n + batch.questions.shape[1]
        )
        asked = list(questions_of(batch))
        assert len(asked) == n_questions
        for tokens in asked:
            assert (tokens[:, [0, ASKING - 1]] == [ORIGIN_START, PATH_START]).all()
            assert np.array_equal(
                tokens[:, :ASKING], encode_questions(GRID, tokens[:, 1] - CELL, tokens[:, 4] - CELL)
            )
            n_tokens = (tokens != PADDING).sum(axis=1)
            assert n_tokens.max() == tokens.shape[1]
            for row, connections, length in zip(tokens, bits, n_tokens, strict=True):
                [path] = drawing_of(3, connections, row[1] - CELL, row[4] - CELL).shortest_paths()
                assert row[1] != row[4] and row[ASKING:length].tolist() == [
                    *(3 * r + c + CELL for r, c in path),
                    PATH_END,
                ]
                lengths.add(len(path))
        for row in range(len(bits)):
            assert len({tuple(tokens[row, :ASKING]) for tokens in asked}) == n_questions, (
                "none is asked twice"
            )
    assert len(lengths) > 3


def test_the_questions_of_a_row_stand_in_order_of_their_length():
    """So that those in one place, which are padded to the longest of them, are about equally
    long."""
    for i in range(5):
        n_tokens = np.stack(
            [(tokens != PADDING).sum(axis=1) for tokens in questions_of(Batches(MAZES, 7, 4, 0)[i])]
        )
        assert (np.diff(n_tokens, axis=0) >= 0).all() and len(np.unique(n_tokens)) > 2


@pytest.mark.parametrize("batch_size", [3, 7, 53])
def test_every_epoch_reads_every_maze(batch_size):
    """Also where there are fewer mazes with some number of connections than a batch holds; no maze
    is read more often than that needs."""
    _, first = np.unique(MAZES.connections, axis=0, return_index=True)
    few = np.flatnonzero(MAZES.n_connections[first] == MAZES.n_connections.min())
    distinct = MAZES[np.delete(first, few[2:])]
    groups = [len(index) for index in distinct.by_n_connections().values()]
    assert min(groups) == 2 and any(n % batch_size for n in groups)
    batches = Batches(distinct, batch_size, 1, 0)
    assert batches.per_epoch == sum(-(-n // batch_size) for n in groups)
    everything = sorted(row.tobytes() for row in distinct.connections)
    epochs = []
    for epoch in range(2):
        read = [bits_of(batches[epoch * batches.per_epoch + i]) for i in range(batches.per_epoch)]
        counts = Counter(row.tobytes() for bits in read for row in bits)
        assert sorted(counts) == everything
        most = {
            int(n): -(-(-(-size // batch_size) * batch_size) // size)
            for n, size in zip(distinct.by_n_connections(), groups, strict=True)
        }
        assert all(count <= most[sum(name)] for name, count in counts.items())
        epochs.append([bits.tobytes() for bits in read])
    assert epochs[0] != epochs[1]


def test_each_epoch_spells_and_asks_anew():
    same_maze = Batches(MAZES[np.zeros(11, int)], 11, 4, 0)
    assert same_maze.per_epoch == 1
    assert not torch.equal(same_maze[0].lists, same_maze[1].lists)
    asked = [
        {tuple(row) for tokens in questions_of(same_maze[i]) for row in tokens.tolist()}
        for i in range(2)
    ]
    assert asked[0] != asked[1]


def test_batches_come_ahead_in_their_order():
    batches = Batches(MAZES, 5, 4, 3)
    last = 2 * N_AHEAD + 3
    came = list(ahead(batches, 2, last, CPU))
    assert len(came) == last - 2
    for i, one in enumerate(came, 2):
        assert same(one, Batches(MAZES, 5, 4, 3)[i])
    assert list(ahead(batches, 4, 4, CPU)) == []


def test_rows_are_those_of_the_batch():
    batch = Batches(MAZES, 5, 4, 0)[0]
    part = batch.rows(1, 3)
    assert torch.equal(part.lists, batch.lists[1:3]) and torch.equal(part.wanted, batch.wanted[1:3])
    assert torch.equal(part.questions, batch.questions[1:3]) and part.layout is batch.layout
    assert part.n_path_tokens.tolist() == batch.n_path_tokens.tolist()[1:3]


def test_the_longest_batch_has_most_connections():
    batch = Batches(MAZES, 5, 4, 0).longest(3)
    assert batch.lists.shape == (3, list_length(int(MAZES.n_connections.max())))


@pytest.mark.parametrize("batch_size", [7, 32, 200])
def test_percolation_mazes_of_every_length_are_read(batch_size):
    """A few mazes of each number of connections, so that no number fills a batch."""
    family = draw.FamilyParams(generator="percolation", size=4, p=0.4, share=1.0)
    mazes = draw.draw(np.random.default_rng(0), lattice(4), "open", family, 300)[:100]
    assert len(mazes) == 100 and len(mazes.by_n_connections()) >= 7
    batches = Batches(mazes, batch_size, 2, 0)
    read = [bits_of(batches[i], mazes.grid) for i in range(batches.per_epoch)]
    assert all(len(bits) == batch_size for bits in read)
    everything = {row.tobytes() for row in mazes.connections}
    assert {row.tobytes() for bits in read for row in bits} == everything
