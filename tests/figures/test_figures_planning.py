"""The figures of what lies beyond the input, from made-up tables."""

import numpy as np
import pandas as pd
import pytest

from mazewm.claims.planning import probe_curves
from mazewm.figures import planning
from mazewm.figures.style import DPI, METHODS, WIDTH, run_looks, save

pytestmark = pytest.mark.usefixtures("style")


def probe_rows(runs):
    common = [("model", t, d, 0.5 + 0.1 * d) for t in planning.TOKENS for d in range(3)]
    common += [
        (r, t, d, 0.5)
        for r in ("untrained_model", "shuffled_labels")
        for t in planning.TOKENS
        for d in range(3)
    ]
    common += [("input", "none", -1, 0.6), ("input_pairs", "none", -1, 0.65)]
    rows = [
        (run, split, fact, token, depth, readout, unit, score + 0.01 * unit, 101)
        for run in runs
        for split in ("validation", "test")
        for fact in planning.FACTS
        for readout, token, depth, score in common
        for unit in range(5)
    ]
    frame = pd.DataFrame(
        rows, columns=["run", "split", "fact", "token", "depth", "readout", "unit", "score", "n"]
    )
    return pd.concat(
        [probe_curves(part).assign(run=run) for run, part in frame.groupby("run")],
        ignore_index=True,
    )


def steer_curves(runs):
    rows = [
        {
            "run": run,
            "situation": situation,
            "fact": "on_path",
            "where": where,
            "depth": depth,
            "method": method,
        }
        | {"value": value, "low": value - 0.1, "high": value + 0.1, "n": 53}
        for run in runs
        for situation, where in planning.PANELS
        for depth in (1, 2)
        for method, value in (("probe", 0.6), ("random_direction", 0.1))
    ]
    return pd.DataFrame(rows)


def test_figures_draw_the_same_bytes(tmp_path):
    runs = ["learned-0", "rotary-0"]
    draws = [
        lambda: planning.probes(probe_rows(runs)),
        lambda: planning.steering(steer_curves(runs), "on_path"),
    ]
    for nth, draw in enumerate(draws):
        contents = []
        for again in (0, 1):
            save(draw(), tmp_path / f"{nth}-{again}.png")
            contents.append((tmp_path / f"{nth}-{again}.png").read_bytes())
        assert contents[0] == contents[1]
        assert int.from_bytes(contents[0][16:20], "big") == WIDTH * DPI


def test_text_can_be_read(unreadable):
    runs = ["learned-all-0", "learned-all-1", "rotary-all-0"]
    assert not unreadable(planning.probes(probe_rows(runs)))
    assert not unreadable(planning.steering(steer_curves(runs), "on_path"))


def test_facts_are_rows_tokens_are_columns_and_all_runs_are_in_each():
    runs = ["a-0", "a-1", "b-0"]
    figure = planning.probes(probe_rows(runs))
    axes = np.reshape(figure.axes, (len(planning.FACTS), len(planning.TOKENS)))
    assert [axis.get_title() for axis in axes[0]] == [
        f"at {name}" for name in planning.TOKENS.values()
    ]
    assert all("101 mazes" in axis.get_ylabel() for axis in axes[:, 0])
    looks = run_looks(runs)
    assert looks["a-0"].colour == looks["a-1"].colour != looks["b-0"].colour
    assert looks["a-0"].marker != looks["a-1"].marker
    for axis in axes.flat:
        lines = {line.get_label(): line for line in axis.lines}
        assert {f"model {run}" for run in runs} < set(lines)
        for run in runs:
            assert np.allclose(lines[f"model {run}"].get_ydata(), [0.52, 0.62, 0.72])
            assert lines[f"model {run}"].get_color() == looks[run].colour


def test_the_axis_of_steering_ends_above_the_data():
    figure = planning.steering(
        steer_curves(["a-0"]).assign(high=0.4, value=0.3, low=0.2), "on_path"
    )
    assert 0.4 < figure.axes[0].get_ylim()[1] < 0.5
    shown = {line.get_label(): line.get_color() for line in figure.axes[0].lines}
    assert shown == {METHODS[m].label: METHODS[m].colour for m in ("probe", "random_direction")}
