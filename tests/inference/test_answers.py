"""All questions of a maze: asked, judged and compared with the blind walker."""

from itertools import permutations

import numpy as np
import pytest
import torch
from toys import BRIDGE, HOOK, LADDER, RING, WANDERERS, batch, draw, wanderer

from mazewm.inference.answers import (
    AnswerRow,
    Answers,
    BeliefRow,
    judged,
    measure_answers,
)
from mazewm.inference.asking import beliefs, every_question, of_one_size
from mazewm.inference.behaviour import walk
from mazewm.inference.random_walkers import random_chance
from mazewm.inference.subject import Subject
from mazewm.inference.walkers import blind_chance, near_sighted_chance
from mazewm.io import tables
from mazewm.maze.mazes import Mazes
from mazewm.maze.tokens import Vocabulary, encode, encode_questions
from mazewm.maze.truths import touched_cells


@pytest.mark.parametrize("drawing", [HOOK, LADDER, RING, BRIDGE])
def test_every_pair_of_mentioned_cells_is_asked_in_both_directions(drawing):
    mazes = batch(drawing)
    questions = every_question(mazes)
    there = np.flatnonzero(touched_cells(mazes.grid, mazes.connections)[0])
    asked = zip(questions.guess[0, :, 0], questions.target[0], strict=True)
    assert sorted((int(a), int(b)) for a, b in asked) == sorted(permutations(there.tolist(), 2))
    lengths = (questions.guess[0] >= 0).sum(axis=1) - 1
    distance = questions.ways.distance[0, questions.guess[0, :, 0], questions.target[0]]
    assert lengths.tolist() == distance.tolist()


def straight_ways(n, origin, target):
    """All shortest paths of an n x n lattice, by trying every order of the steps."""
    (r, c), (row, col) = divmod(origin, n), divmod(target, n)
    steps = [("row", np.sign(row - r))] * abs(row - r) + [("col", np.sign(col - c))] * abs(col - c)
    ways = set()
    for order in set(permutations(steps)):
        at, way = {"row": r, "col": c}, [origin]
        for axis, step in order:
            at[axis] += step
            way.append(int(at["row"] * n + at["col"]))
        ways.add(tuple(way))
    return ways


@pytest.mark.parametrize("drawing", [HOOK, LADDER, BRIDGE])
def test_the_blind_walkers_chance_is_one_of_all_straight_ways(drawing):
    mazes = batch(drawing)
    guess = every_question(mazes).guess
    for path, chance in zip(guess[0], blind_chance(mazes.grid, guess)[0], strict=True):
        path = tuple(path[path >= 0].tolist())
        ways = straight_ways(mazes.grid.n, path[0], path[-1])
        assert chance == ((1 / len(ways)) if path in ways else 0)


def ahead(drawing, way, target, sight):
    """All walks of ``sight`` further steps, or fewer to the target, that visit no cell twice."""
    if way[-1] == target or sight == 0:
        return [way]
    there = [cell for cell in drawing.around(way[-1]) if cell not in way]
    return [walk for cell in there for walk in ahead(drawing, [*way, cell], target, sight - 1)]


def near_sighted_walk(drawing, origin, target, sight, rng):
    """One walk, step by step: the first one of a walk ahead that ends nearest to the target, the
    shorter one if it is the target, until there is none."""
    way = [origin]
    while way[-1] != target:
        there = ahead(drawing, way, target, sight)
        if not there:
            break
        ends = [walk[-1] for walk in there]
        away = [
            (abs(cell[0] - target[0]) + abs(cell[1] - target[1]), len(walk) * (cell == target))
            for cell, walk in zip(ends, there, strict=True)
        ]
        nearest = [walk for walk, d in zip(there, away, strict=True) if d == min(away)]
        way.append(nearest[rng.integers(len(nearest))][len(way)])
    return way


@pytest.mark.parametrize("sight", [1, 2, 3])
@pytest.mark.parametrize("drawing", [HOOK, LADDER, BRIDGE])
def test_the_near_sighted_walkers_chance_is_how_often_it_takes_the_path(drawing, sight):
    chances = chances_are_how_often_it_walks(drawing, sight, near_sighted_chance, near_sighted_walk)
    assert 0 < chances.mean() <= 1


