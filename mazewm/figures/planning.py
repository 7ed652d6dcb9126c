"""Figures of claim C8: which facts that no single token states can be read from the model, and
whether steering along them turns its path."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
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
    grid,
    legend_below,
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
MODEL_FREE, UNTAUGHT = ("input", "input_pairs"), ("untrained_model", "shuffled_labels")
STEERED = (
    "given_target",
    "mean_difference",
    "probe",
    "other_units",
    "other_units_given_target",
    "shuffled_labels",
    "random_direction",
)
SITUATIONS = {"first": "the next step", "later": "a later fork"}


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
        n = f"{int(of_fact.n.max()):,} connection sets" if len(of_fact) else "no data"
        line[0].set_ylabel(f"{FACTS[fact]}\n{n}", fontsize=SMALL)
        line[0].set_ylim(-0.1, 1.02)
        for axis in line[1:]:
            axis.spines["left"].set_color(RULE)
            axis.tick_params(axis="y", length=0)
    for axis, name in zip(axes[0], TOKENS.values(), strict=True):
        axis.set_title(f"at {name}")
    x_label(figure, "blocks passed (0: the embedding)")
    legend_below(figure, list(axes.flat), 3)
    figure.suptitle(
        "C8a–c  What a linear probe reads that no token states: explained variance, test mazes.  "
        "Bands: 95 %"
    )
    return figure


def _scores(axis: Axes, rows: pd.DataFrame, look: Look) -> None:
    """One run at one token: the model and the controls that should fail."""
    for control in UNTAUGHT:
        here, known = rows[rows.readout == control].sort_values("depth"), METHODS[control]
        control_style: Style = {"color": known.colour, "linewidth": 0.9, "label": known.label}
        axis.plot(here.depth, here.value, known.line, **control_style)
    model = rows[rows.readout == "model"].sort_values("depth")
    style: Style = {"color": look.colour, "marker": look.marker, "fillstyle": look.fill, "ms": 4}
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


def steps(curve: pd.DataFrame) -> Figure:
    """Explained variance of each step of a search from the target, by depth; a panel for each run.
    Does one more block read one more step?"""
    runs = list(dict.fromkeys(curve.run)) if len(curve) else []
    if not runs:
        return empty("no cell has mazes enough for a probe")
    figure, axes = grid(len(runs), 2, 3.0, 1.3, sharey=True)
    for axis, run in zip(axes, runs, strict=True):
        mine = curve[curve.run == run]
        depths = sorted(int(d) for d in mine[mine.readout == "model"].depth.unique())
        shades = sns.color_palette("viridis_r", len(depths))
        for depth, colour in zip(depths, shades, strict=True):
            here = mine[(mine.readout == "model") & (mine.depth == depth)].sort_values("k")
            label = "embedding" if depth == 0 else f"after {depth} block{'s' * (depth > 1)}"
            style: Style = {"color": colour, "markersize": 4, "linewidth": 1.6, "label": label}
            axis.plot(here.k, here.value, "o-", **style)
            axis.fill_between(here.k, here.low, here.high, color=colour, alpha=0.2, linewidth=0)
        untrained = mine[mine.readout == "untrained_model"].groupby("k").value.max()
        lines = {"untrained_model": untrained}
        lines |= {name: mine[mine.readout == name].groupby("k").value.max() for name in MODEL_FREE}
        for name, values in lines.items():
            look = METHODS[name]
            control: Style = {"color": look.colour, "linewidth": 1.0, "label": look.label}
            axis.plot(values.index, values, look.line, **control)
        axis.set_xticks(sorted(mine.k.unique()))
        axis.set_title(f"{run} ({int(mine.n.max()):,} connection sets)")
    axes[0].set_ylabel("explained variance")
    axes[0].set_ylim(-0.1, 1.05)
    x_label(figure, "k: is a cell k steps from the target, or farther?")
    legend_below(figure, axes, 4)
    figure.suptitle("C8  Does one more block read one more step from the target?")
    return figure


def steering(curve: pd.DataFrame) -> Figure:
    """C8d: the share of rollouts that turn at a fork as predicted when steered along a fact, on
    test forks; a panel for each run and situation, a row for each fact."""
    runs = list(dict.fromkeys(curve.run)) if len(curve) else []
    if not runs:
        return empty("no fork at which the model could be steered")
    size = (WIDTH, 1.4 + 2.7 * len(runs))
    figure, axes = plt.subplots(
        len(runs), len(SITUATIONS), figsize=size, layout="constrained", squeeze=False, sharex=True,
    )  # fmt: skip
    for line, run in zip(axes, runs, strict=True):
        for axis, (situation, title) in zip(line, SITUATIONS.items(), strict=True):
            here = curve[(curve.run == run) & (curve.situation == situation)]
            test = here[here.split == "test"]  # none where no validation fork was solved
            _steered(axis, test)
            n = int(test.n.max()) if len(test) else 0
            axis.set_title(f"{run}: {title} (n ≤ {n:,} forks)")
    x_label(figure, "share that turns as predicted")
    legend_below(figure, list(axes.flat), 3)
    figure.suptitle(
        "C8d  Does pushing along a fact's direction turn the path?\n"
        "Place by the validation forks; each method at its own best dose there"
    )
    return figure


def _steered(axis: Axes, rows: pd.DataFrame) -> None:
    """One run in one situation: all methods of every fact at the place that was chosen."""
    facts = [fact for fact in FACTS if (rows.fact == fact).any()]
    labels = []
    for y, fact in enumerate(facts):
        mine = rows[rows.fact == fact]
        for nth, method in enumerate(STEERED):
            look = METHODS[method]
            for row in mine[mine.method == method].itertuples():
                at = y + 0.8 * ((nth + 0.5) / len(STEERED) - 0.5)
                sides = np.maximum([[row.value - row.low], [row.high - row.value]], 0)
                style: Style = {"color": look.colour, "markersize": 5, "label": look.label}
                axis.errorbar(row.value, at, xerr=sides, fmt=look.marker, **style)
        place = mine.iloc[0]
        labels.append(f"{fact.replace('_', ' ')}\nat {place['where']},\nblock {place.depth}")
    axis.set_yticks(range(len(facts)), labels)
    axis.set_ylim(len(facts) - 0.4, -0.6)
    axis.set_xlim(-0.03, 1.03)
