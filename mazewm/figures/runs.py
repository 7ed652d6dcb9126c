"""Figures that compare runs: their training, and where connections are read and written."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from mazewm.figures.heat import heat_map
from mazewm.figures.style import (
    GREY,
    SEQUENTIAL,
    SMALL,
    WIDTH,
    Style,
    grid,
    legend_below,
    run_looks,
    x_label,
)
from mazewm.localize.consolidation import net_accuracy
from mazewm.localize.selectivity import selectivities
from mazewm.maze.tokens import CONNECTION_CLASSES

CLASSES = [str(c) for c in CONNECTION_CLASSES]


def training(history: pd.DataFrame) -> Figure:
    """Loss on the path (nats per token) and share of mazes solved, over the mazes seen, for each
    run."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 3.6), layout="constrained")
    for run, look in run_looks(history.run).items():
        here = history[history.run == run].sort_values("n_mazes")
        style: Style = {
            "color": look.colour,
            "linestyle": look.line,
            "marker": look.marker,
            "fillstyle": look.fill,
            "markersize": 3.5,
            "label": look.label,
        }
        left.plot(here.n_mazes / 1000, here.loss_path, **style)
        right.plot(here.n_mazes / 1000, here.solved, **style)
    right.axhline(0.95, color=GREY, linestyle="--", linewidth=0.8)
    left.set(
        xlabel="mazes seen (thousands)",
        ylabel="nats per token",
        yscale="log",
        title="Loss on the path's tokens",
    )
    right.set(xlabel="mazes seen (thousands)", ylabel="share of validation mazes", ylim=(0, 1.02))
    right.set_title("Solved by greedy rollout (grey: 0.95)")
    legend_below(figure, [right], 3)
    return figure


def consolidation(looks: pd.DataFrame) -> Figure:
    """Net probe accuracy by layer and token class; a heat map for each run."""
    looks = looks.assign(net=net_accuracy(looks))
    tables = {
        run: looks[looks.run == run].pivot(index="layer", columns="token_class", values="net")[
            CLASSES
        ]
        for run in dict.fromkeys(looks.run)
    }
    figure = _heat_maps(tables, {run: run for run in tables}, "net accuracy")
    x_label(figure, "token of the connection, spelled c1 <--> c2 ;")
    n = int(looks.n_mazes.max())
    figure.suptitle(
        f"After which block does a probe tell which connection this is?  ({n:,} validation mazes)\n"
        "Of what the token itself leaves open"
    )
    return figure


def writing(looks: pd.DataFrame) -> Figure:
    """Selectivity of adding a connection, by layer and set of tokens, at the best dose of the mean
    difference."""
    best = selectivities(looks).groupby(["run", "layer", "tokens"], sort=False).selectivity.max()
    tables = {
        run: best[run].unstack("tokens").reindex(columns=list(dict.fromkeys(looks.tokens))).T
        for run in dict.fromkeys(looks.run)
    }
    height = 0.5 + 0.22 * len(next(iter(tables.values())))
    figure, axes = grid(len(tables), 3, height, 0.8, sharey=True)
    for axis, (run, table) in zip(axes, tables.items(), strict=True):
        image = heat_map(axis, table.to_numpy(), size=8.0)
        axis.set_xticks(range(len(table.columns)), list(table.columns))
        axis.set_yticks(range(len(table)), list(table.index), fontsize=8)
        axis.set_title(f"{run} (n = {int(looks[looks.run == run].n_affected.max()):,})")
    figure.colorbar(
        image, ax=axes, label="hit - spill, of n affected questions", location="top", shrink=0.5,
        aspect=40,
    )  # fmt: skip
    x_label(figure, "block after which it is written")
    figure.suptitle(
        "Where can a connection be written, and nothing else?\n"
        "Mean difference at its best dose, validation pairs"
    )
    return figure


