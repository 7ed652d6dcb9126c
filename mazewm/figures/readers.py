"""Figures of the heads of later blocks that read a connection, and of the latents that binding
heads predict."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mazewm.circuits.readers import AT_SITE, OTHER
from mazewm.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    NAVY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    WIDTH,
    empty,
    grid,
    legend_below,
)
from mazewm.sae.files import FROZEN

WAYS = {
    "prompt": ("*", BLACK, "the other connection is in the prompt"),
    "token": ("s", ORANGE, "its token is patched"),
    "mean_difference": ("D", GREEN, "mean differences exchanged at the token"),
    "latents": ("o", BLUE, "latents exchanged at the token"),
    "latents_1": ("^", SKY, "one latent each exchanged at the token"),
    "site_latents": ("P", NAVY, "latents written at the writing site"),
    "other_latents": ("x", VERMILION, "control: a third connection's latents"),
    "frozen_decoder": ("+", PURPLE, "control: units of the frozen decoder"),
    "random_direction": (">", GREY, "control: random push at the token"),
}


def look_of(way: str) -> tuple[str, str, str]:
    """Marker, colour and name of a way to change the run.

    >>> look_of("latents_16")[2], look_of("latents_1")[2]
    ('latents exchanged at the token', 'one latent each exchanged at the token')
    """
    if way in WAYS:
        return WAYS[way]
    units = way.rpartition("_")[0]
    return WAYS[units] if units in WAYS else WAYS[units.removeprefix(AT_SITE)]


def shown(ways: Sequence[str]) -> list[str]:
    """All ways but controls at the token where they are at the writing site, too, as the latents
    are that the claim is about.

    >>> shown(["latents_16", "frozen_decoder_16", "site_frozen_decoder_16"])
    ['latents_16', 'site_frozen_decoder_16']
    """
    controls = (f"{OTHER}_", f"{FROZEN}_")
    return [way for way in ways if not (way.startswith(controls) and AT_SITE + way in ways)]


SLIGHT = 0.05  # a share of a slighter effect, as large as its error, says nothing


def readers(shares: pd.DataFrame) -> Figure:
    """C3c: what each head of a later block reads of a change; a panel for each run and site.
    ``shares`` has the rows of ``claims.readers.reader_shares`` of all runs."""
    panels = list(dict.fromkeys(zip(shares.run, shares.site, strict=True))) if len(shares) else []
    if not panels:
        return empty("connections are read after the last block, or no pair of mazes is read right")
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(WIDTH, 1.6 + 2.8 * len(panels)), layout="constrained",
        squeeze=False,
    )  # fmt: skip
    for axis, (run, site) in zip(axes[:, 0], panels, strict=True):
        _panel(axis, shares[(shares.run == run) & (shares.site == site)], f"{run}, {site}")
    axes[-1, 0].set_xlabel("head of a later block (block.head)")
    legend_below(figure, list(axes[:, 0]), 2)
    figure.suptitle(
        "C3c  Do later heads read what latents write as they read the connection's token?\n"
        "Effect: of the prompt's; r: correlation with the token over heads and pairs\n"
        f"No shares are drawn of effects below {SLIGHT}"
    )
    return figure


def _panel(axis: Axes, rows: pd.DataFrame, title: str) -> None:
    single = rows[rows.heads.str.contains(".", regex=False)]
    heads, ways = list(dict.fromkeys(single.heads)), shown(list(dict.fromkeys(single.written)))
    found = rows.set_index(["written", "heads"]).value
    for nth, way in enumerate(ways):
        if found[way, "all"] < SLIGHT:
            continue
        marker, colour, label = look_of(way)
        mine = single[single.written == way].set_index("heads").loc[heads]
        x = np.arange(len(heads)) + 0.7 * ((nth + 0.5) / len(ways) - 0.5)
        sides = np.maximum([mine.value - mine.low, mine.high - mine.value], 0)
        axis.errorbar(x, mine.value, yerr=sides, fmt=marker, color=colour, markersize=4.5,
                      linewidth=1, label=label)  # fmt: skip
    axis.axhline(0, color="black", linewidth=0.6)
    for between in range(1, len(heads)):
        axis.axvline(between - 0.5, color="#D8D8D8", linewidth=0.6)
    axis.set_xticks(range(len(heads)), heads)
    axis.set_xlim(-0.5, len(heads) - 0.5)
    axis.set_ylabel("share of the effect\nlost without the head")
    said = [
        f"{way.replace('_', ' ')}: effect {found[way, 'all']:.2f}"
        + (f", r {found[way, 'agreement']:.2f}" if (way, "agreement") in found.index else "")
        for way in ways
        if way != "prompt"
    ]
    lines = ["; ".join(said[first : first + 3]) for first in range(0, len(said), 3)]
    axis.set_title(f"{title} (n = {int(rows.n.max())} pairs)\n" + "\n".join(lines), fontsize=8.5)


CIRCUITS = {
    "binding": (BLUE, "o", "binding heads only"),
    "others": (BLACK, "s", "control: all other heads"),
    "token": (GREY, ">", "control: no head, the token itself"),
}


def predictions(values: pd.DataFrame) -> Figure:
    """C3d: the mean value of every connection's latent, and the one that circuits predict; a panel
    for each run and site. ``values`` has the rows of ``claims.circuits.predicted_values`` of all
    runs."""
    panels = list(dict.fromkeys(zip(values.run, values.site, strict=True))) if len(values) else []
    if not panels:
        return empty("no latent of a connection is known")
    figure, axes = grid(len(panels), 2, 3.2, 1.3)
    for axis, (run, site) in zip(axes, panels, strict=True):
        here = values[(values.run == run) & (values.site == site)]
        said = here[here.connection < 0].set_index("circuit").explained
        mine = here[here.connection >= 0]
        most = float(mine[["value", "predicted"]].max().max()) * 1.05
        axis.plot([0, most], [0, most], color=GREY, linewidth=0.7)
        for circuit, (colour, marker, label) in CIRCUITS.items():
            one = mine[mine.circuit == circuit]
            axis.plot(one.value, one.predicted, marker, color=colour, markersize=4, label=label)
        n = int(here[here.connection < 0].n.max())
        axis.set_title(
            f"{run}, {site} (n = {n:,} mazes)\n"
            "explained: " + ", ".join(f"{name} {said[name]:.2f}" for name in CIRCUITS)
            + f"; table {said['connection']:.2f}", fontsize=8.5
        )  # fmt: skip
        axis.set_ylabel("predicted by the circuit")
        axis.set_xlabel("value of a connection's latent, mean")
    legend_below(figure, axes, 3)
    figure.suptitle("C3d  Do the binding heads predict the values of latents?")
    return figure
