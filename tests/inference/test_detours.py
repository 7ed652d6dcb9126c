"""Forced steps: what they are, and how models fare whose answers can be worked out by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from readers import Reader, never_back, solver, through_walls
from toys import BRIDGE, HOOK, LADDER, batch, draw, drawing_of, walk_alone, wanderer

from mazewm.inference.detours import DetourRow, Led, measure_detours
from mazewm.inference.kinds import BACK, FREE, UNDISTURBED
from mazewm.inference.rollout import ask_all, questions_of, rollouts
from mazewm.inference.subject import Subject
from mazewm.inference.walkers import NearSighted
from mazewm.io import tables
from mazewm.maze.routes import NO_WAY
from mazewm.maze.tokens import encode, encode_questions

LOOP = draw("""
    O-o-T
    |   |
    o-o-o
      |
    o o o
""")  # right and right; or round the loop; a branch below
WALKS = {0.3: 40}


def led(model, *drawings):
    mazes = batch(*drawings)
    encoded = encode(mazes, np.random.default_rng(0))
    prefix = model.read(torch.from_numpy(encoded.lists))
    questions = questions_of(mazes)
    return Led(model, prefix, mazes, questions, rollouts(model, prefix, questions))


def rows_of(rule, drawings, walks):
    mazes = batch(*drawings)
    model = Reader(mazes.grid.n, rule)
    return pd.concat(measure_detours(Subject(model, mazes, 0, 3), 6, walks, "test"))


@pytest.mark.parametrize("p", [0.01, 0.5, 0.99])
def test_a_solver_always_arrives(p):
    rows = rows_of(solver, [HOOK, LADDER, HOOK], {p: 6})
    assert (rows.n_valid == rows.n).all() and (rows.n_shortest == rows.n).all()
    led_astray = rows[rows.p > 0]
    assert led_astray.n_detours.sum() > (0 if p == 0.01 else 40)
    assert (rows[rows.p == 0].kind == UNDISTURBED).all() and (
        rows[rows.p == 0].n_detours == 0
    ).all()
    assert rows.groupby("p").n.sum().tolist() == [3 * 6, 3 * 6 * 6]


def test_who_never_turns_back_arrives_after_free_detours_only():
    rows = rows_of(never_back, [LOOP, LOOP, HOOK], WALKS)
    of = rows.groupby("kind")[["n", "n_valid", "n_detours"]].sum()
    assert of.n[FREE] == of.n_valid[FREE] > 5
    # In the hook, a tree; in a loop, who was forced back one step can go round the other way. Few
    # are forced a second time, to a cell beside the target, and what is a jump elsewhere is a step.
    back = rows[(rows.kind == BACK) & (rows.maze_id == 2)]
    assert back.n.sum() > 100 and back.n_valid.sum() < back.n.sum() / 15
    assert of.n[UNDISTURBED] == of.n_valid[UNDISTURBED]


def test_walls_that_are_ignored():
    """Questions whose straight way is open stay valid; a forced step hides no crossing."""
    rows = rows_of(through_walls, [HOOK], {0.5: 4})
    none = rows[rows.p == 0]
    assert 0 < none.n_valid.sum() < none.n.sum()
    one = led(Reader(3, through_walls), HOOK).repeated(50)
    assert one.undisturbed[0, 0, :4].tolist() == [0, 1, 4, -1]  # down from (0,1): a wall
    walked = one.walk(0.99, np.random.default_rng(0))
    assert (walked.cells == [0, 1, 4, *[-1] * 7]).all() and not walked.n_detours.any()


@pytest.mark.parametrize("p", [0.2, 0.9])
def test_every_forced_step_is_legal_and_no_choice_of_the_model(p):
    model = Reader(3, solver)
    one = led(model, LOOP, LOOP, HOOK_3).repeated(30)
    walked = one.walk(p, np.random.default_rng(1))
    drawings = [LOOP, LOOP, HOOK_3]
    n_forced = 0
    for row, cells in enumerate(walked.cells):
        drawing = drawings[one.maze[row]]
        path = [divmod(int(cell), 3) for cell in cells[cells >= 0]]
        assert path[0] == drawing.origin and path[-1] == drawing.target and len(path) <= 9
        own = [solver(drawing, path[: nth + 1]) for nth in range(len(path) - 1)]
        others = [nth for nth in range(1, len(path)) if path[nth] != own[nth - 1]]
        assert all(path[nth] in drawing.around(path[nth - 1]) for nth in others)
        assert walked.n_detours[row] == len(others)
        assert walked.last[row] == max(others, default=0)
        n_forced += len(others)
    assert n_forced > 20


HOOK_3 = draw("""
    O-o o
    | |
    o T-o
      |
    o o o
