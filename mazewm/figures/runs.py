"""Figures that put runs side by side: how they learned, where they consolidate, what reads connections, and their claims."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

from mazewm.figures.style import GREY, SEQUENTIAL, WIDTH
from mazewm.tokens import SPELLING_CLASSES

CLASSES = [str(c) for c in SPELLING_CLASSES]


def training(history: pd.DataFrame) -> Figure:
    """Loss on the path and share solved, over the mazes seen, for each run."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.4), layout="constrained")
    sns.lineplot(history, x="n_mazes", y="loss_path", hue="run", marker="o", ax=left, legend=False)
    sns.lineplot(history, x="n_mazes", y="solved", hue="run", marker="o", ax=right)
    left.set(xlabel="mazes seen", ylabel="loss on the path (nats per token)", yscale="log", title="Loss")
    right.axhline(0.95, color=GREY, linestyle="--", linewidth=0.8)
    right.set(xlabel="mazes seen", ylabel="share of validation mazes solved", ylim=(0, 1), title="Solved by greedy rollout (dashed: 95 %)")
    right.legend(title=None, frameon=False)
    return figure


def consolidation(looks: pd.DataFrame) -> Figure:
    """Probe accuracy by layer and token class, one heat map for each run."""
    runs = list(dict.fromkeys(looks.run))
    figure, axes = plt.subplots(1, len(runs), figsize=(WIDTH, 3.2), layout="constrained", squeeze=False, sharey=True)
    for axis, run in zip(axes[0], runs, strict=True):
        here = looks[looks.run == run].pivot(index="layer", columns="token_class", values="probe_accuracy")[CLASSES]
        sns.heatmap(
            here,
            vmin=0,
            vmax=1,
            cmap=SEQUENTIAL,
            annot=True,
            fmt=".2f",
            ax=axis,
            cbar=axis is axes[0][-1],
            cbar_kws={"label": "balanced accuracy"},
        )
        axis.set(title=run, xlabel="token of the connection  c1 <--> c2 ;", ylabel="after layer")
    figure.suptitle(f'Linear probe for "which connection", {int(looks.n_mazes.max()):,} validation mazes', fontsize=11)
    return figure


def formation(looks: pd.DataFrame) -> Figure:
    """Probe accuracy at c2 and ; of every layer over training, one panel for each run."""
    shown = looks[looks.token_class.isin(["c2", ";"])].assign(layer=lambda rows: "layer " + rows.layer.astype(str))
    grid = sns.relplot(
        shown,
        x="step",
        y="probe_accuracy",
        hue="layer",
        style="token_class",
        style_order=["c2", ";"],
        col="run",
        kind="line",
        markers=True,
        height=3.2,
        aspect=1.2,
    )
    grid.set_axis_labels("training step", "probe's balanced accuracy").set_titles("{col_name}").set(ylim=(0, 1.02))
    return grid.figure


def readouts(features: pd.DataFrame) -> Figure:
    """How well each readout tells connections apart at the consolidation site: deepest tree of every connection, by run."""
    best = features[features.depth == features.groupby(["run", "readout", "connection"]).depth.transform("max")]
    order = ["latents", "linear_probe", "mean_difference", "neurons", "frozen_decoder", "untrained_model", "shuffled_labels"]
    figure, axis = plt.subplots(figsize=(WIDTH, 3.8), layout="constrained")
    sns.pointplot(
        best,
        y="readout",
        x="mcc",
        hue="run",
        order=order,
        errorbar=("ci", 95),
        seed=0,
        linestyle="none",
        dodge=0.4 if best.run.nunique() > 1 else False,
        markersize=5,
        ax=axis,
    )
    np.random.seed(0)  # seaborn draws the jitter from the global state
    sns.stripplot(best, y="readout", x="mcc", hue="run", order=order, dodge=True, alpha=0.25, size=3, jitter=0.12, legend=False, ax=axis)
    n = best.connection.nunique()
    axis.set(xlabel="Matthews correlation of the deepest tree", ylabel=None, xlim=(-0.1, 1.05))
    axis.set_title(f"Which connection is this? Dots: {n} connections; points and bars: mean with 95 % interval", fontsize=11)
    axis.axvline(0, color=GREY, linewidth=0.8)
    axis.legend(title=None, frameon=False)
    return figure


def claims(table: pd.DataFrame) -> Figure:
    """Value, interval and control of every claim, for each run."""
    runs, ids = list(dict.fromkeys(table.run)), list(dict.fromkeys(table.id))
    figure, axis = plt.subplots(figsize=(WIDTH, 0.9 + 0.5 * len(ids)), layout="constrained")
    palette = sns.color_palette(n_colors=len(runs))
    for nth, run in enumerate(runs):
        rows = table[(table.run == run) & (table.n > 0)]
        at = [ids.index(id) + 0.22 * (nth - (len(runs) - 1) / 2) for id in rows.id]
        axis.errorbar(
            rows.value,
            at,
            xerr=[rows.value - rows.low, rows.high - rows.value],
            fmt="o",
            capsize=3,
            color=palette[nth],
            label=run,
            linestyle="none",
        )
        axis.scatter(rows.control, at, marker="|", s=120, color="black", zorder=3, label="control" if nth == 0 else None)
    axis.set_yticks(range(len(ids)), [f"{id}  {table[table.id == id].statement.iloc[0]}" for id in ids], fontsize=8)
    axis.invert_yaxis()
    axis.axvline(0, color=GREY, linewidth=0.8)
    axis.set_xlabel("value with 95 % interval, in the claim's own measure")
    axis.legend(frameon=False, fontsize=8, loc="best")
    return figure
