"""Steer rollouts at a fork along the direction of a fact (docs/science.md#steering).

The residual stream is edited at some of ``reading.LAST``, the last tokens of the prompt and the
first of the path; the rollout continues without further edits. The edit means "the other cell
rather than the exit". With u the fact's directions at that token and depth, it is

* for ``distance`` and ``on_path``: u(other) - u(exit), of cells;
* for ``toward_target``: u(fork-other) - u(fork-exit), of connections, each with the sign that makes
  the end away from the fork the nearer one.

All methods add a vector of the same length, ``dose`` times that of the mean difference's edit, so
they differ in direction only. Methods: ``probe``; the baselines ``mean_difference`` and
``given_target`` (the mean difference among mazes with equal targets, which carries no information
about where the target is); the controls ``shuffled_labels`` (a probe fitted on these),
``other_units`` and ``other_units_given_target`` (``mean_difference`` and ``given_target`` of two
other cells or connections, of the maze where it has two) and ``random_direction``.

Where: ``target`` (the tokens ``target <TARGET_END>``) or ``origin`` (``<PATH_START>`` and the first
token of the path). Only an edit at the first token of the path can affect the next token without
attention, and no edit can affect a later fork without it.

On validation forks ``given_target``, whose direction says nothing about where the target is, is run
everywhere at every dose, and for each fact the place and depth are taken at which it does best.
There all other methods are run on validation forks, too; doses are doubled or halved further where
a method's best is at an end; and on test forks all methods are run, each at its own best dose
(module ``choosing``).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from mazewm.counterfactuals.forks import Forks
from mazewm.inference.behaviour import judge
from mazewm.inference.edits import Taps, add_at
from mazewm.inference.rollout import Questions, rollouts
from mazewm.io import tables
from mazewm.io.streams import stream
from mazewm.maze.tokens import encode, prompt_length
from mazewm.maze.truths import touched_cells
from mazewm.model.sites import Place, Site
from mazewm.model.taps import Tap
from mazewm.model.transformer import Transformer
from mazewm.planning.facts import FACTS
from mazewm.planning.probes import Directions
from mazewm.planning.reading import LAST

WHERE = {"target": (0, 1), "origin": (2, 3)}  # indices into LAST
STEERED = "given_target"
OF_OTHER_UNITS = {
    "other_units": "mean_difference",
    "other_units_given_target": "given_target",
}  # control -> direction
OTHERS = ("mean_difference", "probe", "shuffled_labels", *OF_OTHER_UNITS, "random_direction")


@dataclass(frozen=True)
class SteerRow:
    """One fork under one edit."""

    split: tables.Text
    situation: tables.Text  # first: the fork is the origin; later: a later cell of the path
    fact: tables.Text
    where: tables.Text
    depth: tables.Int  # the edit is made after this many blocks
    method: tables.Text
    dose: tables.Real  # in multiples of the length of the mean difference's edit
    # within a split and situation, the same number is the same fork in every condition
    example: tables.Int
    maze_id: tables.Int
    fork: tables.Int  # a cell, as are the next two
    predicted_cell: tables.Int  # the other way from the fork, fixed before the run
    original_cell: tables.Int  # the way of the shortest path
    # the rollout after the origin, up to the cell after the fork; -2 for a token that is no cell
    measured: tables.Cells
    goes_as_predicted: tables.Flag  # the shortest path up to the fork, then the predicted cell
    keeps_original: tables.Flag  # the shortest path up to the fork and one step on
    solved_before: tables.Flag  # without an edit the rollout is the whole shortest path


class Condition(NamedTuple):
    """One way to steer at a fork (the columns of SteerRow)."""

    fact: str
    where: str
    depth: int
    method: str
    dose: float


Where = tuple[str, str, int]  # fact, where and depth


def places(situation: str, n_layers: int) -> list[Where]:
    """Where is steered in a situation. After the last block an edit affects only the next token,
    and only at the last position: it is made for first forks at the origin's tokens only."""
    return [
        (fact, where, depth)
        for fact, where, depth in product(FACTS, WHERE, range(1, n_layers + 1))
        if depth < n_layers or (situation == "first" and where == "origin")
    ]


