"""The figures of claims show what their tables say, and a method alike in all of them."""

import numpy as np
import pandas as pd
import pytest
from figures.made_up import HEADS, KNOCKED, claims_table, compared, curve, of_both_runs
from matplotlib.colors import to_hex
from planted import READOUTS, SITE, attention_rows, feature_rows, knockout_rows
from planted_runs import geometries, numbers, of_ten

from mazewm.figures import capacity, circuits, claims, code, edits, verdicts
from mazewm.figures.style import BLACK, METHODS, SERIES, VERDICTS

pytestmark = pytest.mark.usefixtures("style")


def test_own_mass_stands_beside_its_controls_and_the_threshold():
    figure = claims.own_mass(
        attention_rows(HEADS).drop(columns=["measure", "bin"]).assign(run="learned-0"), 0.4
    )
    axis = next(axis for axis in figure.axes if axis.get_title() == "learned-0, at c2")
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0.0", "0.1", "1.0", "1.1"]
    own = axis.containers[0].lines[0].get_ydata()
    assert np.allclose(own, list(HEADS.values()))
    assert 0.4 in [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == ":"]


def test_every_run_has_its_own_heads_beside_its_own_points():
    few = knockout_rows({"0.0": (0.2, 0.0), "all": (1.0, 0.0)}).assign(run="a")
    many = knockout_rows({"0.0": (0.5, 0.0), "0.1": (0.6, 0.0), "all": (0.7, 0.0)}).assign(run="b")
    figure = claims.knock_outs(pd.concat([few, many]))
    for axis, names, values in zip(
        figure.axes,
        (["0.0", "all"], ["0.0", "0.1", "all"]),
        ([0.2, 1.0], [0.5, 0.6, 0.7]),
        strict=True,
    ):
        assert [label.get_text() for label in axis.get_yticklabels()] == names
        assert np.allclose(axis.containers[0].lines[0].get_xdata(), values)


def colours(figure):
    """The colour of everything that is named after a method or its label, in all panels."""
    names = {look.label: method for method, look in METHODS.items()} | {
        name: name for name in METHODS
    }
    pairs = set()
    for axis in figure.axes:
        for box in axis.containers:
            pairs.add((names.get(box.get_label()), box.lines[0].get_color()))
        for line in axis.lines:
            pairs.add((names.get(line.get_label()), line.get_color()))
    return {pair for pair in pairs if pair[0]}


@pytest.mark.slow
def test_a_method_has_one_colour_in_every_figure():
    drawn = [
        claims.own_mass(compared().curves["attention"], 0.5),
        claims.knock_outs(of_both_runs(knockout_rows(KNOCKED))),
        claims.readouts(curve("singles"), of_both_runs(feature_rows(READOUTS))),
        circuits.knockouts(knockout_rows(KNOCKED), [str(SITE)]),
        edits.asymmetry(curve("doses")),
        capacity.capacity(curve("corridors"), curve("held")),
    ]
    pairs = set().union(*map(colours, drawn))
    assert len(pairs) > 8
    for method, colour in pairs:
        assert colour == METHODS[method].colour
    assert not set(SERIES) & {look.colour for look in METHODS.values()}


def test_methods_that_share_a_figure_can_be_told_apart():
    together = (edits.DOSED, capacity.METHODS_SHOWN, edits.ROWS[:8], claims.READOUTS)
    for methods in together:
        assert len({METHODS[method][1:] for method in methods}) == len(methods)
    for method, look in METHODS.items():
        if method == "none":
            continue  # neither a method nor a control
        is_control = look.label.startswith("control")
        assert is_control == (look.line != "-") or look.colour == BLACK


def test_a_point_for_every_run_of_each_number_that_is_compared():
    found = numbers({"brought_to_c2": {"rotary": 9.0}}, ("learned", "rotary"))
    axes = [axis for axis in code.code(found).axes if axis.get_title()]
    assert len(axes) == found[found.id != "C10"].key.nunique()
    [axis] = [one for one in axes if one.get_title() == "C7a  brought to c2"]
    dots = np.concatenate([points.get_offsets() for points in axis.collections])
    mine = found[found.key == "brought_to_c2"]
    assert sorted(dots[:, 0].tolist()) == sorted(mine.value.tolist())
    assert set(dots[dots[:, 0] > 5, 1]) == {1.0}, "rotary is the second row"


def test_an_interval_over_two_seeds_does_not_squeeze_the_runs():
    """Of 0.4 and 0.6 Student's interval goes from -0.8 to 1.8; the panel shows the runs, and their
    own intervals."""
    found = numbers().query("key == 'brought_to_c2'").head(1)
    pair = [
        found.assign(seed=n, value=v, low=v - 0.1, high=v + 0.1) for n, v in ((0, 0.4), (1, 0.6))
    ]
    figure = code.code(pd.concat(pair))
    [axis] = [one for one in figure.axes if one.get_title()]
    widest = max(np.ptp(line.get_xdata()) for line in axis.lines if len(line.get_xdata()))
    assert widest > 2 and axis.get_xlim() == pytest.approx((0.252, 0.748))
    heads = {str(line.get_marker()): line.get_xdata() for line in axis.lines}
    assert (heads["<"], heads[">"]) == (pytest.approx([0.252]), pytest.approx([0.748]))
    [axis] = [one for one in code.code(found).axes if one.get_title()]
    assert not {"<", ">"} & {line.get_marker() for line in axis.lines}, "one run's fits its panel"
    # wide enough to the left for the mean's interval, by the interval of a run
    low = pd.concat([pair[0].assign(low=-2.0), pair[1]])
    [axis] = [one for one in code.code(low).axes if one.get_title()]
    assert {"<", ">"} & {line.get_marker() for line in axis.lines} == {">"}


