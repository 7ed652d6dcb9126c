"""One figure for each claim that is about numbers of all runs: C2 to C5 and C7. C1 is ``runs.readouts``, C6 ``overload``, C8 ``beyond``."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mazewm.figures.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, WIDTH, empty

METHODS = {
    "latents": ("latents of e", BLUE, "o"),
    "mean_difference": ("mean difference", GREEN, "s"),
    "probe_direction": ("probe's direction", SKY, "D"),
    "latents_and_cells": ("latents of e and of its cells", PURPLE, "P"),
    "other_connection": ("control: another connection's latents", ORANGE, "x"),
    "other_latents": ("control: other latents of the token", ORANGE, "x"),
    "random_latents": ("control: random latents", VERMILION, "+"),
    "random_direction": ("control: random direction", GREY, "1"),
    "tokens": ("the tokens edited", "black", "|"),
}


def own_mass(attention: pd.DataFrame, threshold: float) -> Figure:
    """C2: own_mass of every head at each token that can look back, with sd over mazes, both controls and the threshold."""
    rows = attention[attention.token_class != "c1"]
    runs, classes = list(dict.fromkeys(rows.run)), ["<-->", "c2", ";"]
    figure, axes = plt.subplots(
        len(runs), len(classes), figsize=(WIDTH, 1.1 + 1.75 * len(runs)), layout="constrained", sharex=True, sharey=True, squeeze=False
    )
    for line, run in zip(axes, runs, strict=True):
        for axis, token_class in zip(line, classes, strict=True):
            here = rows[(rows.run == run) & (rows.token_class == token_class)].sort_values(["layer", "head"])
            own = here[here.control == "none"]
            at = np.arange(len(own))
            axis.errorbar(
                at, own["mean"], yerr=own.sd, fmt="o", color=BLUE, markersize=4, capsize=2, linestyle="none", label="own_mass ± sd"
            )
            for control, colour, marker in (("uniform", GREY, "_"), ("shuffled", VERMILION, "x")):
                other = here[here.control == control]
                axis.scatter(at[: len(other)], other["mean"], color=colour, marker=marker, s=28, label=f"{control} control", zorder=3)
            axis.axhline(threshold, color=GREY, linestyle=":", linewidth=1, label="threshold of a connectivity head")
            for edge in np.flatnonzero(np.diff(own.layer.to_numpy())):
                axis.axvline(edge + 0.5, color="#DDDDDD", linewidth=0.8, zorder=0)
            axis.set_xticks(at, [f"{r.layer}.{r.head}" for r in own.itertuples()], rotation=90, fontsize=7)
            axis.set(ylim=(-0.03, 1.03), title=f"{run}, at  {token_class}" if len(classes) > 1 else run)
    for axis in axes[:, 0]:
        axis.set_ylabel("own_mass")
    for axis in axes[-1]:
        axis.set_xlabel("layer.head")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    figure.suptitle(f"C2  Do heads look at the coordinates of their connection?  (n = {int(rows.n.max()):,} held-out mazes)", fontsize=11)
    return figure


def knock_outs(knockouts: pd.DataFrame) -> Figure:
    """C3: what is left of a connection's latent when heads are ablated at its token: binding heads against the block's others."""
    rows = knockouts[knockouts.ablation == "mean"]
    runs = list(dict.fromkeys(rows.run))
    if rows.empty:
        return empty("no connection has a latent that fires")
    n_cols = min(2, len(runs))
    n_rows = -(-len(runs) // n_cols)
    figure, axes = plt.subplots(n_rows, n_cols, figsize=(WIDTH, 0.8 + 3.0 * n_rows), layout="constrained", sharex=True, squeeze=False)
    for axis in axes.flat[len(runs) :]:
        axis.axis("off")
    for axis, run in zip(axes.flat, runs, strict=False):
        here = rows[rows.run == run]
        names = [name for name in dict.fromkeys(here["heads"])]
        for shift, column, colour, marker, label in (
            (-0.15, "effect_own", BLUE, "o", "latent of the connection"),
            (0.15, "effect_other", VERMILION, "x", "latents of other connections"),
        ):
            _means(axis, [here.loc[here["heads"] == name, column].to_numpy() for name in names], shift, colour, marker, label)
        axis.set_yticks(range(len(names)), names)
        axis.invert_yaxis()
        axis.axvline(0, color=GREY, linewidth=0.8, zorder=0)
        axis.axvline(1, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
        axis.set_title(f"{run}: {here.site.iloc[0]}, {here.connection.nunique()} connections", fontsize=10)
        axis.set_ylabel("heads ablated", fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("1 − z_ablated / z_clean  (1: out)", fontsize=9)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.suptitle("C3  Which heads does a connection's latent need?  Mean over connections, 95 % interval", fontsize=11)
    return figure


def _means(axis: Axes, groups: list[np.ndarray], shift: float, colour: str, marker: str, label: str) -> None:
    mean = np.array([g.mean() for g in groups])
    half = np.array([1.96 * g.std(ddof=1) / len(g) ** 0.5 if len(g) > 1 else 0.0 for g in groups])
    at = np.arange(len(groups)) + shift
    axis.errorbar(mean, at, xerr=half, fmt=marker, color=colour, markersize=5, capsize=2, linestyle="none", label=label)


def edits(effects: pd.DataFrame) -> Figure:
    """C4: share of rollouts that follow an edit, by kind of edit and method, at the setting chosen on validation mazes."""
    runs, kinds = list(dict.fromkeys(effects.run)), [k for k in ("add", "remove", "move") if k in set(effects.kind)]
    figure, axes = plt.subplots(
        1, len(kinds), figsize=(WIDTH, 1.9 + 0.62 * len(runs)), layout="constrained", sharex=True, sharey=True, squeeze=False
    )
    shown = [method for method in METHODS if method in set(effects.method)]
    for axis, kind in zip(axes[0], kinds, strict=True):
        for nth, method in enumerate(shown):
            here = effects[(effects.kind == kind) & (effects.method == method)].set_index("run").reindex(runs)
            label, colour, marker = METHODS[method]
            at = np.arange(len(runs)) + (nth - (len(shown) - 1) / 2) * 0.8 / len(shown)
            spread = np.stack([here.value - here.low, here.high - here.value]).clip(0)
            axis.errorbar(here.value, at, xerr=spread, fmt=marker, color=colour, markersize=5, capsize=2, linestyle="none", label=label)
        n = effects[(effects.kind == kind) & (effects.method == "latents")].n
        axis.set(title=f"{kind}  (n = {int(n.min()):,} to {int(n.max()):,})", xlabel="rollouts that follow the edit", xlim=(-0.03, 1.03))
        axis.set_yticks(range(len(runs)), runs)
    axes[0, 0].invert_yaxis()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.suptitle("C4  Does the path change as predicted?  Among held-out mazes solved unedited, 95 % intervals", fontsize=11)
    return figure


def asymmetry(claims: pd.DataFrame, effects: pd.DataFrame) -> Figure:
    """C5: adding against removing, and their difference at matched solvability."""
    runs = list(dict.fromkeys(effects.run))
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 1.5 + 0.45 * len(runs)), layout="constrained", sharey=True)
    for shift, kind, colour, marker in ((-0.12, "add", BLUE, "o"), (0.12, "remove", VERMILION, "s")):
        here = effects[(effects.kind == kind) & (effects.method == "latents")].set_index("run").reindex(runs)
        spread = np.stack([here.value - here.low, here.high - here.value]).clip(0)
        at = np.arange(len(runs)) + shift
        left.errorbar(here.value, at, xerr=spread, fmt=marker, color=colour, capsize=2, linestyle="none", label=f"{kind} (latents)")
    five = claims[(claims.id == "C5") & (claims.n > 0)].set_index("run").reindex(runs)
    right.errorbar(five.value, range(len(runs)), xerr=[five.value - five.low, five.high - five.value], fmt="D", color="black", capsize=3)
    right.axvline(0, color=GREY, linewidth=0.8)
    left.set_yticks(range(len(runs)), runs)
    left.invert_yaxis()
    left.set(xlabel="rollouts that follow the edit", xlim=(-0.03, 1.03), title="each at its best setting")
    left.legend(frameon=False, fontsize=8)
    right.set(xlabel="follows(add) − follows(remove)", xlim=(-1.03, 1.03), title="one token each, edited tokens solved too")
    figure.suptitle("C5  Does activating work better than suppressing?  95 % intervals", fontsize=11)
    return figure


def code(measures: pd.DataFrame) -> Figure:
    """C7: each measure of the code by encoding; a dot for every seed."""
    ids = list(dict.fromkeys(measures.id))
    figure, axes = plt.subplots(1, len(ids), figsize=(WIDTH, 3.3), layout="constrained", squeeze=False)
    order = list(dict.fromkeys(measures.encoding))
    for axis, id in zip(axes[0], ids, strict=True):
        here = measures[measures.id == id]
        sns.pointplot(
            here, x="encoding", y="value", order=order, errorbar=None, color="black", markers="_", linestyle="none", markersize=18, ax=axis
        )
        sns.stripplot(
            here, x="encoding", y="value", hue="encoding", order=order, hue_order=order, size=6, jitter=False, legend=False, ax=axis
        )
        axis.set(title=f"{id}  {here.measure.iloc[0]}", xlabel=None, ylabel=None)
        axis.set_ylim(min(0, axis.get_ylim()[0]), max(0, axis.get_ylim()[1]))
        axis.title.set_fontsize(8)
    n = measures.groupby("encoding").seed.nunique()
    figure.suptitle(
        f"C7  Does the encoding change the code?  Dots: seeds ({n.min()} to {n.max()} for each encoding); bar: mean", fontsize=11
    )
    return figure
