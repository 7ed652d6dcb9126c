"""The figures of patching and of attention: drawn from small made-up tables, without a warning, and showing what the tables say."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mazewm.circuits.patching import TOKEN_GROUPS
from mazewm.figures import attention, patching
from mazewm.figures.style import save

RUNS = ("learned-0", "rotary-0")
PLACES = [(0, "resid_pre"), *[(layer, site) for layer in (0, 1) for site in ("attn_out", "mlp_out", "resid_post")]]


pytestmark = pytest.mark.usefixtures("style")


def effects(runs=RUNS):
    rows = [
        {"run": run, "layer": layer, "site": site, "token_group": group, "effect": 0.9 if group == "own c2" and layer == 0 else -0.001}
        for run in runs
        for layer, site in PLACES
        for group in (TOKEN_GROUPS if site != "resid_pre" else ("own c1", "own c2"))
    ]
    return pd.DataFrame(rows).eval("low = effect - 0.03").eval("high = effect + 0.05").assign(n=41, n_wrong=3)


def pairs_and_patches(runs=RUNS):
    rng = np.random.default_rng(0)
    pairs = pd.DataFrame([(run, pair, pair, 5.0, -7.0, pair != 3) for run in runs for pair in range(11)],
                         columns=["run", "pair", "connection_set", "metric_clean", "metric_corrupted", "is_right"])  # fmt: skip
    patches = pd.DataFrame([(run, pair, *place, group, 5 - x, 2 * x) for run in runs for pair in range(11) for place in PLACES
                            for group in ("own c1", "own c2") for x in [rng.uniform(0, 9)]],
                           columns=["run", "pair", "layer", "site", "token_group", "metric_patched", "attribution"])  # fmt: skip
    return pairs, patches


def heads(measure, bins, runs=RUNS):
    rows = [
        {"run": run, "layer": layer, "head": head, "token_class": c, "measure": measure, "bin": bin, "control": control}
        | {"mean": 0.1 if control == "uniform" else (0.2 + 0.3 * head) * (1 + bin) / (1 + max(bins)), "sd": 0.1, "n": 101}
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
    return pd.DataFrame(rows, columns=["run", "layer", "head", "query_class", "key_class", "offset", "score", "sd_over_positions"])


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
def test_figure_is_drawn_and_grows_with_the_runs(tmp_path, name):
    for runs, path in ((RUNS, "both.png"), (RUNS[1:], "one.png")):
        save(FIGURES[name](runs), tmp_path / path)
    both, one = ((tmp_path / path).read_bytes() for path in ("both.png", "one.png"))
    assert 600 <= int.from_bytes(both[16:20], "big") <= 1200
    assert int.from_bytes(one[20:24], "big") < int.from_bytes(both[20:24], "big")


def test_heat_map_has_depth_downwards_and_reading_order_to_the_right():
    figure = patching.patching(effects())
    panels = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title().split(":")[0] for axis in panels] == list(RUNS)
    for axis in panels:
        assert [label.get_text() for label in axis.get_yticklabels()] == ["embedding", "layer 0", "layer 1"]
        texts = {tuple(text.get_position()): text.get_text() for text in axis.texts}
        c2 = TOKEN_GROUPS.index("own c2")
        assert {at for at, text in texts.items() if text == "0.90\n±0.04"} == {(c2, 0), (c2, 1)}
        assert texts[c2, 2] == "0.00\n±0.04"  # not -0.00
        assert len(texts) == 2 + 2 * len(TOKEN_GROUPS)
        values = axis.images[0].get_array()
        assert values[1, c2] == 0.9 and values.mask.sum() == len(TOKEN_GROUPS) - 2
        assert axis.get_ylim()[0] > axis.get_ylim()[1]
    plt.close("all")


def test_parts_have_a_panel_each():
    titles = [axis.get_title().split(" (")[0] for axis in patching.patching_parts(effects()).axes if axis.get_title()]
    assert titles == [f"{run}: what {part}" for run in RUNS for part in ("attention adds", "the MLP adds")]
    plt.close("all")


def test_attribution_says_how_well_it_agrees():
    figure = patching.attribution(*pairs_and_patches())
    axis = figure.axes[0]
    assert axis.get_title() == "learned-0: attn_out (n = 40)"  # ten right pairs, two groups, two layers
    assert [text.get_text() for text in axis.get_legend().get_texts()] == [f"layer {layer}: r 1.00, ρ 1.00" for layer in (0, 1)]
    points = np.concatenate([line.get_xydata() for line in axis.lines if line.get_marker() == "."])
    assert np.allclose(points[:, 1], 2 * points[:, 0])
    plt.close("all")


@pytest.mark.parametrize(
    "draw, measure, bins", [(attention.offset_profile, "offset", range(9)), (attention.position_profile, "position", (0, 2, 5))]
)
def test_profiles_have_a_line_for_each_head_and_the_control(draw, measure, bins):
    other = heads("own_mass", (0,))
    figure = draw(pd.concat([heads(measure, bins), other]))
    assert [axis.get_title() for axis in figure.axes] == [
        f"{run}, at {c}, layer {layer}" for run in RUNS for c in ("c2", ";") for layer in (0, 1)
    ]
    for axis in figure.axes:
        lines = {container.get_label(): container.lines[0].get_xydata() for container in axis.containers}
        assert set(lines) == {"head 0", "head 1"}
        assert lines["head 1"][:, 0].tolist() == list(bins) and lines["head 1"][-1, 1] == pytest.approx(0.5)
        [uniform] = [line for line in axis.lines if line.get_label() == "uniform"]
        assert np.allclose(uniform.get_ydata(), 0.1)
    plt.close("all")


def test_parity_sets_even_beside_odd():
    axis = attention.parity(heads("parity", (0, 1))).axes[0]
    found = {container.get_label(): container.lines[0].get_ydata().tolist() for container in axis.containers}
    assert found == {"even": pytest.approx([0.1, 0.25]), "odd": pytest.approx([0.2, 0.5])}
    plt.close("all")


def test_scores_are_marked_where_such_a_token_can_stand():
    figure = attention.qk_profile(scores())
    assert [axis.get_title() for axis in figure.axes] == [f"{run}: head 0.{head}" for run in RUNS for head in (0, 1, 2)]
    marked = {line.get_label(): line.get_xdata().tolist() for line in figure.axes[0].lines if line.get_marker() != "None"}
    assert marked == {"to coordinate": list(range(0, 17, 2)), "to <-->": [1, 5, 9, 13], "to ;": [3, 7, 11, 15]}
    plt.close("all")
