"""Figures of the claims about edits: C4, whether the path changes as predicted, and C5, whether
adding works better than removing."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mazewm.figures.style import (
    GREY,
    MARKERS,
    METHODS,
    RULE,
    SMALL,
    WIDTH,
    Style,
    legend_below,
    recipes,
    span,
    spread_seeds,
    x_label,
)

KINDS = ("add", "remove", "move")


def edits(effects: pd.DataFrame) -> Figure:
    """C4: share of rollouts that follow an edit. A row of panels for each recipe, a column for each
    kind of edit; in a panel, a line for each method at the setting chosen on validation mazes, and
    a marker for each seed."""
    parted, kinds = recipes(effects.run), [kind for kind in KINDS if kind in set(effects.kind)]
    present = set(effects[effects.kind.isin(kinds)].method)
    shown = [method for method in METHODS if method in present]
    row = 0.14 + 0.07 * max(map(len, parted.values()))
    figure, axes = plt.subplots(
        len(parted), len(kinds), figsize=(WIDTH, 0.8 + len(parted) * (0.45 + row * len(shown))),
        layout="constrained", sharex=True, sharey=True, squeeze=False,
    )  # fmt: skip
    for line, (recipe, runs) in zip(axes, parted.items(), strict=True):
        for axis, kind in zip(line, kinds, strict=True):
            here = effects[(effects.kind == kind) & effects.run.isin(runs)]
            for y, method in enumerate(shown):
                _effects(axis, here[here.method == method], y, runs)
            n = here[here.method == "latents"].n
            axis.set_title(f"{runs[0] if len(runs) == 1 else recipe}: {kind}  (n = {span(n)})")
            axis.tick_params(axis="y", length=0)
            axis.grid(axis="y", color=RULE, linewidth=0.6)
    axes[0, 0].set(xlim=(-0.03, 1.03), ylim=(len(shown) - 0.5, -0.5))
    for axis in axes[:, 0]:
        axis.set_yticks(
            range(len(shown)), [METHODS[method].label for method in shown], fontsize=SMALL
        )
    x_label(figure, "share of rollouts that follow the edit")
    figure.suptitle(
        "C4  Does the path change as predicted?  Held-out mazes solved unedited, 95 % intervals"
    )
    return figure


def _effects(axis: Axes, rows: pd.DataFrame, y: int, runs: Sequence[str]) -> None:
    """One method and kind of edit, a point for each seed."""
    for row in rows.itertuples():
        seed, look = runs.index(row.run), METHODS[row.method]
        marker = look.marker if len(runs) == 1 else MARKERS[seed % len(MARKERS)]
        spread = np.maximum(0, [[row.value - row.low], [row.high - row.value]])
        at = y + spread_seeds(seed, len(runs))
        axis.errorbar(
            row.value,
            at,
            xerr=spread,
            fmt=marker,
            color=look.colour,
            markersize=5,
            capsize=2,
            label=row.method,
        )


def asymmetry(claims: pd.DataFrame, effects: pd.DataFrame) -> Figure:
    """C5: adding and removing (left), and their difference among examples whose edited maze is
    solved as tokens (right)."""
    runs, look = list(dict.fromkeys(effects.run)), METHODS["latents"]
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(WIDTH, 1.5 + 0.4 * len(runs)), layout="constrained", sharey=True
    )
    kinds = ((-0.14, "add", "o", look.colour), (0.14, "remove", "s", "white"))
    for shift, kind, marker, fill in kinds:
        here = effects[(effects.kind == kind) & (effects.method == "latents")]
        here, at = here.set_index("run").reindex(runs), np.arange(len(runs)) + shift
        spread = np.stack([here.value - here.low, here.high - here.value]).clip(0)
        style: Style = {"fmt": marker, "color": look.colour, "markerfacecolor": fill}
        style |= {"capsize": 2.5, "linestyle": "none"}
        left.errorbar(here.value, at, xerr=spread, label=f"SAE latents, {kind}", **style)
    five = claims[(claims.id == "C5") & (claims.n > 0)].set_index("run").reindex(runs)
    spread = np.stack([five.value - five.low, five.high - five.value])
    style = {"fmt": "D", "color": "black", "capsize": 3, "label": "difference"}
    right.errorbar(five.value, range(len(runs)), xerr=spread, **style)
    right.axvline(0, color=GREY, linewidth=0.8)
    left.set_yticks(range(len(runs)), runs)
    left.set_ylim(len(runs) - 0.5, -0.5)
    left.set(
        xlabel="share of rollouts that follow the edit",
        xlim=(-0.03, 1.03),
        title="each at its best setting",
    )
    widest = float(np.nanmax(np.abs(five[["low", "high"]].to_numpy(float)), initial=0.1)) * 1.1
    right.set(xlabel="share that follows, add less remove", xlim=(-widest, widest))
    right.set_title("at one token each, where the edited tokens are solved too")
    legend_below(figure, [left, right], 3)
    figure.suptitle("C5  Does activating work better than suppressing?  95 % intervals")
    return figure
