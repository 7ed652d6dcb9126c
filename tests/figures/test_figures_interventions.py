"""The figures of interventions draw from small made-up tables what those tables say."""

import numpy as np
import pandas as pd
import pytest

from mazewm.figures import examples, interventions, overload
from mazewm.figures.style import DPI, METHODS, WIDTH, save

SITE = "0.resid_post at c2"


pytestmark = pytest.mark.usefixtures("style")


def curve(run, kind, method, values, first=1, where="borrowed", dose=2.0):
    """One line: a value for each number of connections."""
    rows = [
        {"n_changed": first + nth, "follows_edit": value, "low": value - 0.05, "high": value + 0.05}
        for nth, value in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(
        run=run, kind=kind, method=method, where=where, dose=dose, n=53
    )


def curves(run, kind="overload"):
    parts = [
        curve(run, kind, "tokens", [0.9, 0.3, 0.1, 0.1], first=0, where="all", dose=1.0),
        curve(run, kind, "latents", [0.7, 0.6, 0.5]),
    ]
    parts += [
        curve(run, kind, "no_op", [1.0, 0.0, 0.0, 0.0], first=0, where="all", dose=1.0),
        curve(run, kind, "mean_difference", [0.6] * 3),
    ]
    parts += [
        curve(run, kind, method, [0.2, 0.1, 0.1])
        for method in ("repeated", "shifted", "other_connection", "random_latents")
    ]
    return pd.concat(parts, ignore_index=True)


RUNS = ("learned-0", "rotary-0")
MANY = pd.concat(
    [curves(run, kind) for run in RUNS for kind in ("overload", "several")], ignore_index=True
)


def drawn(figure, path):
    save(figure, path)
    content = path.read_bytes()
    assert int.from_bytes(content[16:20], "big") == WIDTH * DPI
    return content


@pytest.mark.parametrize("figure", [overload.overload, overload.several])
def test_curves_have_a_panel_for_each_run_and_the_same_bytes(tmp_path, figure):
    one = figure(MANY)
    assert [axis.get_title().split("\n")[0] for axis in one.axes] == list(RUNS)
    assert all("borrowed, dose 2; n = 53" in axis.get_title() for axis in one.axes)
    assert drawn(one, tmp_path / "one.png") == drawn(figure(MANY), tmp_path / "two.png")


def lines_of(axis):
    """x, rounded to whole connections, and y of each line by what it is called."""
    return {
        box.get_label(): (
            np.round(np.asarray(box.lines[0].get_xdata(), float)).tolist(),
            list(box.lines[0].get_ydata()),
        )
        for box in axis.containers
    }


def test_latents_start_from_the_unedited_model_and_tokens_from_themselves():
    lines = lines_of(overload.overload(MANY).axes[0])
    assert lines["added as SAE latents"] == ([0, 1, 2, 3], [1.0, 0.7, 0.6, 0.5])
    assert lines["added as tokens"] == ([0, 1, 2, 3], [0.9, 0.3, 0.1, 0.1])
    for method in ("repeated", "shifted"):
        assert lines[overload.LABELS[method]] == ([1, 2, 3], [0.2, 0.1, 0.1])
    assert len(lines) == 7, "no line for the no-op"


def test_the_axis_spans_the_data_and_is_one_for_all_runs():
    high = MANY[MANY.method != "no_op"].assign(follows_edit=0.9, low=0.85, high=0.95)
    first, second = overload.several(high).axes
    assert first.get_ylim() == second.get_ylim()
    low, top = first.get_ylim()
    assert 0.8 < low < 0.85 and 0.95 < top < 1


def test_seeds_lie_over_each_other():
    rows = pd.concat([curves(run) for run in ("learned-all-0", "learned-all-1", "rotary-all-0")])
    learned, rotary = overload.overload(rows).axes
    assert learned.get_title().startswith("learned-all, 2 seeds")
    assert rotary.get_title().startswith("rotary-all-0")
    assert len(learned.containers) == 2 * len(rotary.containers)


@pytest.mark.parametrize("n_runs", [1, 5])
def test_any_number_of_runs(tmp_path, n_runs):
    rows = pd.concat([curves(f"run{nth}-0") for nth in range(n_runs)])
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
        methods = [
            ("latents", 1),
            ("latents", 4),
            ("mean_difference", 0),
            ("probe_direction", 0),
            (other, 4),
            ("random_direction", 0),
        ]
        for nth, (method, n) in enumerate(methods):
            rows += [
                (kind, where, method, n, dose, 0.1 * nth + dose / 100) for dose in (1.0, 2.0, 4.0)
            ]
        rows.append((kind, where, "tokens", 0, 1.0, 0.8))
    frame = pd.DataFrame(
        rows, columns=["kind", "where", "method", "n_latents", "dose", "follows_edit"]
    )
    return frame.assign(
        site=SITE,
        low=frame.follows_edit - 0.05,
        high=frame.follows_edit + 0.05,
        keeps_original=0.0,
        n=101,
    )


def test_dose_curves_have_a_line_for_each_method(tmp_path):
    moved = dose_rows().query("kind == 'remove'").assign(kind="move")
    rows = pd.concat([dose_rows(), dose_rows().assign(site="elsewhere"), moved])
    figure = interventions.dose_curves(rows, SITE)
    assert [axis.get_title().replace("\n", " ") for axis in figure.axes] == [
        "add, at all tokens of the class (n = 101)",
        "add, at one borrowed token (n = 101)",
        "remove, at the connection's own token (n = 101)",
    ]
    lines = {line.get_label(): line for line in figure.axes[2].lines}
    few, many = (f"SAE latents, {n} of each connection" for n in (1, 4))
    others = ("mean_difference", "probe_direction", "other_latents", "random_direction", "tokens")
    assert set(lines) == {few, many} | {METHODS[method].label for method in others}
    assert np.allclose(lines["mean difference"].get_ydata(), [0.21, 0.22, 0.24])
    assert lines[METHODS["other_latents"].label].get_linestyle() == "--"
    assert lines[many].get_linestyle() == "-"
    assert lines[few].get_linewidth() < lines[many].get_linewidth()
    drawn(figure, tmp_path / "figure.png")


def example_rows(kinds=("add", "remove", "move"), n=7):
    """A 3 x 3 maze 0-1-2-5-8 and 0-3; the path goes from 0 to 2 and then from 0 by 3 and 4 to 5."""
    connections = np.zeros(12, bool)
    connections[[6, 7, 2, 5, 0]] = True
    added, removed = (
        {"add": [8], "remove": [], "move": [9]},
        {"add": [], "remove": [7], "move": [6]},
    )
    rows = [
        {
            "kind": kind,
            "connections": connections,
            "added": added[kind],
            "removed": removed[kind],
            "original": [0, 1, 2, 5],
        }
        | {"measured": [0, 3, 4, 5] if nth % 3 == 0 else [0, 1, -2], "origin": 0, "target": 5}
        | {"follows_edit": nth % 3 == 0, "keeps_original": nth % 3 == 1}
        for kind in kinds
        for nth in range(n)
    ]
    return pd.DataFrame(rows)


def test_examples_of_each_kind_stand_in_a_row(tmp_path):
    figure = examples.example_mazes(example_rows(), "a caption")
    titles = [axis.get_title() for axis in figure.axes]
    assert len(titles) == 15 and titles[:4] == [
        "add: follows",
        "add: keeps its path",
        "add: does neither",
        "add: follows",
    ]
    assert titles[5] == "remove: follows" and titles[10] == "move: follows"
    assert len(figure.legends) == 1 and len(figure.legends[0].get_texts()) == 7
    drawn(figure, tmp_path / "figure.png")


def test_an_example_shows_what_was_edited_and_walked():
    figure = examples.example_mazes(example_rows(), "a caption")
    for axis, n_added, n_removed in (
        (figure.axes[0], 1, 0),
        (figure.axes[5], 0, 1),
        (figure.axes[10], 1, 1),
    ):
        dotted = [line for line in axis.lines if line.get_linewidth() == 4]
        crosses = [points for points in axis.collections if points.get_linewidth()[0] == 2.4]
        assert (len(dotted), len(crosses)) == (n_added, n_removed)
        assert len([line for line in axis.lines if line.get_linewidth() == 7]) == 5, (
            "the maze as spelled"
        )
        [walked] = [line for line in axis.lines if line.get_linewidth() == 2.2]
        assert np.allclose(walked.get_xdata(), np.array([0, 0, 1, 2]) + 0.08) and np.allclose(
            walked.get_ydata(), np.array([0, 1, 1, 1]) + 0.08
        )
        [before] = [line for line in axis.lines if line.get_linewidth() == 1.6]
        assert np.allclose(before.get_xdata(), np.array([0, 1, 2, 2]) - 0.08)


def test_few_examples_and_none(tmp_path):
    drawn(examples.example_mazes(example_rows(["remove"], 2), "a caption"), tmp_path / "two.png")
    drawn(examples.example_mazes(example_rows().head(0), "a caption"), tmp_path / "none.png")


def candidates(*rows):
    """Examples with a maze, an edited connection and a length of the predicted path each."""
    frame = pd.DataFrame(rows, columns=["maze_id", "edited", "length"])
    return frame.assign(
        example=range(len(rows)),
        added=[[e] for e in frame.edited],
        removed=[[]] * len(rows),
        predicted=[list(range(n)) for n in frame.length],
    )


def chosen(rows):
    return examples.choose(rows).example.tolist()


def test_examples_with_the_longest_predicted_paths_are_shown():
    rows = candidates((0, 0, 2), (1, 1, 7), (2, 2, 5), (3, 3, 7), (4, 4, 6), (5, 5, 3), (6, 6, 4))
    assert chosen(rows) == [1, 3, 4, 2, 6]
    assert chosen(rows.iloc[::-1]) == [1, 3, 4, 2, 6], "whatever the order of the rows"


def test_no_maze_and_no_connection_is_shown_twice():
    rows = candidates((0, 0, 9), (0, 1, 8), (1, 0, 7), (1, 2, 6), (2, 3, 5))
    assert chosen(rows) == [0, 3, 4]


def test_what_the_model_did_does_not_decide_what_is_shown():
    rows = candidates((0, 0, 4), (1, 1, 5), (2, 2, 6))
    follows = [chosen(rows.assign(follows_edit=flag, measured=0)) for flag in (True, False)]
    assert follows == [[2, 1, 0]] * 2