def test_a_line_joins_the_two_objectives_of_a_seed():
    found = numbers(encodings=("learned",), objectives=("all", "path"), n_seeds=3)
    [axis] = code.objectives(found).axes
    ten = of_ten(found).pivot(index="seed", columns="objective", values="value")
    assert [line.get_ydata().tolist() for line in axis.lines] == ten.to_numpy().tolist()


def test_pairs_of_runs_are_parted_by_what_they_have_in_common():
    found = numbers(encodings=("learned", "rotary"), n_seeds=3)
    alike = geometries(found, 0.7)
    _, axis = [one for one in code.geometry(alike, found).axes if one.get_label() != "<colorbar>"]
    names = [text.get_text() for text in axis.get_yticklabels()]
    assert names == ["same encoding,\nsame objective", "other encoding,\nsame objective"]
    drawn = [line for line in axis.lines if len(line.get_xdata()) > 1]
    assert [len(line.get_xdata()) for line in drawn] == [6, 6, 9, 9]
    own, embedding = drawn[0], drawn[1]
    assert own.get_xdata().mean() > drawn[2].get_xdata().mean() + 0.2
    assert embedding.get_color() != own.get_color()


def test_claims_are_coloured_by_verdict_and_said_in_words():
    table = claims_table()
    [axis, _] = verdicts.claims(table).axes
    labels = [text.get_text() for text in axis.get_yticklabels()]
    assert [label.split()[0] for label in labels][:5] == ["W1a", "W1b", "W1c", "C1", "C2"]
    rows = table[(table.run == "learned-0") & (table.n > 0)].set_index("id")
    points = {
        labels[round(float(box.lines[0].get_ydata()[0]))].split()[0]: box for box in axis.containers
    }
    assert set(points) == set(rows.index) != set(table.id), "no point where there is no example"
    for id, box in points.items():
        assert box.lines[0].get_color() == VERDICTS[rows.verdict[id]]
    said = [text.get_text() for text in axis.texts]
    assert said == [
        verdict.replace(" the ", "\nthe ") for verdict in table[table.run == "learned-0"].verdict
    ]


def test_bands_part_the_rows_of_claims():
    [axis, _] = verdicts.claims(claims_table()).axes
    bands = [patch.get_y() for patch in axis.patches]
    assert bands == [y - 0.5 for y in range(0, len(axis.get_yticks()), 2)]


def test_seeds_of_one_recipe_share_a_panel_of_claims(unreadable):
    table = claims_table()
    table = pd.concat(
        [table[table.run == "learned-0"].assign(run=f"learned-{n}") for n in range(3)]
    )
    table.loc[(table.run == "learned-2") & (table.id == "W1a"), "verdict"] = "undecided"
    figure = verdicts.claims(table)
    [axis] = figure.axes
    verdict = table[table.id == "W1a"].verdict.iloc[0]
    assert axis.texts[0].get_text() == f"2 of 3\n{verdict}" != "2 of 3\nundecided"
    assert not unreadable(figure)


def many_recipes():
    """Four recipes, of which the first has two seeds that disagree on W1a."""
    one = claims_table()
    one = one[one.run == "learned-0"]
    runs = ["a-all-0", "a-all-1", "a-path-0", "b-all-0", "b-path-0"]
    table = pd.concat([one.assign(run=run) for run in runs], ignore_index=True)
    is_other = (table.run == "a-all-1") & (table.id == "W1a")
    table.loc[is_other, ["verdict", "value"]] = ["undecided", 0.0]
    is_nothing = (table.run == "b-path-0") & (table.id == "C1")
    table.loc[is_nothing, ["verdict", "n"]] = ["unmeasured", 0]
    return table


def test_many_recipes_have_a_cell_for_each_claim_with_a_strip_for_each_seed(unreadable):
    table = many_recipes()
    figure = verdicts.claims(table)
    [axis] = figure.axes
    ids = [label.get_text().split()[0] for label in axis.get_yticklabels()]
    assert [label.get_text() for label in axis.get_xticklabels()] == [
        "a\nall\n2 seeds", "a\npath", "b\nall", "b\npath",
    ]  # fmt: skip
    drawn = {
        (ids[round(box.get_y() + 0.45)], round(box.get_x() + box.get_width() / 2, 2)): to_hex(
            box.get_facecolor()
        )
        for box in axis.patches
    }
    assert len(drawn) == len(table)
    for run, x in (("a-all-0", -0.24), ("a-all-1", 0.24), ("a-path-0", 1), ("b-path-0", 3)):
        for row in table[table.run == run].itertuples():
            [colour] = [c for (id, at), c in drawn.items() if id == row.id and abs(at - x) < 0.01]
            assert colour == VERDICTS[row.verdict].lower()
    written = {(text.get_position()[0], round(text.get_position()[1] + 0.2)): text.get_text()
               for text in axis.texts if text.get_fontweight() == "bold"}  # fmt: skip
    one = table[(table.run == "a-path-0") & (table.id == "W1a")].iloc[0]
    assert written[0, 0] == f"{one.value / 2:.2f}" != written[1, 0] == f"{one.value:.2f}"
    below = {text.get_position(): text.get_text() for text in axis.texts}
    assert below[1, 0.22] == f"{one.control:.2f}" != written[1, 0]
    assert (2, ids.index("C1")) in written and (3, ids.index("C1")) not in written
    assert not unreadable(figure)