def chances_are_how_often_it_walks(drawing, sight, chance_of, walk_of):
    """Of every third question about a maze; gives the chances of all."""
    mazes, rng = batch(drawing), np.random.default_rng(0)
    guess = every_question(mazes).guess
    chances = chance_of(mazes.grid, mazes.connections, guess, sight)[0]
    for path, chance in list(zip(guess[0], chances, strict=True))[::3]:
        way = [divmod(int(cell), mazes.grid.n) for cell in path[path >= 0]]
        walks = [walk_of(drawing, way[0], way[-1], sight, rng) for _ in range(200)]
        assert chance == pytest.approx(np.mean([walk == way for walk in walks]), abs=0.15)
    return chances


def test_who_looks_one_step_ahead_walks_into_a_dead_end_that_two_show():
    """Of two ways that begin equally far from the target, one ends after a step."""
    mazes = batch(draw("o-o-o\n|   |\nO T-o\n|   .\no o o"))
    first = mazes.grid.n
    path = np.array([[[first, 0, 1, 2, first + 2, first + 1]]])
    one, two, three = (
        near_sighted_chance(mazes.grid, mazes.connections, path, sight)[0, 0] for sight in (1, 2, 3)
    )
    assert (one, two, three) == (0.5, 1, 1)


def random_walk(drawing, origin, target, sight, rng):
    """One walk, step by step: any first one of the walks ahead, of those that reach the target the
    shortest, until there is none of full length."""
    way = [origin]
    while way[-1] != target:
        there = ahead(drawing, way, target, sight)
        arriving = [walk for walk in there if walk[-1] == target]
        if arriving:
            n = min(map(len, arriving))
            there = [walk for walk in arriving if len(walk) == n]
        if not there:
            break
        steps = sorted({walk[len(way)] for walk in there})
        way.append(steps[rng.integers(len(steps))])
    return way


@pytest.mark.parametrize("sight", [1, 2])
@pytest.mark.parametrize("drawing", [HOOK, LADDER, RING, BRIDGE])
def test_the_random_walkers_chance_is_how_often_it_takes_the_path(drawing, sight):
    chances_are_how_often_it_walks(drawing, sight, random_chance, random_walk)


def test_the_random_walker_chooses_between_open_ways_until_it_sees_the_target():
    """From O there are two ways; the one to the right is a dead end after a step."""
    mazes = batch(draw("o-o-o\n|   |\nO-o T\n.   .\no o o"))
    n = mazes.grid.n
    path = np.array([[[n, 0, 1, 2, n + 2], [n, n + 1, -1, -1, -1], [2, n + 2, -1, -1, -1]]])
    one, two = (random_chance(mazes.grid, mazes.connections, path, sight)[0] for sight in (1, 2))
    assert one.tolist() == [0.5, 1, 1] and two.tolist() == [1, 1, 1]


def test_perfect_answers():
    mazes = batch(HOOK, HOOK)
    questions = every_question(mazes)
    rows = judged(mazes, questions, questions.guess)
    assert (rows.n_solved == rows.n_unique).all() and (rows.n_valid == rows.n_asked).all()
    assert rows[["n_crossings", "n_jumps"]].to_numpy().sum() == 0
    assert (rows.n_steps == rows.n_asked * (rows.path_length - 1)).all()
    assert (rows.n_telling == rows.n_telling_solved).all() and rows.n_telling.sum() > 0
    n_cells = int(touched_cells(mazes.grid, mazes.connections)[0].sum())
    assert rows.groupby("maze").n_asked.sum().tolist() == [n_cells * (n_cells - 1)] * 2


def test_steps_through_walls_and_over_cells_are_counted():
    mazes = batch(LADDER)
    questions = every_question(mazes)
    cells = np.full((*questions.guess.shape[:2], 10), -1, np.int16)
    cells[:, :, 0] = questions.guess[:, :, 0]
    cells[:, :, 1] = questions.target
    rows = judged(mazes, questions, cells)
    grid, connections = mazes.grid, mazes.connections[0]
    pairs = [(a, b) for a, b in zip(cells[0, :, 0], cells[0, :, 1], strict=True)]
    numbers = np.array([grid.connection_of[a, b] for a, b in pairs])
    assert rows.n_jumps.sum() == (numbers < 0).sum() > 0
    assert rows.n_crossings.sum() == ((numbers >= 0) & ~connections[numbers]).sum() > 0
    assert rows.n_valid.sum() == connections.sum() * 2 == rows.n_solved.sum()


