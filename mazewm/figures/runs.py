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


def writing(looks: pd.DataFrame) -> Figure:
    """Share of additions that are followed, by layer and token class, at the best dose of the mean difference; a heat map for each run."""
    runs, classes = list(dict.fromkeys(looks.run)), ["<-->", "c2", ";"]
    figure, axes = plt.subplots(1, len(runs), figsize=(WIDTH, 3.2), layout="constrained", squeeze=False, sharey=True)
    rates = looks.assign(rate=looks.n_follow / looks.n.clip(lower=1)).groupby(["run", "layer", "token_class"], as_index=False).rate.max()
    for axis, run in zip(axes[0], runs, strict=True):
        here = rates[rates.run == run].pivot(index="layer", columns="token_class", values="rate")[classes]
        last = axis is axes[0][-1]
        sns.heatmap(here, vmin=0, vmax=1, cmap=SEQUENTIAL, annot=True, fmt=".2f", ax=axis, cbar=last, cbar_kws={"label": "follow the edit"})
        axis.set(title=f"{run}  (n = {int(looks[looks.run == run].n.max())})", xlabel="written at all tokens of", ylabel="after layer")
    figure.suptitle("Where can a connection be written?  Mean difference at its best dose, validation mazes solved unedited", fontsize=11)
    return figure


def formation(looks: pd.DataFrame, history: pd.DataFrame) -> Figure:
    """When and where connections are bound: probe accuracy of every layer and token class at each look at the growing model, with the
    share of mazes solved above; a column for each run. The looks are spaced quadratically: half of the width is the first quarter."""
    runs = list(dict.fromkeys(looks.run))
    sites = [(layer, c) for layer in sorted(looks.layer.unique()) for c in CLASSES]
    figure, axes = plt.subplots(
        2, len(runs), figsize=(WIDTH, 1.4 + 0.24 * len(sites)), layout="constrained", squeeze=False, height_ratios=[1, 3.2], sharey="row"
    )
    for (above, below), run in zip(axes.T, runs, strict=True):
        solved = history[history.run == run].sort_values("step")
        here = looks[looks.run == run].pivot(index=["layer", "token_class"], columns="step", values="probe_accuracy").loc[sites]
        at = np.arange(len(here.columns))
        above.plot(at, solved.solved, color="black", linewidth=1.5)
        above.set_title(f"{run}, {len(at)} looks", fontsize=10)
        above.set(ylim=(0, 1), xlim=(-0.5, len(at) - 0.5), xticks=[])
        image = below.imshow(here.to_numpy(), vmin=0, vmax=1, cmap=SEQUENTIAL, aspect="auto", interpolation="nearest")
        marks = np.unique(np.linspace(0, len(at) - 1, max(3, 7 - len(runs))).round().astype(int))
        below.set_xticks(marks, [str(here.columns[m]) for m in marks], fontsize=8)
        below.set_yticks(range(len(sites)), [f"{layer}  {c}" for layer, c in sites], fontsize=7)
        for edge in range(len(CLASSES), len(sites), len(CLASSES)):
            below.axhline(edge - 0.5, color="white", linewidth=1.5)
    figure.supxlabel("training step (quadratic)", fontsize=10)
    axes[0, 0].set_ylabel("solved")
    axes[1, 0].set_ylabel("layer, token of the connection")
    figure.colorbar(image, ax=axes[1], label="probe's balanced accuracy")
    figure.suptitle(f'When is "which connection" decodable, and where?  {int(looks.n_mazes.max())} validation mazes', fontsize=11)
    return figure


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
    axis.set_xlabel("value (each claim's own measure), 95 % interval", fontsize=9)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=len(runs) + 1, frameon=False, fontsize=8)
    return figure