def _heat_maps(tables: dict[str, pd.DataFrame], titles: dict[str, str], label: str) -> Figure:
    """A panel for each run, all on one scale from 0 to 1, with later layers below earlier ones."""
    n_layers = max(len(table) for table in tables.values())
    figure, axes = grid(len(tables), 3, 0.55 + 0.36 * n_layers, 0.8, sharey=True)
    for axis, (run, table) in zip(axes, tables.items(), strict=True):
        image = heat_map(axis, table.to_numpy(), size=8.5)
        axis.set_xticks(range(len(table.columns)), table.columns)
        axis.set_yticks(range(len(table)), [f"block {layer}" for layer in table.index])
        axis.set_title(titles[run])
    figure.colorbar(image, ax=axes, label=label, shrink=0.9, aspect=25)
    return figure


def formation(looks: pd.DataFrame, history: pd.DataFrame) -> Figure:
    """When and where connections become readable in training: probe accuracy of every layer and
    token class at each checkpoint, below the share of mazes solved; a column for each run. Half of
    the width is the first quarter of the training, where checkpoints are densest."""
    runs = list(dict.fromkeys(looks.run))
    sites = [(layer, c) for layer in sorted(looks.layer.unique()) for c in CLASSES]
    n_cols = min(3, len(runs))
    n_blocks = -(-len(runs) // n_cols)
    size = (WIDTH, 0.9 + n_blocks * (1.3 + 0.21 * len(sites)))
    figure, axes = plt.subplots(
        2 * n_blocks, n_cols, figsize=size, layout="constrained", squeeze=False, sharey="row",
        height_ratios=[1, 3.6] * n_blocks,
    )  # fmt: skip
    pairs = [
        (axes[2 * block, col], axes[2 * block + 1, col])
        for block in range(n_blocks)
        for col in range(n_cols)
    ]
    for nth, (above, below) in enumerate(pairs):
        if nth >= len(runs):
            above.axis("off"), below.axis("off")
            continue
        here = (
            looks[looks.run == runs[nth]]
            .pivot(index=["layer", "token_class"], columns="step", values="probe_accuracy")
            .loc[sites]
        )
        _solved(above, history[history.run == runs[nth]], len(here.columns))
        above.set_title(f"{runs[nth]}, {len(here.columns)} checkpoints")
        image = _formed(below, here)
        if nth % n_cols == 0:
            above.set_ylabel("solved")
            below.set_ylabel("block, token of the connection")
    x_label(figure, "training step (checkpoints are spaced quadratically)")
    bars = [axis for pair in pairs for axis in pair]
    figure.colorbar(image, ax=bars, label="probe's balanced accuracy", shrink=0.7, aspect=30)
    n = int(looks.n_mazes.max())
    figure.suptitle(
        f"When and where does a probe tell which connection this is?  ({n:,} validation mazes)"
    )
    return figure


def _solved(axis: Axes, history: pd.DataFrame, n: int) -> None:
    """The share of mazes solved at each of n checkpoints."""
    axis.plot(np.arange(n), history.sort_values("step").solved, color="black", linewidth=1.5)
    axis.set(ylim=(0, 1.02), xlim=(-0.5, n - 0.5), xticks=[], yticks=[0, 0.5, 1])


def _formed(axis: Axes, table: pd.DataFrame) -> AxesImage:
    """Probe accuracy by layer and token class (rows) and checkpoint (columns), with white lines
    between the blocks."""
    image = axis.imshow(
        table.to_numpy(), vmin=0, vmax=1, cmap=SEQUENTIAL, aspect="auto", interpolation="nearest"
    )
    marks = np.unique(np.linspace(0, len(table.columns) - 1, 5).round().astype(int))
    axis.set_xticks(marks, [f"{table.columns[mark]:,}" for mark in marks])
    axis.set_yticks(
        range(len(table)), [f"{layer}  {c}" for layer, c in table.index], fontsize=SMALL
    )
    for edge in range(len(CLASSES), len(table), len(CLASSES)):
        axis.axhline(edge - 0.5, color="white", linewidth=1.5)
    axis.tick_params(axis="y", length=0)
    return image
