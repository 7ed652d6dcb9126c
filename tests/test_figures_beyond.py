"""The figures of what lies beyond the input, from made-up tables."""

import numpy as np
import pandas as pd
import pytest

from mazewm.figures import beyond
from mazewm.figures.style import save
from mazewm.scores.beyond import probe_curves

pytestmark = pytest.mark.usefixtures("style")


def probe_rows(runs):
    common = [("model", t, d, 0.5 + 0.1 * d) for t in beyond.TOKENS for d in range(3)]
    common += [(r, t, d, 0.5) for r in ("untrained_model", "shuffled_labels") for t in beyond.TOKENS for d in range(3)]
    common += [("input", "none", -1, 0.6), ("input_pairs", "none", -1, 0.65)]
    rows = [(run, split, fact, token, depth, readout, unit, score + 0.01 * unit, 101) for run in runs for split in ("validation", "test")
            for fact in beyond.FACTS for readout, token, depth, score in common for unit in range(5)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["run", "split", "fact", "token", "depth", "readout", "unit", "score", "n"])
    return pd.concat([probe_curves(part).assign(run=run) for run, part in frame.groupby("run")], ignore_index=True)


def steer_curves(runs):
    rows = [
        {"run": run, "situation": situation, "fact": "on_path", "where": where, "depth": depth, "method": method}
        | {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 53}
        for run in runs
        for situation, where in beyond.PANELS
        for depth in (1, 2)
        for method, value in (("probe", 0.6), ("random_direction", 0.1))
    ]
    return pd.DataFrame(rows)


def test_figures_draw_the_same_bytes(tmp_path):
    runs = ["learned-0", "rotary-0"]
    draws = [lambda: beyond.probes(probe_rows(runs)), lambda: beyond.steering(steer_curves(runs), "on_path")]
    for nth, draw in enumerate(draws):
        contents = []
        for again in (0, 1):
            save(draw(), tmp_path / f"{nth}-{again}.png")
            contents.append((tmp_path / f"{nth}-{again}.png").read_bytes())
        assert contents[0] == contents[1]
        assert int.from_bytes(contents[0][16:20], "big") == 900


def test_every_run_and_fact_has_a_panel_that_says_n():
    figure = beyond.probes(probe_rows(["a", "b"]))
    assert len(figure.axes) == 6 and all("101 test mazes" in axis.get_title() for axis in figure.axes)
    drawn = figure.axes[0].lines[0]
    assert np.allclose(drawn.get_ydata(), [0.52, 0.62, 0.72])
