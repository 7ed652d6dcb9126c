"""The figures of interventions draw from small made-up tables what those tables say."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mazewm.figures import interventions, overload
from mazewm.figures.style import BLUE, VERMILION, save

SITE = "0.resid_post at c2"


pytestmark = pytest.mark.usefixtures("style")


def curve(run, kind, method, values, first=1, where="borrowed", dose=2.0):
    """One line: a value for each number of connections."""
    rows = [
        {"n_changed": first + nth, "follows_edit": value, "low": value - 0.05, "high": value + 0.05} for nth, value in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(run=run, kind=kind, method=method, where=where, dose=dose, n=53)


def curves(run, kind="overload"):
    parts = [curve(run, kind, "tokens", [0.9, 0.3, 0.1, 0.1], first=0, where="all", dose=1.0), curve(run, kind, "latents", [0.7, 0.6, 0.5])]
    parts += [
        curve(run, kind, "no_op", [1.0, 0.0, 0.0, 0.0], first=0, where="all", dose=1.0),
        curve(run, kind, "mean_difference", [0.6] * 3),
    ]
    parts += [curve(run, kind, method, [0.2, 0.1, 0.1]) for method in ("repeated", "shifted", "other_connection", "random_latents")]
    return pd.concat(parts, ignore_index=True)


RUNS = ("learned-0", "rotary-0")
MANY = pd.concat([curves(run, kind) for run in RUNS for kind in ("overload", "several")], ignore_index=True)


def drawn(figure, path):
    save(figure, path)
    content = path.read_bytes()
    assert 600 <= int.from_bytes(content[16:20], "big") <= 1200
    return content


@pytest.mark.parametrize("figure", [overload.overload, overload.several])
def test_curves_have_a_panel_for_each_run_and_the_same_bytes(tmp_path, figure):
    one = figure(MANY)
    assert [axis.get_title().split("\n")[0] for axis in one.axes] == list(RUNS)
    assert all("borrowed, dose 2; n = 53" in axis.get_title() for axis in one.axes)
    assert drawn(one, tmp_path / "one.png") == drawn(figure(MANY), tmp_path / "two.png")


def lines_of(axis):
    return {(line.get_color(), line.get_linestyle(), line.get_linewidth()): (line.get_xdata(), line.get_ydata()) for line in axis.lines}


def test_latents_start_from_the_unedited_model_and_tokens_from_themselves():
    figure = overload.overload(MANY)
    lines = lines_of(figure.axes[0])
    x, y = lines[BLUE, "-", 2.2]
    assert x.tolist() == [0, 1, 2, 3] and y.tolist() == [1.0, 0.7, 0.6, 0.5]
    x, y = lines[VERMILION, "-", 2.2]
    assert x.tolist() == [0, 1, 2, 3] and y.tolist() == [0.9, 0.3, 0.1, 0.1]
    assert lines[VERMILION, "--", 1.2][0].tolist() == [1, 2, 3] == lines[VERMILION, ":", 1.2][0].tolist()
    assert len(lines) == 7, "no line for the no-op"
    plt.close("all")


@pytest.mark.parametrize("n_runs", [1, 5])
def test_any_number_of_runs(tmp_path, n_runs):
    rows = pd.concat([curves(f"run-{nth}") for nth in range(n_runs)])
    figure = overload.overload(rows)
    assert sum(axis.axison for axis in figure.axes) == n_runs
    drawn(figure, tmp_path / "figure.png")


def dose_rows():
    rows = []
    for kind, where, other in (
        ("add", "all", "other_connection"),
        ("add", "borrowed", "other_connection"),
        ("remove", "own", "other_latents"),
    ):
        methods = [("latents", 1), ("latents", 4), ("mean_difference", 0), ("probe_direction", 0), (other, 4), ("random_direction", 0)]
        for nth, (method, n) in enumerate(methods):
            rows += [(kind, where, method, n, dose, 0.1 * nth + dose / 100) for dose in (1.0, 2.0, 4.0)]
        rows.append((kind, where, "tokens", 0, 1.0, 0.8))
    frame = pd.DataFrame(rows, columns=["kind", "where", "method", "n_latents", "dose", "follows_edit"])
    return frame.assign(site=SITE, low=frame.follows_edit - 0.05, high=frame.follows_edit + 0.05, keeps_original=0.0, n=101)


def test_dose_curves_have_a_line_for_each_method(tmp_path):
    moved = dose_rows().query("kind == 'remove'").assign(kind="move")
    figure = interventions.dose_curves(pd.concat([dose_rows(), dose_rows().assign(site="elsewhere"), moved]), SITE)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["add, at all (n = 101)", "add, at borrowed (n = 101)", "remove, at own (n = 101)"]
    lines = {line.get_label(): line for line in figure.axes[2].lines}
    assert set(lines) == {"latents, 1 of e", "latents, 4 of e", "mean difference", "probe direction", "other latents", "random direction",
                          "the tokens edited"}  # fmt: skip
    assert np.allclose(lines["mean difference"].get_ydata(), [0.21, 0.22, 0.24])
    assert lines["other latents"].get_linestyle() == "--" and lines["latents, 4 of e"].get_linestyle() == "-"
    assert lines["latents, 1 of e"].get_linewidth() < lines["latents, 4 of e"].get_linewidth()
    drawn(figure, tmp_path / "figure.png")


def example_rows(kinds=("add", "remove", "move"), n=7):
    """A 3 x 3 maze 0-1-2-5-8 and 0-3; the path goes from 0 to 2 and then from 0 by 3 and 4 to 5."""
    connections = np.zeros(12, bool)
    connections[[6, 7, 2, 5, 0]] = True
    added, removed = {"add": [8], "remove": [], "move": [9]}, {"add": [], "remove": [7], "move": [6]}
    rows = [
        {"kind": kind, "connections": connections, "added": added[kind], "removed": removed[kind], "original": [0, 1, 2, 5]}
        | {"measured": [0, 3, 4, 5] if nth % 3 == 0 else [0, 1, -2], "origin": 0, "target": 5}
        | {"follows_edit": nth % 3 == 0, "keeps_original": nth % 3 == 1}
        for kind in kinds
        for nth in range(n)
    ]
    return pd.DataFrame(rows)


def test_examples_of_each_kind_stand_in_a_row(tmp_path):
    figure = interventions.example_mazes(example_rows(), "a caption")
    titles = [axis.get_title() for axis in figure.axes]
    assert len(titles) == 15 and titles[:4] == ["add: follows", "add: keeps its path", "add: does neither", "add: follows"]
    assert titles[5] == "remove: follows" and titles[10] == "move: follows"
    assert len(figure.legends) == 1 and len(figure.legends[0].get_texts()) == 7
    drawn(figure, tmp_path / "figure.png")


def test_an_example_shows_what_was_edited_and_walked():
    figure = interventions.example_mazes(example_rows(), "a caption")
    for axis, n_added, n_removed in ((figure.axes[0], 1, 0), (figure.axes[5], 0, 1), (figure.axes[10], 1, 1)):
        dotted = [line for line in axis.lines if line.get_linewidth() == 4]
        crosses = [points for points in axis.collections if points.get_linewidth()[0] == 2.4]
        assert (len(dotted), len(crosses)) == (n_added, n_removed)
        assert len([line for line in axis.lines if line.get_linewidth() == 7]) == 5, "the maze as spelled"
        [walked] = [line for line in axis.lines if line.get_linewidth() == 2.2]
        assert np.allclose(walked.get_xdata(), np.array([0, 0, 1, 2]) + 0.08) and np.allclose(
            walked.get_ydata(), np.array([0, 1, 1, 1]) + 0.08
        )
        [before] = [line for line in axis.lines if line.get_linewidth() == 1.6]
        assert np.allclose(before.get_xdata(), np.array([0, 1, 2, 2]) - 0.08)
    plt.close("all")


def test_few_examples_and_none(tmp_path):
    drawn(interventions.example_mazes(example_rows(["remove"], 2), "a caption"), tmp_path / "two.png")
    drawn(interventions.example_mazes(example_rows().head(0), "a caption"), tmp_path / "none.png")
