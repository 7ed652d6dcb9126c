"""The figures of what lies beyond the input, from made-up tables."""

import numpy as np
import pandas as pd
import pytest
from planted import STEERED, probe_rows, steer_rows

from mazewm.claims.planning import probe_curves, steering_curves, step_curve
from mazewm.figures import planning
from mazewm.figures.style import DPI, METHODS, WIDTH, run_looks, save

pytestmark = pytest.mark.usefixtures("style")


SAME = {(token, depth): 0.5 + 0.1 * depth for token in planning.TOKENS for depth in range(3)}


def of_runs(curve, runs):
    return pd.concat([curve.assign(run=run) for run in runs], ignore_index=True)


def probe_curve(runs):
    return of_runs(probe_curves(probe_rows(SAME)), runs)


def steps(runs):
    return of_runs(step_curve(probe_rows(SAME)), runs)


def steer_curve(runs):
    return of_runs(steering_curves(steer_rows(STEERED)), runs)


@pytest.mark.slow
def test_figures_draw_the_same_bytes(tmp_path):
    runs = ["learned-0", "rotary-0"]
    draws = [
        lambda: planning.probes(probe_curve(runs)),
        lambda: planning.steering(steer_curve(runs)),
        lambda: planning.steps(steps(runs)),
        lambda: planning.steps(steps(runs).head(0)),
        lambda: planning.steering(steer_curve(runs).head(0)),
        lambda: planning.steering(steer_curve(runs).query("split == 'validation'")),
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
    assert not unreadable(planning.probes(probe_curve(runs)))
    assert not unreadable(planning.steering(steer_curve(runs)))
    assert not unreadable(planning.steps(steps(runs)))


def test_facts_are_rows_tokens_are_columns_and_all_runs_are_in_each():
    runs = ["a-0", "a-1", "b-0"]
    figure = planning.probes(probe_curve(runs))
    axes = np.reshape(figure.axes, (len(planning.FACTS), len(planning.TOKENS)))
    assert [axis.get_title() for axis in axes[0]] == [
        f"at {name}" for name in planning.TOKENS.values()
    ]
    assert all("40 connection sets" in axis.get_ylabel() for axis in axes[:, 0])
    looks = run_looks(runs)
    assert looks["a-0"].colour == looks["a-1"].colour != looks["b-0"].colour
    assert looks["a-0"].marker != looks["a-1"].marker
    assert looks["a-0"].label == looks["a-1"].label == "a, 2 seeds" != looks["b-0"].label == "b-0"
    for axis in axes.flat:
        for label, colour, n in (("a, 2 seeds", "a-0", 2), ("b-0", "b-0", 1)):
            lines = [line for line in axis.lines if line.get_label() == f"model {label}"]
            assert len(lines) == n
            for line in lines:
                assert np.allclose(line.get_ydata(), [0.5, 0.6, 0.7], atol=0.01)
                assert line.get_color() == looks[colour].colour


def test_encodings_have_colours_and_objectives_lines_and_fills():
    looks = run_looks(["a-all-0", "a-path-0", "b-all-0", "b-path-0"])
    assert looks["a-all-0"].colour == looks["a-path-0"].colour != looks["b-all-0"].colour
    for shared in ("line", "fill"):
        all_a, path_a, all_b, path_b = (getattr(look, shared) for look in looks.values())
        assert all_a == all_b != path_a == path_b


def test_steering_shows_every_method_on_test_forks():
    figure = planning.steering(steer_curve(["a-0"]))
    shown = figure.axes[1].get_legend_handles_labels()[1]
    wanted = ("given_target", "other_units", "shuffled_labels", "random_direction")
    assert set(shown) == {METHODS[name].label for name in wanted}
    assert "block 2" in figure.axes[1].get_yticklabels()[0].get_text()


def test_steps_have_a_line_for_each_depth():
    axis = planning.steps(steps(["a-0"])).axes[0]
    lines = {line.get_label(): line for line in axis.lines}
    assert {"embedding", "after 1 block", "after 2 blocks"} < set(lines)
    assert np.allclose(lines["after 2 blocks"].get_ydata(), 0.7, atol=0.01)
