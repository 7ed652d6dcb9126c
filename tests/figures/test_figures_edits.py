"""The figures of edits and of corridors show what their tables say, for one run and for two, and
where some kind of pair is missing.
"""

import numpy as np
import pandas as pd
import pytest
from figures.made_up import RUNS, curve

from mazewm.figures import capacity, edits, runs
from mazewm.figures.style import DPI, METHODS, WIDTH, save

pytestmark = pytest.mark.usefixtures("style")

FIGURES = {
    "edits": lambda names: edits.edits(curve("edits", names)),
    "by_dose": lambda names: edits.by_dose(curve("doses", names)),
    "asymmetry": lambda names: edits.asymmetry(curve("doses", names)),
    "capacity": lambda names: capacity.capacity(curve("corridors", names), curve("held", names)),
    "writing": lambda names: runs.writing(curve("writing", names)),
}


@pytest.mark.parametrize(
    "names", [RUNS, pytest.param(RUNS[:1], marks=pytest.mark.slow)], ids=["two", "one"]
)
@pytest.mark.parametrize("name", FIGURES)
def test_figures_can_be_read(tmp_path, name, names, unreadable):
    figure = FIGURES[name](names)
    assert not unreadable(figure)
    save(figure, tmp_path / "figure.png")
    content = (tmp_path / "figure.png").read_bytes()
    assert int.from_bytes(content[16:20], "big") == WIDTH * DPI
    titles = " ".join(axis.get_title() for axis in figure.axes)
    assert all(run in titles for run in names)


def labels(figure):
    return {text.get_text() for legend in figure.legends for text in legend.get_texts()}


def test_edits_show_hit_and_spill_of_every_method():
    table = curve("edits")
    figure = edits.edits(table)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == [f"{run}: {kind} (20)" for run in RUNS for kind in edits.KINDS.values()]
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(names) == len(set(names)) == 6 + 3 * 2 + 5 and "SAE latents, 3" in names
    shown = {}
    for line in figure.axes[1].lines:
        if line.get_marker() == "o" and len(line.get_xdata()):
            shown[names[int(line.get_ydata()[0])]] = line.get_xdata()[0]
    mine = table[(table.run == RUNS[0]) & (table.kind == "remove") & table.is_main]
    rows = mine.set_index(["method", "n_units"]).hit
    assert shown["SAE latents, 1"] == rows["latents", 1] != rows["latents", 3]
    assert shown["mean difference"] == rows["mean_difference", 0]
    assert len(shown) == len(mine) - 1, "all but no edit"
    assert len(labels(figure)) == 2


def test_curves_are_of_test_mazes_at_the_main_site_and_the_headline():
    table = curve("doses")
    adding, removing, *_ = edits.asymmetry(table).axes
    for axis, kind in ((adding, "add"), (removing, "remove")):
        lines = {line.get_label(): line for line in axis.lines}
        for method in edits.DOSED:
            mine = table[(table.run == RUNS[0]) & (table.kind == kind) & (table.split == "test")]
            mine = mine[(mine.method == method) & mine.is_main & (mine.n_units <= 1)]
            line = lines[METHODS[method].label]
            assert line.get_xdata().tolist() == mine.length.tolist() == [3.0, 6.0]
            assert np.allclose(line.get_ydata(), mine.hit - mine.spill)


def test_hit_against_spill_on_validation_mazes():
    table = curve("doses").copy()
    table.loc[table.split == "test", "hit"] = 0.123
    figure = edits.by_dose(table)
    [line] = figure.axes[0].lines
    assert line.get_ydata().tolist() == [0.45, 0.9] and line.get_xdata().tolist() == [0, 0]
    assert [axis.get_title() for axis in figure.axes] == list(RUNS)
    for axis in figure.axes:
        [named] = axis.get_legend().get_texts()
        assert named.get_text() == "0.resid_post at c1 and <ADJLIST_END>"


def test_corridors_and_what_is_believed():
    figure = capacity.capacity(curve("corridors"), curve("held"))
    long, short, held = figure.axes[:3]
    assert "longest prompts\nn = 10 mazes each" in long.get_title()
    assert "short prompts" in short.get_title() and "n = 20 mazes" in held.get_title()

    def of(axis, method):
        [box] = [b for b in axis.containers if b.get_label() == METHODS[method].label]
        return np.round(np.asarray(box.lines[0].get_xdata(), float)).tolist(), box.lines[
            0
        ].get_ydata().tolist()

    assert of(long, "tokens") == ([1, 2, 3], pytest.approx([0.3] * 3))
    assert of(short, "tokens") == ([1, 2, 3], pytest.approx([0.9] * 3))
    assert of(held, "latents") == ([2, 4], pytest.approx([8.8, 10.6]))
    [most] = [line for line in held.lines if line.get_label() == "the most in training"]
    assert set(most.get_ydata()) == {7}
    shown = {METHODS[method].label for method in capacity.METHODS_SHOWN}
    assert labels(figure) == shown | {"the most in training"}


def test_the_most_in_training_does_not_depend_on_what_is_believed():
    table = curve("held").assign(n_connections=9)
    axis = capacity.capacity(curve("corridors"), table).axes[2]
    [most] = [line for line in axis.lines if line.get_label() == "the most in training"]
    assert set(most.get_ydata()) == {9}


@pytest.mark.parametrize("names", [RUNS, RUNS[:1]], ids=["two", "one"])
def test_kinds_without_pairs_leave_their_panels_empty(names, unreadable):
    table, corridors, held = (curve(name, names) for name in ("edits", "corridors", "held"))
    figures = [
        edits.edits(table[table.kind != "move"]),
        capacity.capacity(corridors[corridors.is_long], held),
        capacity.capacity(corridors[~corridors.is_long], held.head(0)),
        capacity.capacity(corridors.head(0), held),
        capacity.capacity(corridors.head(0), held.head(0)),
    ]
    for figure in figures:
        assert not unreadable(figure)
    assert "moving (0)" in figures[0].axes[2].get_title()
    assert figures[1].axes[1].get_title().endswith("short prompts\nnone")
    assert figures[2].axes[2].get_title().endswith("believed at once\nnone")
    assert figures[3].axes[0].get_title().endswith("longest prompts\nnone")


def test_one_run_may_lack_what_the_other_has(unreadable):
    corridors, held = curve("corridors"), curve("held")
    corridors = corridors[(corridors.run == RUNS[0]) | corridors.is_long]
    figure = capacity.capacity(corridors, held[held.run == RUNS[1]])
    assert len(figure.axes) == 6 and not unreadable(figure)
    table = curve("doses")
    some = table[(table.run == RUNS[0]) | (table.kind == "add")]
    assert not unreadable(edits.asymmetry(pd.DataFrame(some)))
