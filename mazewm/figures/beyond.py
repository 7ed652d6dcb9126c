"""Figures of room 8b: which facts can be read from the model, and whether steering along them turns its path."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mazewm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, WIDTH, empty

TOKENS = {"target": BLUE, "<TARGET_END>": SKY, "<PATH_START>": PURPLE, "origin": VERMILION}
FACTS = {
    "distance": "distance of a cell to the target",
    "on_path": "is a cell on the path?",
    "toward_target": "which way from a fork?",
}
SCORES = {"distance": "R² (0: the mean)", "on_path": "area under the ROC curve", "toward_target": "area under the ROC curve"}
METHODS = {"given_target": GREEN, "mean_difference": BLUE, "probe": PURPLE}
CONTROLS = {"other_units": ORANGE, "shuffled_labels": VERMILION, "random_direction": GREY}
PANELS = {
    ("first", "origin"): "next step, edited at\n<PATH_START> and first path token",
    ("first", "target"): "next step, edited at\ntarget <TARGET_END>",
    ("later", "origin"): "later fork, edited at\n<PATH_START> and first path token",
    ("later", "target"): "later fork, edited at\ntarget <TARGET_END>",
}


def probes(rows: pd.DataFrame) -> Figure:
    """Test scores by depth: a panel for each fact, a row for each run; solid: the model by token, dashed: untrained, dotted: shuffled."""
    runs = list(dict.fromkeys(rows.run))
    if not runs:
        return empty("no cell or connection has mazes enough for a probe")
    figure, axes = plt.subplots(
        len(runs), len(FACTS), figsize=(WIDTH, 1.2 + 2.5 * len(runs)), layout="constrained", squeeze=False, sharex=True, sharey="col"
    )
    for line, run in zip(axes, runs, strict=True):
        for axis, (fact, title) in zip(line, FACTS.items(), strict=True):
            here = rows[(rows.run == run) & (rows.fact == fact)]
            _scores(axis, here)
            n = f"{here.n_units.max()} {'connections' if fact == 'toward_target' else 'cells'}"
            axis.set_title(f"{run}: {title}\n{n}, {here.n.median() if len(here) else 0:,.0f} test mazes each", fontsize=8)
            axis.set_ylabel(SCORES[fact], fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("blocks passed (0: embedding)", fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.suptitle("Linear probes for facts that no token states: mean over units, bands: 95 % for the model", fontsize=11)
    return figure


def _scores(axis: Axes, rows: pd.DataFrame) -> None:
    for token, colour in TOKENS.items():
        here = rows[rows.token == token]
        model = here[here.readout == "model"].sort_values("depth")
        axis.plot(model.depth, model.value, "-o", color=colour, markersize=3, label=f"model at {token}")
        axis.fill_between(model.depth, model.low, model.high, color=colour, alpha=0.15, linewidth=0)
        for readout, style in (("untrained_model", "--"), ("shuffled_labels", ":")):
            control = here[here.readout == readout].sort_values("depth")
            label = readout.replace("_", " ") if token == "target" else None
            axis.plot(control.depth, control.value, style, color=colour, linewidth=1, label=label)
    for readout, style, label in (("input", "--", "input's bits"), ("input_pairs", "-", "bits and their products")):
        scores = rows[rows.readout == readout].value
        if len(scores):
            axis.axhline(scores.iloc[0], color="black", linestyle=style, linewidth=1.2, label=label)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def steering(curve: pd.DataFrame, fact: str) -> Figure:
    """Share of forks at which the path goes where the fact's direction says, by depth of the edit; a row for each run."""
    curve = curve[curve.fact == fact]
    runs = list(dict.fromkeys(curve.run))
    if curve.empty:
        return empty(f"no fork at which the model could be steered by “{FACTS[fact]}”")
    size = (WIDTH, 1.4 + 2.2 * len(runs))
    figure, axes = plt.subplots(len(runs), len(PANELS), figsize=size, layout="constrained", squeeze=False, sharex=True, sharey=True)
    for line, run in zip(axes, runs, strict=True):
        for axis, ((situation, where), title) in zip(line, PANELS.items(), strict=True):
            here = curve[(curve.run == run) & (curve.situation == situation) & (curve["where"] == where)]
            for method, colour in (METHODS | CONTROLS).items():
                part = here[here.method == method].sort_values("depth")
                style = "-o" if method in METHODS else "--o"
                axis.plot(part.depth, part.value, style, color=colour, markersize=3, label=method.replace("_", " "))
                axis.fill_between(part.depth, part.low, part.high, color=colour, alpha=0.12, linewidth=0)
            axis.set_title(f"{run} (n = {int(here.n.max()) if len(here) else 0:,})\n{title}", fontsize=8)
            axis.set(ylim=(-0.03, 1.03))
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in axes[:, 0]:
        axis.set_ylabel("goes as predicted", fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("edit after so many blocks", fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
    figure.suptitle(
        f"Does steering “{FACTS[fact]}” turn the path the other way? Solid: the fact, dashed: controls; bands: 95 %", fontsize=10
    )
    return figure
