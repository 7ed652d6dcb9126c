"""The figure of claims W1: all questions of a maze, and the map that the answers imply."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mazewm.claims.world import N_BINS
from mazewm.figures.style import (
    GREY,
    METHODS,
    WIDTH,
    Style,
    legend_below,
    run_looks,
    span,
)
from mazewm.results import TRAINED, UNTRAINED

WALKERS = {"blind": "blind walker", "near": "near-sighted walker"}


def world(answers: pd.DataFrame, beliefs: pd.DataFrame) -> Figure:
    """Left: share of all questions solved, by length of path, for each run, its untrained model and
    two walkers without a map. Right: the belief that two cells are connected, for pairs that are
    and pairs that are not."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.9), layout="constrained")
    answers, beliefs = answers[answers.split == "test"], beliefs[beliefs.split == "test"]
    asked = answers.groupby(["run", "model", "path_length"], as_index=False).sum(numeric_only=True)
    looks, control = run_looks(answers.run), METHODS["untrained_model"]
    for run, look in looks.items():
        style: Style = {"color": look.colour, "marker": look.marker, "markersize": 3.5}
        own = asked[(asked.run == run) & (asked.model == TRAINED) & (asked.n_unique > 0)]
        left.plot(own.path_length - 1, own.n_solved / own.n_unique, look.line, label=run, **style)
        other = asked[(asked.run == run) & (asked.model == UNTRAINED) & (asked.n_unique > 0)]
        solved = other.n_solved / other.n_unique
        left.plot(
            other.path_length - 1, solved, control.line, color=control.colour, label=control.label
        )
        for is_open, line in ((True, "-"), (False, ":")):
            rows = beliefs[(beliefs.run == run) & (beliefs.model == TRAINED)].set_index("bin")
            n = rows.n_open if is_open else rows.n - rows.n_open
            share = (n / max(1, n.sum())).reindex(range(N_BINS), fill_value=0.0)
            label = f"{run}: {'connected' if is_open else 'not connected'}"
            at = (np.arange(N_BINS) + 0.5) / N_BINS
            right.plot(at, share, line, color=look.colour, marker=look.marker, ms=3.5, label=label)
    trained = asked[asked.model == TRAINED].groupby("path_length").sum(numeric_only=True)
    trained = trained[trained.n_unique > 0]
    for name, line in (("blind", ":"), ("near", "--")):
        share, label = trained[name] / trained.n_unique, WALKERS[name]
        left.plot(share.index - 1, share, line, color=GREY, label=f"control: {label}")
    left.set(xlabel="steps of the shortest path", ylabel="share of questions", ylim=(-0.02, 1.02))
    n_questions = span(asked[asked.model == TRAINED].groupby("run").n_unique.sum())
    left.set_title(f"Solved, of all questions about a maze ({n_questions} for each run)")
    right.set(xlabel="belief that two adjacent cells are connected", xlim=(0, 1))
    right.set(ylabel="share of pairs", ylim=(-0.02, 1.02))
    n_pairs = span(beliefs[beliefs.model == TRAINED].groupby("run").n.sum())
    right.set_title(f"The way to a cell beside ({n_pairs} pairs for each run)")
    legend_below(figure, [left, right], 4)
    return figure
