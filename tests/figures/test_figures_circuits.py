"""The figures of patching and attention show what small made-up tables say, without a warning."""

import numpy as np
import pandas as pd
import pytest

from mazewm.circuits.groups import TOKEN_GROUPS
from mazewm.figures import attention, patching
from mazewm.figures.style import DPI, METHODS, WIDTH, save

RUNS = ("learned-0", "rotary-0")
PLACES = [
    (0, "resid_pre"),
    *[(layer, site) for layer in (0, 1) for site in ("attn_out", "mlp_out", "resid_post")],
]


pytestmark = pytest.mark.usefixtures("style")


def effects(runs=RUNS):
    rows = [
        {
            "run": run,
            "layer": layer,
            "site": site,
            "token_group": group,
            "effect": 0.9 if group == "own c2" and layer == 0 else -0.001,
        }
        for run in runs
        for layer, site in PLACES
        for group in (TOKEN_GROUPS if site != "resid_pre" else ("own c1", "own c2"))
    ]
    return (
        pd.DataFrame(rows)
        .eval("low = effect - 0.03")
        .eval("high = effect + 0.05")
        .assign(n=41, n_wrong=3)
    )


def pairs_and_patches(runs=RUNS):
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame([(run, n, n, n != 3) for run in runs for n in range(11)])
    pairs.columns = ["run", "pair", "connection_set", "is_right"]
    pairs = pairs.assign(metric_clean=5.0, metric_corrupted=-7.0)
    places = [
        (run, pair, *place, group)
        for run in runs
        for pair in range(11)
        for place in PLACES
        for group in ("own c1", "own c2")
    ]
    patches = pd.DataFrame(places, columns=["run", "pair", "layer", "site", "token_group"])
    change = rng.uniform(0, 9, len(patches))
    patches = patches.assign(metric_patched=5 - change, attribution=2 * change)
    return pairs, patches


def heads(measure, bins, runs=RUNS):
    rows = [
        {
            "run": run,
            "layer": layer,
            "head": head,
            "token_class": c,
            "measure": measure,
            "bin": bin,
            "control": control,
        }
        | {
            "mean": 0.1
            if control == "uniform"
            else (0.2 + 0.3 * head) * (1 + bin) / (1 + max(bins)),
            "sd": 0.1,
            "n": 101,
        }
        for run in runs
        for layer in (0, 1)
        for head in (0, 1)
        for c in ("c1", "<-->", "c2", ";")
        for bin in bins
        for control in ("none", "uniform")
    ]
    return pd.DataFrame(rows)


def scores(runs=RUNS):
    rows = [
        (run, 0, head, query, key, offset, head - offset / 8, 0.2 * (run == "learned-0"))
        for run in runs
        for head in (0, 1, 2)
        for query in ("<-->", "c2", ";")
        for key in ("coordinate", "<-->", ";")
        for offset in range(17)
    ]
    return pd.DataFrame(
        rows,
        columns=[
            "run",
            "layer",
            "head",
            "query_class",
            "key_class",
            "offset",
            "score",
            "sd_over_positions",
        ],
    )


FIGURES = {
    "patching": lambda runs: patching.patching(effects(runs)),
    "patching_parts": lambda runs: patching.patching_parts(effects(runs)),
    "attribution": lambda runs: patching.attribution(*pairs_and_patches(runs)),
    "offset_profile": lambda runs: attention.offset_profile(heads("offset", range(9), runs)),
    "position_profile": lambda runs: attention.position_profile(heads("position", (0, 2, 5), runs)),
    "parity": lambda runs: attention.parity(heads("parity", (0, 1), runs)),
    "qk_profile": lambda runs: attention.qk_profile(scores(runs)),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_drawn_and_grows_with_the_runs(tmp_path, name, unreadable):
    for runs, path in ((RUNS, "both.png"), (RUNS[1:], "one.png")):
        save(figure := FIGURES[name](runs), tmp_path / path)
        assert not unreadable(figure)
    both, one = ((tmp_path / path).read_bytes() for path in ("both.png", "one.png"))
    assert int.from_bytes(both[16:20], "big") == WIDTH * DPI
    assert int.from_bytes(one[20:24], "big") < int.from_bytes(both[20:24], "big")


def test_heat_map_has_depth_downwards_and_reading_order_to_the_right():
    figure = patching.patching(effects())
    panels = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title().split(":")[0] for axis in panels] == list(RUNS)
    for axis in panels:
        assert [label.get_text() for label in axis.get_yticklabels()] == [
            "embedding",
            "block 0",
            "block 1",
        ]
        texts = {tuple(text.get_position()): text.get_text() for text in axis.texts}
        c2 = TOKEN_GROUPS.index("own c2")
        assert texts == {(c2, 0): "0.90", (c2, 1): "0.90"}, "nothing that is as good as zero"
        values = axis.images[0].get_array()
        assert values[1, c2] == 0.9 and values.mask.sum() == len(TOKEN_GROUPS) - 2
        assert axis.get_ylim()[0] > axis.get_ylim()[1]


