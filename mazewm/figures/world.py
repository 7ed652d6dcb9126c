"""The figures of claims W1: all questions of a maze and the map that the answers imply; detours,
states reached in two ways, and other spellings of the list."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mazewm.claims.world import N_BINS
from mazewm.figures.style import (
    BLACK,
    GREY,
    METHODS,
    WIDTH,
    Style,
    legend_below,
    run_looks,
    span,
    spread_seeds,
)
from mazewm.inference.kinds import (
    BACK,
    BOTH,
    CONNECTION,
    FREE,
    ORIGIN,
    SPELLING,
    TARGET,
    TRAINED,
    UNDISTURBED,
    UNTRAINED,
)
from mazewm.inference.random_walkers import RANDOM_SIGHTS

KINDS = {FREE: "free detours", BACK: "must turn back"}
STATES = {
    SPELLING: "same state:\nother spelling",
    ORIGIN: "same state:\nother origin",
    TARGET: "different:\nother target",
    CONNECTION: "different:\none connection",
}
WALKERS = {
    "blind": "blind walker",
    "near": "near-sighted walker",
    "ahead_2": "looks 2 steps ahead",
    "ahead_3": "looks 3 steps ahead",
    "random": "random walker",
    "random_2": "random walker, looks 2 steps ahead",
}
NEAR = f"control: {WALKERS['near']}"
DASHES: list[Any] = [":", "--", "-.", (0, (4, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (5, 4))]  # of lines


def world(answers: pd.DataFrame, beliefs: pd.DataFrame, spellings: pd.DataFrame) -> Figure:
    """Above: share of all questions solved, by length of path, for each run, its untrained model
    and six walkers without a map; and mazes solved in at least a share of new spellings. Below:
    the belief that two cells are connected, for pairs that are and pairs that are not; and how
    often pairs are connected, by belief."""
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 7.2), layout="constrained")
    (left, beside), (right, calibration) = axes
    _spellings(beside, spellings[spellings.kind == BOTH])
    _calibration(calibration, beliefs[(beliefs.split == "test") & (beliefs.model == TRAINED)])
    answers, beliefs = answers[answers.split == "test"], beliefs[beliefs.split == "test"]
    asked = answers.groupby(["run", "model", "path_length"], as_index=False).sum(numeric_only=True)
    looks, control = run_looks(answers.run), METHODS["untrained_model"]
    for run, look in looks.items():
        style: Style = {
            "color": look.colour,
            "marker": look.marker,
            "fillstyle": look.fill,
            "ms": 3.5,
        }
        own = asked[(asked.run == run) & (asked.model == TRAINED) & (asked.n_unique > 0)]
        share = own.n_solved / own.n_unique
        left.plot(own.path_length - 1, share, look.line, label=look.label, **style)
        other = asked[(asked.run == run) & (asked.model == UNTRAINED) & (asked.n_unique > 0)]
        solved = other.n_solved / other.n_unique
        left.plot(
            other.path_length - 1, solved, control.line, color=control.colour, label=control.label
        )
        for is_open, line in ((True, "-"), (False, ":")):
            rows = beliefs[(beliefs.run == run) & (beliefs.model == TRAINED)].set_index("bin")
            n = rows.n_open if is_open else rows.n - rows.n_open
            share = (n / max(1, n.sum())).reindex(range(N_BINS), fill_value=0.0)
            at = (np.arange(N_BINS) + 0.5) / N_BINS
            right.plot(at, share, line, **style)
    trained = answers[(answers.model == TRAINED) & (answers.n_unique > 0)]
    for name, dashes in zip(WALKERS, DASHES, strict=True):
        known = trained.dropna(subset=name).groupby("path_length")[[name, "n_unique"]].sum()
        share, colour = known[name] / known.n_unique, BLACK if name in RANDOM_SIGHTS else GREY
        label = f"control: {WALKERS[name]}"
        left.plot(share.index - 1, share, ls=dashes, color=colour, label=label)
    for line, label in (("-", "pairs that are connected"), (":", "pairs that are not")):
        right.plot([], [], line, color=BLACK, label=label)
    left.set(xlabel="steps of the shortest path", ylabel="share of questions", ylim=(-0.02, 1.02))
    n_questions = span(asked[asked.model == TRAINED].groupby("run").n_unique.sum())
    left.set_title(f"Solved, of all questions about a maze ({n_questions} for each run)")
    right.set(xlabel="belief that two adjacent cells are connected", xlim=(0, 1))
    right.set(ylabel="share of pairs", ylim=(-0.02, 1.02))
    n_pairs = span(beliefs[beliefs.model == TRAINED].groupby("run").n.sum())
    right.set_title(f"The way to a cell beside ({n_pairs} pairs for each run)")
    legend_below(figure, [left, right, beside, calibration], 3)
    return figure


def _detours(axis: Axes, detours: pd.DataFrame) -> None:
    """Valid rollouts among those with detours, by the probability of a detour and their kind."""
    rows = detours[detours.kind != UNDISTURBED]
    places = {p: nth for nth, p in enumerate(sorted(rows.p.unique()))}
    looks = run_looks(detours.run)
    for kind, line in ((FREE, "-"), (BACK, ":")):
        for run, look in looks.items():
            some = rows[(rows.run == run) & (rows.kind == kind)]
            style: Style = {
                "color": look.colour,
                "marker": look.marker,
                "fillstyle": look.fill,
                "ms": 3.5,
            }
            axis.plot(some.p.map(places), some.n_valid / some.n, line, **style)
        some = rows[rows.kind == kind].groupby("p", as_index=False).sum(numeric_only=True)
        near: Style = {"color": GREY, "marker": "|", "markersize": 9, "label": NEAR}
        axis.plot(some.p.map(places), some.n_near / some.n, line, **near)
        axis.plot([], [], line, color=BLACK, label=KINDS[kind])
    axis.set_xticks(list(places.values()), [f"{p:g}" for p in places])
    axis.set(xlabel="probability of a detour at each step", ylabel="share of rollouts")
    axis.set(ylim=(-0.02, 1.02))
    n = span(rows.groupby("run").n.sum()) if len(rows) else "0"
    axis.set_title(f"Reach the target after a detour ({n} rollouts)")


def _calibration(axis: Axes, beliefs: pd.DataFrame) -> None:
    """Share of pairs that are connected against mean belief, with the number of pairs as size."""
    axis.plot([0, 1], [0, 1], "--", color=GREY, linewidth=0.8, label="perfectly calibrated")
    for run, look in run_looks(beliefs.run).items():
        rows = beliefs[beliefs.run == run]
        share, sizes = rows.n_open / rows.n, 6 + 14 * np.log10(rows.n)
        axis.plot(rows.belief, share, look.line, color=look.colour, linewidth=1)
        style: Style = {"edgecolors": look.colour, "marker": look.marker}
        face = look.colour if look.fill == "full" else "white"
        axis.scatter(rows.belief, share, s=sizes, clip_on=False, facecolors=face, **style)
    axis.set(xlabel="belief, mean of each tenth", ylabel="share that is connected")
    axis.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axis.set_title("Calibration (larger: more pairs, from 1 to thousands)")


def robustness(detours: pd.DataFrame, states: pd.DataFrame) -> Figure:
    """Left: rollouts with forced detours that reach the target. Right: pairs of prompts of the same
    state that accept the same continuation, and of different states that do not; for each run, its
    untrained model and the near-sighted walker."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 4.6), layout="constrained")
    _detours(left, detours)
    _states(right, states)
    legend_below(figure, [left, right], 3)
    return figure


