"""Figures of the claims C1 to C3. Those of C4 and C5 are in ``edits``, of C6 in ``capacity``, of C7
and C10 in ``code``, and of C8 in ``planning``."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mazewm.claims.statistics import mean
from mazewm.figures.style import (
    GREY,
    MARKERS,
    METHODS,
    RULE,
    SERIES,
    SMALL,
    WIDTH,
    Style,
    empty,
    grid,
    legend_below,
    recipes,
    spread_seeds,
    x_label,
)

READOUTS = (
    "latents", "neurons", "mean_difference", "linear_probe",
    "frozen_decoder", "untrained_model", "shuffled_labels",
)  # fmt: skip
DIRECT = ("mean_difference", "linear_probe")


def readouts(singles: pd.DataFrame, features: pd.DataFrame) -> Figure:
    """C1: how well the best single unit of each readout tells connections apart, the mean over SAEs
    of several seeds; of the SAEs with random decoders the one that does best. Beside them, the
    supervised directions of ``features``. A panel for each recipe, a marker for each seed."""
    by_draw = singles.groupby(["run", "readout", "draw"]).mcc.transform("mean")
    is_best = by_draw == by_draw.groupby([singles.run, singles.readout]).transform("max")
    counted = singles[is_best | (singles.readout != "frozen_decoder")]
    keys = ["run", "readout", "connection"]
    mean = counted.groupby(keys, sort=False).mcc.mean().reset_index()
    best = pd.concat([mean, features[features.readout.isin(DIRECT)][mean.columns]])
    parted = recipes(singles.run)
    shown = [readout for readout in READOUTS if readout in set(best.readout)]
    figure, axes = grid(len(parted), 3, 0.4 + 0.36 * len(shown), 0.9, sharex=True, sharey=True)
    for axis, (recipe, runs) in zip(axes, parted.items(), strict=True):
        for seed, run in enumerate(runs):
            for y, readout in enumerate(shown):
                values = best[(best.run == run) & (best.readout == readout)].mcc.to_numpy()
                _connections(
                    axis,
                    values,
                    y + spread_seeds(seed, len(runs)),
                    readout,
                    MARKERS[seed % len(MARKERS)],
                )
        axis.axvline(0, color=GREY, linewidth=0.8, zorder=0)
        axis.set_yticks(range(len(shown)), [METHODS[readout].label for readout in shown])
        axis.set_title(f"{recipe}, {len(runs)} seeds" if len(runs) > 1 else runs[0])
        axis.tick_params(axis="y", length=0)
    axes[0].set_ylim(len(shown) - 0.5, -0.5)
    x_label(
        figure,
        "Matthews correlation of the best single unit (1: always right, 0: chance)",
    )
    n = best.connection.nunique()
    n_draws = int(singles[singles.readout == "frozen_decoder"].draw.max() + 1)
    figure.suptitle(
        f"C1  Which connection is this?  Dots: {n} connections; with bars: mean, 95 % interval\n"
        f"(of {n_draws} SAEs with random decoders, the best)"
    )
    return figure


def _connections(axis: Axes, values: np.ndarray, y: float, readout: str, marker: str) -> None:
    """A dot for each connection, and their mean with its interval."""
    if len(values) == 0:
        return
    colour, jitter = (
        METHODS[readout].colour,
        np.random.default_rng(0).uniform(-0.1, 0.1, len(values)),
    )
    axis.plot(values, y + jitter, ".", color=colour, alpha=0.3, markersize=4, markeredgewidth=0)
    value, low, high, _ = mean(values)
    spread = np.maximum(0, [[value - low], [high - value]])
    axis.errorbar(
        value, y, xerr=spread, fmt=marker, color=colour, markersize=5.5, capsize=3, label=readout
    )


def own_mass(attention: pd.DataFrame, threshold: float) -> Figure:
    """C2: own_mass of every head at the token classes after c1, with its standard deviation over
    mazes, both controls and the threshold."""
    rows = attention[attention.token_class != "c1"]
    runs, classes = list(dict.fromkeys(rows.run)), ["<-->", "c2", ";"]
    size = (WIDTH, 1.2 + 1.75 * len(runs))
    figure, axes = plt.subplots(
        len(runs), 3, figsize=size, layout="constrained", sharex=True, sharey=True, squeeze=False
    )
    for line, run in zip(axes, runs, strict=True):
        for axis, token_class in zip(line, classes, strict=True):
            here = rows[(rows.run == run) & (rows.token_class == token_class)].sort_values(
                ["layer", "head"]
            )
            _heads(axis, here, threshold)
            axis.set_title(f"{run}, at {token_class}")
        line[0].set_ylabel("attention to own\ncoordinates (own_mass)")
    axes[0, 0].set_ylim(-0.03, 1.03)
    x_label(figure, "block.head")
    legend_below(figure, list(axes.flat), 2)
    figure.suptitle(
        f"C2  Do heads look at their connection's coordinates?  ({rows.n.max():,} held-out mazes)"
    )
    return figure


def _heads(axis: Axes, rows: pd.DataFrame, threshold: float) -> None:
    """One run and token class: a point for every head, its controls and the threshold."""
    own = rows[rows.control == "none"]
    at = np.arange(len(own))
    style: Style = {"color": SERIES[0], "markersize": 4, "capsize": 2, "linestyle": "none"}
    axis.errorbar(
        at, own["mean"], yerr=own.sd, fmt="o", label="own_mass, mean ± sd over mazes", **style
    )
    for control, marker in (("uniform", "_"), ("shuffled", "x")):
        other, look = rows[rows.control == control], METHODS[control]
        axis.scatter(
            at[: len(other)],
            other["mean"],
            color=look.colour,
            marker=marker,
            s=22,
            label=look.label,
            zorder=3,
        )
    axis.axhline(
        threshold,
        color="black",
        linestyle=":",
        linewidth=0.9,
        label="threshold of a connectivity head",
    )
    for edge in np.flatnonzero(np.diff(own.layer.to_numpy())):
        axis.axvline(edge + 0.5, color=RULE, linewidth=0.8, zorder=0)
    axis.set_xticks(
        at, [f"{r.layer}.{r.head}" for r in own.itertuples()], rotation=90, fontsize=SMALL
    )


def knock_outs(knockouts: pd.DataFrame) -> Figure:
    """C3: how much of a connection's latent is lost when heads are ablated at its token."""
    rows = knockouts[knockouts.ablation == "mean"]
    runs = list(dict.fromkeys(rows.run))
    if rows.empty:
        return empty("no connection has a latent that fires")
    most = max(rows[rows.run == run]["heads"].nunique() for run in runs)
    figure, axes = grid(len(runs), 2, 0.8 + 0.2 * most, 0.9, sharex=True)
    for axis, run in zip(axes, runs, strict=True):
        here = rows[rows.run == run]
        names = list(dict.fromkeys(here["heads"]))
        for column, method, shift in (
            ("effect_own", "latents", -0.15),
            ("effect_other", "other_connection", 0.15),
        ):
            groups = [here.loc[here["heads"] == name, column].to_numpy() for name in names]
            label = "the connection's own latent" if method == "latents" else METHODS[method].label
            _means(axis, groups, shift, method, label)
        axis.set_yticks(range(len(names)), names, fontsize=SMALL)
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.axvline(0, color=GREY, linewidth=0.8, zorder=0)
        axis.axvline(1, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
        axis.set_title(f"{run}\n{here.site.iloc[0]}, {here.connection.nunique()} connections")
        axis.set_ylabel("heads ablated")
    x_label(figure, "share of the latent's activation that is lost (1: all of it)")
    legend_below(figure, axes, 2)
    figure.suptitle(
        "C3  Which heads does a connection's latent need?  Mean over connections, 95 % interval"
    )
    return figure


def _means(axis: Axes, groups: Sequence[np.ndarray], shift: float, method: str, label: str) -> None:
    value, low, high, _ = np.array([mean(group) for group in groups]).T
    spread = np.maximum(0, np.stack([value - low, high - value]))
    look = METHODS[method]
    style: Style = {
        "fmt": look.marker,
        "color": look.colour,
        "markersize": 4.5,
        "capsize": 2,
        "linestyle": "none",
    }
    axis.errorbar(value, np.arange(len(groups)) + shift, xerr=spread, label=label, **style)