def test_parts_have_a_panel_each():
    titles = [
        axis.get_title().split(" (")[0]
        for axis in patching.patching_parts(effects()).axes
        if axis.get_title()
    ]
    assert titles == [
        f"{run}: what {part}" for run in RUNS for part in ("attention adds", "the MLP adds")
    ]


def test_attribution_says_how_well_it_agrees():
    figure = patching.attribution(*pairs_and_patches())
    axis = figure.axes[0]
    # ten right pairs, two groups, two layers
    assert axis.get_title() == "learned-0: attention's output\n(n = 40)"
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [
        f"block {layer}: r 1.00, ρ 1.00" for layer in (0, 1)
    ]
    points = np.concatenate([line.get_xydata() for line in axis.lines if line.get_marker() == "."])
    assert np.allclose(points[:, 1], 2 * points[:, 0])


@pytest.mark.parametrize(
    "draw, measure, bins",
    [
        (attention.offset_profile, "offset", range(9)),
        (attention.position_profile, "position", (0, 2, 5)),
    ],
)
def test_profiles_have_a_line_for_each_head_and_the_control(draw, measure, bins):
    other = heads("own_mass", (0,))
    figure = draw(pd.concat([heads(measure, bins), other]))
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == [f"block {n}, at  {c}" for _ in RUNS for c in ("c2", ";") for n in (0, 1)]
    labels = [axis.get_ylabel().split("\n")[0] for axis in figure.axes[::2]]
    assert labels == [run for run in RUNS for _ in ("c2", ";")]
    for axis in figure.axes:
        lines = {box.get_label(): box.lines[0].get_xydata() for box in axis.containers}
        assert set(lines) == {"head 0", "head 1"}
        assert lines["head 1"][:, 0].tolist() == list(bins)
        assert lines["head 1"][-1, 1] == pytest.approx(0.5)
        [uniform] = [x for x in axis.lines if x.get_label() == METHODS["uniform"].label]
        assert np.allclose(uniform.get_ydata(), 0.1)


def test_parity_sets_even_beside_odd():
    axis = attention.parity(heads("parity", (0, 1))).axes[0]
    shown = {box.get_label(): box.lines[0].get_ydata().tolist() for box in axis.containers}
    expected = {"row + col even": [0.1, 0.25], "row + col odd": [0.2, 0.5]}
    assert shown == {name: pytest.approx(values) for name, values in expected.items()}


@pytest.mark.parametrize("effect, low, high, text", [
    (0.9, 0.8, 0.99, "0.90"),
    (-0.2, -0.3, -0.1, "-0.20"),
    (0.04, 0.03, 0.05, ""),
    (0.3, -0.1, 0.7, ""),
])  # fmt: skip
def test_only_effects_that_differ_from_zero_are_printed(effect, low, high, text):
    one = effects(RUNS[:1]).query("token_group == 'own c2' and layer == 0 and site == 'resid_post'")
    figure = patching.patching(one.assign(effect=effect, low=low, high=high))
    assert [text.get_text() for text in figure.axes[0].texts] == [text] * bool(text)
    assert "at least 0.05" in figure.get_suptitle()


def test_scores_are_marked_where_such_a_token_can_stand():
    figure = attention.qk_profile(scores())
    assert [axis.get_title() for axis in figure.axes] == [
        f"{run}: head 0.{head}" for run in RUNS for head in (0, 1, 2)
    ]
    marked = {
        line.get_label(): line.get_xdata().tolist()
        for line in figure.axes[0].lines
        if line.get_marker() != "None"
    }
    assert marked == {
        "to coordinate": list(range(0, 17, 2)),
        "to <-->": [1, 5, 9, 13],
        "to ;": [3, 7, 11, 15],
    }