def _states(axis: Axes, states: pd.DataFrame) -> None:
    """A row for each kind of pair."""
    looks, control = run_looks(states.run), METHODS["untrained_model"]
    kinds = [kind for kind in STATES if (states.kind == kind).any()]
    for nth, (run, look) in enumerate(looks.items()):
        for model, marker, colour in (
            (TRAINED, look.marker, look.colour),
            (UNTRAINED, control.marker, control.colour),
        ):
            rows = states[(states.run == run) & (states.model == model)].set_index("kind")
            rows = rows.reindex(kinds)
            at = np.arange(len(kinds)) + spread_seeds(nth, len(looks))
            label = look.label if model == TRAINED else control.label
            points = axis.scatter(
                rows.n_right / rows.n, at, marker=marker, color=colour, label=label
            )
            if model == TRAINED and look.line != "-":  # the objective, where there are several
                points.set_facecolor("white")
    near = states[states.model == TRAINED].groupby("kind").sum(numeric_only=True).reindex(kinds)
    at_row = np.arange(len(kinds))
    axis.scatter(near.n_near / near.n, at_row, marker="|", s=250, color=GREY, label=NEAR)
    axis.set_yticks(range(len(kinds)), [STATES[kind] for kind in kinds])
    axis.set(xlabel="share of pairs that are told right", xlim=(-0.04, 1.04))
    axis.set(ylim=(len(kinds) - 0.5, -0.5))
    n_pairs = span(states[states.model == TRAINED].groupby(["run", "kind"]).n.sum())
    axis.set_title(f"Same state or not ({n_pairs} pairs)")


def _spellings(axis: Axes, spellings: pd.DataFrame) -> None:
    """A falling curve for each run; its right end are the mazes solved every time."""
    for run, look in run_looks(spellings.run).items():
        rows = spellings[spellings.run == run]
        share, n, n_mazes = rows.n_solved / rows.n, int(rows.n.max()), rows.n_mazes.sum()
        ends = np.arange(n + 1) / n
        solved = [rows.n_mazes[share >= end - 1e-9].sum() / n_mazes for end in ends]
        axis.plot(ends, solved, look.line, color=look.colour)
        by_chance = ((share * rows.n_mazes).sum() / n_mazes) ** n
        style: Style = {"color": look.colour, "marker": "x", "linestyle": "", "clip_on": False}
        axis.plot([1], [by_chance], **style)
    label = "every spelling, if failures were independent"
    axis.plot([], [], "x", color=BLACK, label=label)
    axis.set(xlabel="at least this share of new spellings solved", ylabel="share of mazes")
    axis.set(xlim=(0, 1), ylim=(-0.02, 1.02))
    n_mazes = span(spellings.groupby("run").n_mazes.sum()) if len(spellings) else "no"
    axis.set_title(f"List in another order and directions ({n_mazes} mazes)")