def conditions(
    some: Iterable[Where], methods: tuple[str, ...], doses: Sequence[float]
) -> list[Condition]:
    """Methods at every dose in some places."""
    return [
        Condition(*place, method, dose) for place in some for method in methods for dose in doses
    ]


def _taps(
    place: Place,
    where: tuple[int, ...],
    delta: Float[np.ndarray, "maze pos d_model"],
    rows: Int[np.ndarray, " row"],
) -> Taps:
    """The edit for some of the forks."""
    push = torch.from_numpy(delta[rows])
    return Taps(
        [add_at(place, torch.tensor(where).expand(len(rows), -1), lambda here: push.to(here))]
    )


@dataclass(frozen=True)
class Steering:
    """A model, and the directions of facts along which its rollouts are steered, by fact, token and
    depth. It reads ``batch`` forks at a time."""

    model: Transformer
    directions: Mapping[tuple[str, str, int], Directions]
    seed: int
    batch: int

    def steer(self, forks: Forks, split: str, wanted: Sequence[Condition]) -> pd.DataFrame:
        """Steer at every fork under every condition, as rows of SteerRow; a fork whose units have
        no direction for a fact has no rows for it."""
        parts = list[pd.DataFrame]()
        for index in forks.mazes.batches(self.batch):
            part, rng = forks[index], stream("steering", self.seed, int(index[0]), len(forks))
            reader = Reader(self.model, part, rng)
            known = _columns(part, index, split) | {"solved_before": reader.solved}
            for condition in wanted:
                delta, is_known = deltas(part, condition, self.directions, rng)
                place = Place(condition.depth - 1, Site.RESID_POST)
                measured = reader.walk(partial(_taps, place, WHERE[condition.where], delta))
                rows = pd.DataFrame(known | condition._asdict() | _outcome(part, measured))
                parts.append(rows[is_known])
        names = [field.name for field in fields(SteerRow)]
        return pd.concat(parts, ignore_index=True)[names] if parts else _no_rows()


def _no_rows() -> pd.DataFrame:
    # else true and false become numbers where these rows are put before others
    flags = ("goes_as_predicted", "keeps_original", "solved_before")
    return tables.frame([], SteerRow).astype(dict.fromkeys(flags, bool))


def _columns(forks: Forks, index: np.ndarray, split: str) -> dict[str, Any]:
    """The columns of SteerRow that are the same under every condition. ``index`` numbers the
    forks."""
    return {
        "split": split,
        "situation": forks.situation,
        "example": index,
        "maze_id": forks.mazes.maze_id,
        "fork": forks.fork,
        "predicted_cell": forks.other,
        "original_cell": forks.exit,
    }


def _outcome(forks: Forks, measured: Int[np.ndarray, "maze step"]) -> dict[str, Any]:
    as_predicted, as_before = outcomes(forks, measured)
    walked = [cells[: step + 1] for cells, step in zip(measured, forks.step, strict=True)]
    return {"goes_as_predicted": as_predicted, "keeps_original": as_before, "measured": walked}


def outcomes(forks: Forks, measured: Int[np.ndarray, "maze step"]) -> tuple[np.ndarray, np.ndarray]:
    """For each rollout, whether it follows the shortest path to the fork and goes on to the other
    cell, and whether it does and goes on to the exit."""
    until = np.arange(measured.shape[1])
    path = forks.mazes.path[:, 1 : 1 + measured.shape[1]]
    comes = ((measured == path) | (until >= forks.step[:, None])).all(axis=1)
    turn = measured[np.arange(len(forks)), forks.step]
    return comes & (turn == forks.other), comes & (turn == forks.exit)


