"""How often rollouts follow an edit, by its dose."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mazewm.figures.style import METHODS, Style, grid, is_control, legend_below

DRAWN = (
    "latents", "fixed_value", "latents_and_cells", "mean_difference", "probe_direction",
    "other_connection", "other_latents", "random_latents", "random_direction",
)  # fmt: skip
PLACES = {
    "all": "all tokens of the class",
    "borrowed": "one borrowed token",
    "own": "the connection's own token",
}


def dose_curves(dose: pd.DataFrame, site: str) -> Figure:
    """follows_edit against dose at one site, for adding and removing: a panel for each kind and
    ``where``, a line for each method.

    Latents have a line for each size of their set, thin and dotted for all but the largest.
    """
    rows = dose[(dose.site == site) & dose.kind.isin(["add", "remove"])]
    panels = list(rows[rows.method == "latents"].groupby(["kind", "where"]).groups)
    figure, axes = grid(len(panels), 3, 3.4, 1.3, sharey=True)
    for axis, (kind, where) in zip(axes, panels, strict=True):
        here = rows[(rows.kind == kind) & (rows["where"] == where)]
        for method in (method for method in DRAWN if method in set(here.method)):
            _lines(axis, here[here.method == method], method)
        ceiling, look = rows[(rows.kind == kind) & (rows.method == "tokens")], METHODS["tokens"]
        for value in ceiling.follows_edit[:1]:
            axis.axhline(value, color=look.colour, linestyle="-.", linewidth=1.2, label=look.label)
        axis.set(xscale="log", xlabel="dose")
        axis.set_title(f"{kind}, at {PLACES.get(where, where)}\n(n = {int(here.n.max()):,})")
        axis.set_xticks(sorted(here.dose.unique()), [f"{d:g}" for d in sorted(here.dose.unique())])
        axis.minorticks_off()
    if axes and panels:
        axes[0].set_ylim(-0.02, 1.02)
        axes[0].set_ylabel("share of rollouts that follow the edit")
    legend_below(figure, axes, 3)
    figure.suptitle(f"How strong must an edit be?  {site}, mazes solved unedited, bands: 95 %")
    return figure


def _lines(axis: Axes, rows: pd.DataFrame, method: str) -> None:
    """The line of one method with its band, and thin lines for smaller sets of latents."""
    look, sizes = METHODS[method], sorted(rows.n_latents.unique())
    for n_latents in sizes:
        line = rows[rows.n_latents == n_latents].sort_values("dose")
        is_smaller = method == "latents" and n_latents < sizes[-1]
        label = (
            f"{look.label}, {n_latents} of each connection" if method == "latents" else look.label
        )
        width = (
            0.8 + 0.4 * sizes.index(n_latents) if is_smaller else 1.0 if is_control(method) else 1.8
        )
        style: Style = {
            "color": look.colour,
            "marker": look.marker,
            "markersize": 2 + width,
            "label": label,
        }
        style |= {"linestyle": ":" if is_smaller else look.line, "linewidth": width}
        axis.plot(line.dose, line.follows_edit, **style)
        if not is_smaller:
            axis.fill_between(
                line.dose, line.low, line.high, color=look.colour, alpha=0.1, linewidth=0
            )