""")


@pytest.mark.parametrize(
    ("cells", "is_free"),
    [
        ([0, 3], True),  # down, and round the loop
        ([0, 1, 0], False),  # back to the origin
        ([0, 3, 4, 7], False),  # into the branch
        ([0, 1, 2], True),
    ],
)
def test_what_is_free(cells, is_free):
    one = led(Reader(3, solver), LOOP)
    padded = np.full((1, 10), -1)
    padded[0, : len(cells)] = cells
    assert one.is_free(np.array([0]), padded).tolist() == [is_free]


def test_the_room_for_cells_is_kept():
    """Nine cells: no step is forced after which the target is too far."""
    one = led(Reader(3, solver), LOOP)
    cells = np.array([[0, 1, 0, 1, 0, 1, 2, -1, -1, -1]])
    others = one.others(np.array([0]), cells)[0]
    assert [bool(each.any()) for each in others] == [False, *[True] * 6, False, False, False]
    longer = np.array([[0, 1, 0, 1, 0, 1, 0, 1, 2, -1]])
    assert not one.others(np.array([0]), longer)[0][7:].any()


@pytest.mark.parametrize("encoding", ["learned", "rotary"])
def test_rollouts_go_on_from_given_cells_and_stop(encoding):
    """As one prompt at a time does, whatever is given, and up to as many cells as are wanted."""
    model, mazes = wanderer(encoding), batch(LOOP, LOOP, HOOK_3)[:2]
    lists = encode(mazes, np.random.default_rng(0)).lists
    rng, origin = np.random.default_rng(0), np.tile([0, 1, 4], (2, 1))
    target = np.full((2, 3), 2)
    given = rng.integers(0, 9, (2, 3, 4)).astype(np.int16)
    given[:, :, 2:] = -1
    asked = replace(
        ask_all(mazes.grid, mazes.connections, origin, target, given),
        n_given=np.full((2, 3), 2),
    )
    found = rollouts(model, model.read(torch.from_numpy(lists)), asked)
    stopped = rollouts(
        model,
        model.read(torch.from_numpy(lists)),
        replace(asked, n_until=np.tile([3, 4, 5], (2, 1))),
    )
    questions = encode_questions(mazes.grid, origin, target)
    for maze in range(2):
        for nth in range(3):
            text = [*lists[maze], *questions[maze, nth], *(given[maze, nth, :2] + 11)]
            alone = walk_alone(model, np.array(text))
            expected = [*given[maze, nth, :2].tolist(), *alone][:10]
            if expected[9] >= 0:
                expected[9] = -2
            assert found[maze, nth].tolist() == expected
            most = 3 + nth
            kept = [*found[maze, nth, :most].tolist()]
            assert stopped[maze, nth, :most].tolist() == kept
            assert (stopped[maze, nth, most:] == -1).all()


@pytest.mark.parametrize("drawing", [HOOK, LOOP, BRIDGE])
def test_near_sighted_walks_arrive_as_often_as_step_by_step(drawing):
    mazes, rng = batch(drawing), np.random.default_rng(0)
    many = 400
    walker = NearSighted(
        mazes.grid, mazes.connections, np.zeros(many, int), np.repeat(mazes.target, many)
    )
    steps = walker.n_steps(np.repeat(mazes.origin, many), rng)
    same = drawing_of(mazes.grid.n, mazes.connections[0], mazes.origin[0], mazes.target[0])
    arrived = []
    for _ in range(many):
        way = [same.origin]
        while way[-1] != same.target:
            there = [cell for cell in same.around(way[-1]) if cell not in way]
            away = [abs(r - same.target[0]) + abs(c - same.target[1]) for r, c in there]
            best = [cell for cell, d in zip(there, away, strict=True) if d == min(away)]
            if not best:
                break
            way.append(best[rng.integers(len(best))])
        arrived.append(len(way) - 1 if way[-1] == same.target else NO_WAY)
    assert set(steps.tolist()) == set(arrived)
    for n in set(arrived):
        assert np.mean(steps == n) == pytest.approx(np.mean(np.array(arrived) == n), abs=0.12)


def test_rows_can_be_written(tmp_path):
    rows = rows_of(solver, [LOOP, LOOP], WALKS)
    tables.write(tmp_path / "detours.parquet", DetourRow, dict(rows.items()))
    assert len(tables.read(tmp_path / "detours.parquet", DetourRow)) == len(rows)