def deltas(
    forks: Forks,
    condition: Condition,
    directions: Mapping[tuple[str, str, int], Directions],
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "maze pos d_model"], np.ndarray]:
    """The vectors to add at each edited token, and for which forks there is a direction."""
    parts, known = [], np.ones(len(forks), bool)
    (to, to_sign), (away, away_sign) = (
        _units(forks, condition.fact, cell) for cell in (forks.other, forks.exit)
    )
    for token in (LAST[nth] for nth in WHERE[condition.where]):
        here = directions[condition.fact, token, condition.depth]
        known &= here.is_known[to] & here.is_known[away]
        own = to_sign * here.mean_difference[to] - away_sign * here.mean_difference[away]
        if condition.method == "random_direction":
            arrow = rng.standard_normal(own.shape)
        elif condition.method == "mean_difference":
            arrow = own
        else:
            is_other = condition.method in OF_OTHER_UNITS
            kind = OF_OTHER_UNITS.get(condition.method, condition.method)
            table = unit_length(getattr(here, kind))
            pair = (to, away)
            if is_other:
                pair = _other_pair(here.is_known, _of_maze(forks, condition.fact), pair, rng)
            arrow = to_sign * table[pair[0]] - away_sign * table[pair[1]]
        parts.append(
            condition.dose * unit_length(arrow) * np.linalg.norm(own, axis=1, keepdims=True)
        )
    return np.stack(parts, axis=1), known


def _units(forks: Forks, fact: str, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The unit of the fact for the step from the fork to ``cell``, and the sign of its direction
    that favours that cell."""
    if fact != "toward_target":
        return cell, np.ones((len(cell), 1))
    connection = forks.mazes.grid.connection_of[forks.fork, cell]
    is_second = forks.mazes.grid.ends[connection, 1] == cell
    return connection, np.where(is_second, 1.0, -1.0)[:, None]


def _of_maze(forks: Forks, fact: str) -> np.ndarray:
    """Which units of a fact the maze of each fork has."""
    mazes = forks.mazes
    if fact == "toward_target":
        return mazes.connections
    return touched_cells(mazes.grid, mazes.connections)


def _other_pair(
    is_known: np.ndarray,
    is_there: np.ndarray,
    pair: tuple[np.ndarray, np.ndarray],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """For each fork, two random other units that have a direction: of those that its maze has, and
    of all if these are fewer."""
    keys = (rng.random(is_there.shape) + is_there) * is_known
    for unit in pair:
        keys[np.arange(len(keys)), unit] = -1
    order = np.argsort(-keys, axis=1)
    return order[:, 0], order[:, 1]


def unit_length(arrows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """The rows scaled to length 1; rows of zeros stay zero."""
    return arrows / np.maximum(np.linalg.norm(arrows, axis=1, keepdims=True), 1e-12)


class Reader:
    """A batch of prompts with the key-value cache of the tokens before those that are edited, which
    is the same under every edit."""

    @torch.inference_mode()
    def __init__(self, model: Transformer, forks: Forks, rng: np.random.Generator) -> None:
        self.model, self.n_steps = model, int(forks.step.max()) + 1
        mazes, encoded = forks.mazes, encode(forks.mazes, rng)
        tokens = encoded.tokens[:, : prompt_length(encoded.n_connections) + 1]
        before, asked = tokens[:, : -len(LAST)], tokens[:, None, -len(LAST) :]
        self.prefix = model.read(torch.from_numpy(before).to(model.device))
        # The origin is among the given tokens, so the rollout starts after it.
        self.questions = Questions(
            mazes.grid, mazes.connections, asked, mazes.target[:, None], mazes.path[:, None, 1:]
        )
        self.solved = judge(
            mazes, _after_origin(forks, rollouts(model, self.prefix, self.questions)[:, 0, :-1])
        ).solved

    def walk(
        self, taps_of: Callable[[Int[np.ndarray, " row"]], Tap]
    ) -> Int[np.ndarray, "maze step"]:
        """The greedy rollouts after the origin under an edit, long enough for the farthest fork;
        NO_CELL for a token that is no cell."""
        return rollouts(
            self.model, self.prefix, replace(self.questions, n_most=self.n_steps), taps_of
        )[:, 0]


def _after_origin(forks: Forks, cells: np.ndarray) -> np.ndarray:
    """The rollout with the given origin put before it."""
    return np.concatenate([forks.mazes.origin[:, None], cells], axis=1)