def test_nothing_written_is_no_answer():
    mazes = batch(HOOK)
    questions = every_question(mazes)
    for token in (-1, -2):
        cells = np.full((*questions.guess.shape[:2], 10), -1, np.int16)
        cells[:, :, 0] = token
        rows = judged(mazes, questions, cells)
        assert rows[["n_solved", "n_valid", "n_steps"]].to_numpy().sum() == 0


TREE = draw("""
    O-o-o
    | |
    o o-o
    |   |
    T o o
""")  # seven connections as the ladder, and a cell more
MIXED = batch(HOOK, LADDER, TREE, LADDER)


@pytest.mark.parametrize("encoding", WANDERERS)
def test_beliefs_are_those_of_one_prompt_at_a_time(encoding):
    model = wanderer(encoding)
    seen = 0
    for part in MIXED.batches(7):
        mazes = MIXED[part]
        encoded = encode(mazes, np.random.default_rng(0))
        prefix = model.read(torch.from_numpy(encoded.lists))
        found = beliefs(model, prefix, mazes)
        first_cell = Vocabulary(mazes.grid.n).first_cell
        for maze, e, belief, n_straight in zip(*found, strict=True):
            shares, says = [], []
            for a, b in (mazes.grid.ends[e], mazes.grid.ends[e][::-1]):
                asked = encode_questions(mazes.grid, np.array(a), np.array(b))
                text = np.concatenate([encoded.lists[maze], asked, [a + first_cell]])
                share = model(torch.from_numpy(text)[None])[0, -1].softmax(dim=0)
                shares.append(share[b + first_cell].item())
                says.append(int(share.argmax()) == b + first_cell)
            assert belief == pytest.approx(np.mean(shares), abs=1e-6)
            assert n_straight == sum(says)
        there = touched_cells(mazes.grid, mazes.connections)[:, mazes.grid.ends].all(axis=2)
        assert list(zip(found.maze, found.connection, strict=True)) == list(
            zip(*np.nonzero(there), strict=True)
        )
        seen += len(found.maze)
    assert seen > 20


@pytest.mark.parametrize("encoding", ["learned", "rotary"])
def test_counts_are_those_of_asking_one_by_one(encoding, tmp_path):
    model = wanderer(encoding)
    found = Answers.joined(list(measure_answers(Subject(model, MIXED, 3, 7), "test", "trained")))
    found.write(tmp_path)
    rows = tables.read(tmp_path / "answers.parquet", AnswerRow)
    pairs = tables.read(tmp_path / "beliefs.parquet", BeliefRow)
    assert set(rows.maze_id) == set(MIXED.maze_id) == set(pairs.maze_id)
    lists = {
        int(m): (MIXED[part], encoded, nth)
        for part, encoded in Subject(model, MIXED, 3, 7).encoded()
        for nth, m in enumerate(MIXED.maze_id[part])
    }
    for maze_id, of_maze in rows.groupby("maze_id"):
        mazes, encoded, nth = lists[int(maze_id)]
        one = mazes[np.array([nth])]
        questions = every_question(one)
        n = questions.target.shape[1]
        asked = Mazes(
            one.grid,
            np.arange(n),
            np.repeat(one.family, n),
            np.repeat(one.connections, n, axis=0),
            questions.guess[0, :, 0].astype(int),
            questions.target[0],
            questions.guess[0],
        )
        alone = walk(model, asked, np.repeat(encoded.lists[nth : nth + 1], n, axis=0))
        expected = judged(one, questions, alone[None])
        for name in ("n_asked", "n_valid", "n_steps", "n_crossings", "n_jumps", "n_solved"):
            assert of_maze.sort_values("path_length")[name].tolist() == expected[name].tolist()


def test_mazes_of_one_size():
    sizes = [
        touched_cells(MIXED.grid, MIXED[i].connections).sum(axis=1) for i in of_one_size(MIXED)
    ]
    assert all(len(set(each.tolist())) == 1 for each in sizes)
    assert sum(map(len, sizes)) == len(MIXED)
