"""Figures of claim C8: which facts that no single token states can be read from the model, and
whether steering along them turns its path."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mazewm.figures.style import (
    METHODS,
    RULE,
    SMALL,
    WIDTH,
    Look,
    Style,
    empty,
    is_control,
    legend_below,
    recipes,
    run_looks,
    x_label,
)

TOKENS = {
    "target": "the target",
    "<TARGET_END>": "<TARGET_END>",
    "<PATH_START>": "<PATH_START>",
    "origin": "the path's first token",
}
FACTS = {
    "distance": "distance of a cell to the target",
    "on_path": "is a cell on the path?",
    "toward_target": "which way from a fork?",
}
SCORES = {
    "distance": "distance to the target\nof every cell: R²",
    "on_path": "is a cell on the path?\nArea under ROC curve",
    "toward_target": "which way from a fork?\nArea under ROC curve",
}
MODEL_FREE, UNTAUGHT = ("input", "input_pairs"), ("untrained_model", "shuffled_labels")
STEERED = (
    "given_target",
    "mean_difference",
    "probe",
    "other_units",
    "shuffled_labels",
    "random_direction",
)
PANELS = {
    ("first", "origin"): "next step, edited at\n<PATH_START>, first path token",
    ("first", "target"): "next step, edited at\nthe target, <TARGET_END>",
    ("later", "origin"): "later fork, edited at\n<PATH_START>, first path token",
    ("later", "target"): "later fork, edited at\nthe target, <TARGET_END>",
}


def probes(rows: pd.DataFrame) -> Figure:
    """Test scores of probes by depth; a row for each fact, a column for each token in order of
    position, all runs in each panel."""
    runs = list(dict.fromkeys(rows.run))
    if not runs:
        return empty("no cell or connection has mazes enough for a probe")
    looks, size = run_looks(runs), (WIDTH, 1.4 + 2.3 * len(FACTS))
    figure, axes = plt.subplots(len(FACTS), len(TOKENS), figsize=size, sharex=True, sharey="row")
    figure.set_layout_engine("constrained", w_pad=0.01, wspace=0.0)
    for line, fact in zip(axes, FACTS, strict=True):
        of_fact = rows[rows.fact == fact]
        for axis, token in zip(line, TOKENS, strict=True):
            _baselines(axis, of_fact)
            for run, look in looks.items():
                _scores(axis, of_fact[(of_fact.run == run) & (of_fact.token == token)], look)
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        units = "connections" if fact == "toward_target" else "cells"
        n = (
            f"{of_fact.n_units.max()} {units}, {of_fact.n.median():,.0f} mazes each"
            if len(of_fact)
            else "no data"
        )
        line[0].set_ylabel(f"{SCORES[fact]}\n{n}", fontsize=SMALL)
        for axis in line[1:]:
            axis.spines["left"].set_color(RULE)
            axis.tick_params(axis="y", length=0)
    for axis, name in zip(axes[0], TOKENS.values(), strict=True):
        axis.set_title(f"at {name}")
    x_label(figure, "blocks passed (0: the embedding)")
    legend_below(figure, list(axes.flat), 4)
    figure.suptitle(
        "C8a–c  What a linear probe reads that no token states.  Test mazes, mean; bands: 95 %"
    )
    return figure


def _scores(axis: Axes, rows: pd.DataFrame, look: Look) -> None:
    """One run at one token: the model and the controls that should fail."""
    for control in UNTAUGHT:
        here, known = rows[rows.readout == control].sort_values("depth"), METHODS[control]
        control_style: Style = {"color": known.colour, "linewidth": 0.9, "label": known.label}
        axis.plot(here.depth, here.value, known.line, **control_style)
    model = rows[rows.readout == "model"].sort_values("depth")
    style: Style = {"color": look.colour, "marker": look.marker, "markersize": 4, "linewidth": 1.6}
    axis.plot(model.depth, model.value, look.line, label=f"model {look.label}", **style)
    axis.fill_between(
        model.depth, model.low, model.high, color=look.colour, alpha=0.15, linewidth=0
    )


def _baselines(axis: Axes, rows: pd.DataFrame) -> None:
    """Horizontal lines for the readouts of the maze itself, which have no token and depth."""
    for name in MODEL_FREE:
        look = METHODS[name]
        for nth, value in enumerate(np.unique(rows[rows.readout == name].value.round(6))):
            label = f"no model: {look.label}" if nth == 0 else None
            axis.axhline(value, color=look.colour, linestyle=look.line, linewidth=1.0, label=label)


def steering(curve: pd.DataFrame, fact: str) -> Figure:
    """Share of rollouts that turn at the fork as predicted when steered along one fact, by depth of
    the edit; a row for each recipe."""
    curve = curve[curve.fact == fact]
    if curve.empty:
        return empty(f"no fork at which the model could be steered by “{FACTS[fact]}”")
    parted = recipes(curve.run)
    size = (WIDTH, 1.5 + 2.1 * len(parted))
    figure, axes = plt.subplots(
        len(parted),
        len(PANELS),
        figsize=size,
        layout="constrained",
        squeeze=False,
        sharex=True,
        sharey=True,
    )
    for line, (recipe, runs) in zip(axes, parted.items(), strict=True):
        for axis, (situation, where) in zip(line, PANELS, strict=True):
            here = curve[
                curve.run.isin(runs) & (curve.situation == situation) & (curve["where"] == where)
            ]
            _steered(axis, here)
            n = here.n.max() if len(here) else 0
            axis.text(
                0.97,
                0.98,
                f"n = {n:,.0f}",
                transform=axis.transAxes,
                ha="right",
                va="top",
                fontsize=SMALL,
            )
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        line[0].set_ylabel(
            f"{runs[0] if len(runs) == 1 else recipe}\nshare that turns as predicted",
            fontsize=SMALL,
        )
    axes[0, 0].set_ylim(-0.03, min(1.03, 1.12 * curve.high.max() + 0.02))
    for axis, title in zip(axes[0], PANELS.values(), strict=True):
        axis.set_title(title, fontsize=8.5)
    x_label(figure, "edited after so many blocks")
    legend_below(figure, list(axes.flat), 3)
    figure.suptitle(f"C8d  Does steering along “{FACTS[fact]}” turn the path?  Bands: 95 %")
    return figure


def _steered(axis: Axes, rows: pd.DataFrame) -> None:
    """A line for each method and run."""
    for method in STEERED:
        look = METHODS[method]
        for _, part in rows[rows.method == method].sort_values("depth").groupby("run", sort=False):
            width = 1.0 if is_control(method) else 1.6
            style: Style = {
                "color": look.colour,
                "marker": look.marker,
                "markersize": 4,
                "linewidth": width,
            }
            axis.plot(part.depth, part.value, look.line, label=look.label, **style)
            axis.fill_between(
                part.depth, part.low, part.high, color=look.colour, alpha=0.1, linewidth=0
            )
