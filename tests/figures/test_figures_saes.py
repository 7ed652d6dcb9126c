"""Figures of SAEs draw small made-up tables without a warning, and the same bytes each time."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mazewm.features import taxonomy
from mazewm.figures import saes
from mazewm.figures.style import DPI, VERMILION, WIDTH, save
from mazewm.sae.operating_point import TOLERANCE

ALL_KINDS = (*taxonomy.KINDS, "other", "dense", "dead")
RUNS = ("learned-0", "rotary-0")


pytestmark = pytest.mark.usefixtures("style")


def frontier_rows(runs=RUNS):
    rows = [
        {
            "run": run,
            "place": "0.resid_post",
            "token_class": "c2",
            "width": width,
            "sparsity": k,
            "explained_variance": 0.8 + k / 100,
        }
        | {
            "l0": k,
            "solved_clean": 0.9,
            "n_lost": 5 + int(64 // k),
            "n_gained": 2,
            "n_mazes": 211,
            "n_connections": 12,
        }
        | {"mcc": 0.5, "mcc_low": 0.4, "mcc_high": 0.6, "is_chosen": (width, k) == (64, 8.0)}
        for run in runs
        for width in (32, 64, 128)
        for k in (4.0, 8.0, 16.0)
    ]
    return pd.DataFrame(rows)


def counts(runs=RUNS):
    rows = [
        (run, "0.resid_post", sae, kind, 7 + nth)
        for run in runs
        for sae in ("trained", "untrained_model")
        for nth, kind in enumerate(ALL_KINDS)
    ]
    return pd.DataFrame(rows, columns=["run", "place", "sae", "kind", "n"])


def positions(runs=RUNS, sites=("0.resid_post at c2",)):
    rng = np.random.default_rng(0)
    halves = ("early", "late")
    rows = [
        (run, site, e, found, measured, e, rng.random(), 7, 101 if measured == "early" else 211)
        for run in runs
        for site in sites
        for e in range(12)
        for found in halves
        for measured in halves
    ]
    return pd.DataFrame(
        rows,
        columns=[
            "run",
            "site",
            "connection",
            "found_on",
            "measured_on",
            "latent",
            "f1",
            "n_positive",
            "n_tokens",
        ],
    )


FIGURES = {
    "frontier": lambda: saes.frontier(frontier_rows()),
    "frontier of one run": lambda: saes.frontier(frontier_rows(RUNS[:1])),
    "frontier of relu": lambda: saes.frontier(
        frontier_rows().assign(
            sparsity=lambda rows: rows.sparsity / 100, l0=lambda rows: 31.7 / rows.l0
        )
    ),
    "taxonomy": lambda: saes.taxonomy(counts()),
    "taxonomy without some kinds": lambda: saes.taxonomy(counts().query("kind != 'dense'")),
    "early_late": lambda: saes.early_late(positions()),
    "early_late of three": lambda: saes.early_late(
        positions(RUNS[:1], ("0.resid_post at c2", "1.resid_post at ;", "0.resid_post at ;"))
    ),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_drawn_and_can_be_read(tmp_path, name, unreadable):
    contents = []
    for nth in range(2):
        save(figure := FIGURES[name](), tmp_path / f"{nth}.png")
        plt.close("all")
        contents.append((tmp_path / f"{nth}.png").read_bytes())
    assert contents[0] == contents[1] and len(contents[0]) > 3000
    assert int.from_bytes(contents[0][16:20], "big") == WIDTH * DPI
    assert not unreadable(figure)


def test_the_chosen_point_is_ringed():
    figure = saes.frontier(frontier_rows(RUNS[:1]))
    for axis, y in zip(figure.axes, (0.88, 0.5, 100 * (13 - 2) / 211), strict=True):
        [ring] = [line for line in axis.lines if line.get_fillstyle() == "none"]
        assert ring.get_color() == VERMILION
        assert ring.get_ydata()[0] == pytest.approx(y)
        assert ring.get_xdata()[0] == pytest.approx(8 * 1.05), "the second width, a little aside"


def test_panels_of_one_measure_share_the_scale_of_all_places():
    rows = frontier_rows()
    rows.loc[rows.run == RUNS[1], ["explained_variance", "mcc"]] -= 0.3
    axes = np.reshape(saes.frontier(rows).axes, (2, 3))
    for column in (0, 1):
        low, high = axes[0, column].get_ylim()
        assert axes[1, column].get_ylim() == (low, high)
    assert 0.5 < axes[0, 0].get_ylim()[0] < 0.54 and axes[0, 0].get_ylim()[1] < 1


def test_what_is_tolerated_is_what_the_rule_tolerates():
    assert saes.TOLERATED == 100 * TOLERANCE


def test_the_interval_of_a_paired_difference():
    """30 of 1000 lost and 10 gained: 2 points, give or take 1.96 sqrt((0.04 - 0.02^2) / 1000)."""
    assert saes._lost(30, 10, 1000) == (
        pytest.approx(2),
        pytest.approx(196 * (0.0396 / 1000) ** 0.5),
    )


def test_every_kind_has_its_colour_and_its_count():
    assert set(saes.COLOURS) == set(ALL_KINDS)
    figure = saes.taxonomy(counts(RUNS[:1]))
    [axis] = figure.axes
    shown = {text.get_text() for text in axis.texts}
    assert shown == {str(7 + nth) for nth in range(len(ALL_KINDS))} | {"connection: 7"}
    assert "84 latents" in axis.get_yticklabels()[0].get_text()
