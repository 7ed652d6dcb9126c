"""All claims in one figure: value, control and verdict, with intervals where there is room."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from mazewm.figures.style import (
    BAND,
    GREY,
    MARKERS,
    SMALL,
    VERDICTS,
    WIDTH,
    Style,
    grid,
    recipes,
    spread_seeds,
    x_label,
)

SIDE_BY_SIDE = 3  # the most recipes that have a panel each
HATCHED = {"unmeasured": "///"}  # else it is too like another verdict


def claims(table: pd.DataFrame) -> Figure:
    """All claims of all runs: intervals for up to three recipes, a table of verdicts for more."""
    return (_intervals if len(recipes(table.run)) <= SIDE_BY_SIDE else _verdicts)(table)


def _verdicts(table: pd.DataFrame) -> Figure:
    """A row for each claim, a column for each recipe; a strip for each seed in the colour of its
    verdict, on it the means of value (above) and control over the seeds that have one."""
    parted, ids = recipes(table.run), list(dict.fromkeys(table.id))
    size = (WIDTH, 1.7 + 0.36 * len(ids))
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    for (y, id), (x, runs) in product(enumerate(ids), enumerate(parted.values())):
        said = table[(table.id == id) & table.run.isin(runs)]
        width = 0.94 / max(1, len(said))
        for nth, row in enumerate(said.itertuples()):
            left, colour = x - 0.47 + nth * width, VERDICTS[str(row.verdict)]
            box: Style = {"facecolor": colour, "linewidth": 0, "alpha": 0.45}
            box |= {"hatch": HATCHED.get(str(row.verdict), "")}
            axis.add_patch(Rectangle((left, y - 0.45), width, 0.9, **box))
        rows = said[said.n > 0]
        if len(rows):
            style: Style = {"ha": "center", "va": "center", "fontsize": SMALL}
            axis.text(x, y - 0.2, f"{rows.value.mean():.2f}", weight="bold", **style)
            axis.text(x, y + 0.22, f"{rows.control.mean():.2f}", **style)
    names = [textwrap.fill(f"{id}  {table[table.id == id].statement.iloc[0]}", 52) for id in ids]
    axis.set_yticks(range(len(ids)), names, fontsize=SMALL)
    heads = [
        recipe.replace("-", "\n") + (f"\n{len(runs)} seeds" if len(runs) > 1 else "")
        for recipe, runs in parted.items()
    ]
    axis.set_xticks(range(len(parted)), heads, fontsize=SMALL)
    axis.xaxis.tick_top()
    axis.set(xlim=(-0.5, len(parted) - 0.5), ylim=(len(ids) - 0.5, -0.5))
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    figure.legend(
        handles=[
            Patch(facecolor=colour, alpha=0.45, label=said, hatch=HATCHED.get(said, ""))
            for said, colour in VERDICTS.items()
        ],
        loc="outside lower center",
        ncols=3,
        frameon=False,
    )
    figure.suptitle(
        "What the claims' rules say, a strip for each seed\n"
        "Bold: value; below it: the control that decides; each in the claim's own measure"
    )
    return figure


def _intervals(table: pd.DataFrame) -> Figure:
    """Value and control of every claim with their intervals, coloured by verdict; a panel for each
    recipe, a marker for each seed."""
    parted, ids = recipes(table.run), list(dict.fromkeys(table.id))
    seeds = [run.rpartition("-")[2] for run in max(parted.values(), key=len)]
    height = (0.26 + 0.1 * len(seeds)) * len(ids)
    figure, axes = grid(len(parted), 3, 0.3 + height, 1.1, sharex=True, sharey=True)
    names = [textwrap.fill(f"{id}  {table[table.id == id].statement.iloc[0]}", 44) for id in ids]
    for axis, (recipe, runs) in zip(axes, parted.items(), strict=True):
        _panel(axis, table, runs, ids)
        axis.set_yticks(range(len(ids)), names, fontsize=SMALL)
        axis.set_title(runs[0] if len(runs) == 1 else f"{recipe}, {len(runs)} seeds")
    axes[0].set_ylim(len(ids) - 0.5, -0.5)
    _legend(figure, seeds)
    x_label(figure, "value in each claim's own measure, 95 % interval")
    figure.suptitle("What the claims' rules say")
    return figure


def _panel(axis: Axes, table: pd.DataFrame, runs: list[str], ids: list[str]) -> None:
    for y, id in enumerate(ids):
        if y % 2 == 0:
            axis.axhspan(y - 0.5, y + 0.5, color=BAND, linewidth=0, zorder=0)
        said = table[(table.id == id) & table.run.isin(runs)]
        rows = said[said.n > 0]
        for seed, row in zip((runs.index(run) for run in rows.run), rows.itertuples(), strict=True):
            at = y + spread_seeds(seed, len(runs))
            style: Style = {
                "fmt": MARKERS[seed % len(MARKERS)],
                "markersize": 5,
                "capsize": 2.5,
                "zorder": 3,
            }
            spread = [[row.value - row.low], [row.high - row.value]]
            axis.errorbar(
                row.value, at, xerr=spread, color=VERDICTS[row.verdict], label=row.run, **style
            )
            _control(axis, row, at, 11 if len(runs) == 1 else 7)
        verdict, colour = _said(list(said.verdict))
        axis.text(
            1.02,
            y,
            verdict,
            transform=axis.get_yaxis_transform(),
            va="center",
            color=colour,
            fontsize=SMALL,
        )
    axis.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    axis.tick_params(axis="y", length=0)


def _control(axis: Axes, row: Any, at: float, size: int) -> None:
    """The control's level as a bar, and its interval as a line."""
    axis.plot([row.control_low, row.control_high], [at, at], color="black", linewidth=0.9, zorder=4)
    style: Style = {"color": "black", "markersize": size, "markeredgewidth": 1.3, "zorder": 4}
    axis.plot(row.control, at, "|", **style)


def _said(verdicts: list[str]) -> tuple[str, str]:
    """The verdict on a claim as text, and its colour; where seeds differ, the most frequent verdict
    and how many seeds give it."""
    if not verdicts:
        return "", GREY
    [(verdict, n)] = Counter(verdicts).most_common(1)
    words = verdict.replace(" the ", "\nthe ")
    if n == len(verdicts):
        return words, VERDICTS[verdict]
    return f"{n} of {len(verdicts)}\n{words}", GREY


def _legend(figure: Figure, seeds: Sequence[str]) -> None:
    styles: dict[str, Style] = {said: {"color": VERDICTS[said], "marker": "o"} for said in VERDICTS}
    styles["control or baseline"] = {"color": "black", "marker": "|", "ms": 11, "linewidth": 0.9}
    if len(seeds) > 1:
        for nth, seed in enumerate(seeds):
            marker = MARKERS[nth % len(MARKERS)]
            styles[f"seed {seed}"] = {"color": GREY, "marker": marker, "linestyle": "none"}
    entries = [Line2D([], [], label=label, **style) for label, style in styles.items()]
    n_cols = min(len(entries), 5)
    figure.legend(handles=entries, loc="outside lower center", ncols=n_cols, frameon=False)
