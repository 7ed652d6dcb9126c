"""C2c and C2d on made-up tables in which the truth is planted."""

import pytest
from planted import verdict
from planted_frame import N_MAZES, frame_rows, holding, writing

from mazewm.claims import frame


def test_c2c_holds_more_than_how_often_each_cell_is_mentioned():
    found = frame.holds_the_maze(holding(model=0.9, mentions=0.6, untrained=0.3))
    assert (found.id, verdict(found)) == ("C2c", "supported")
    assert found.value.value == pytest.approx(0.9, abs=0.02) and found.value.n == N_MAZES
    assert found.measure.endswith("at <ORIGIN_START>, depth 2")
    values = {one.name: one.value.value for one in found.controls}
    assert values == {
        "mentions of each cell": pytest.approx(0.5, abs=0.02),
        "mentions of each cell, by boosted trees": pytest.approx(0.6, abs=0.02),
        "untrained model": pytest.approx(0.3, abs=0.02),  # where it is read best
        "embedding": pytest.approx(0.0, abs=0.05),
    }
    assert found.controls[0].gap.n_clusters == N_MAZES / 2, "equal connections count together"
    less = holding(model=0.4, mentions=0.6, untrained=0.3)
    assert verdict(frame.holds_the_maze(less)) == "not beyond the control"
    alike = holding(model=0.6, mentions=0.6, untrained=0.3)
    assert verdict(frame.holds_the_maze(alike)) == "not beyond the control"


def test_c2d_the_tokens_are_chosen_on_validation_twins():
    found = frame.writes_there(writing(list_end=0.3, both=0.9))
    assert (found.id, verdict(found)) == ("C2d", "supported")
    assert found.value.value == pytest.approx(0.8, abs=0.03)
    assert found.measure.endswith("at frame, depth 1, dose 2")
    values = {one.name: one.value.value for one in found.controls}
    assert values["the blind walker"] == pytest.approx(0.2)
    assert values["random direction"] == pytest.approx(0.05 - 0.1, abs=0.02)
    assert verdict(frame.writes_there(writing(0.1, 0.2))) == "refuted"
    as_well = frame.writes_there(writing(0.3, 0.9, random=0.9))
    assert verdict(as_well) == "not beyond the control"


def test_without_mazes_both_are_unmeasured():
    whole, written = holding(0.9, 0.6, 0.3), writing(0.3, 0.9)
    assert verdict(frame.holds_the_maze(whole[:0])) == "unmeasured"
    assert verdict(frame.writes_there(written[:0])) == "unmeasured"
    nothing = written.assign(n_affected=0, n_hit=0)
    assert verdict(frame.writes_there(nothing)) == "unmeasured"


def test_the_curves():
    read = frame.whole_curve(holding(0.9, 0.6, 0.3)).set_index(["readout", "token", "depth"])
    assert read.value["model", "<ADJLIST_END>", 2] == pytest.approx(0.8, abs=0.02)
    assert (read.low < read.value).all() and len(read) == 8
    written = frame.written_curve(writing(0.3, 0.9)).set_index(["tokens", "method"])
    one = written.loc["frame", "mean_difference"]
    assert one.hit - one.spill == pytest.approx(one.value) and one.n == N_MAZES
    one = frame.written_curve(frame_rows({("frame", "mean_difference"): 0.5}))
    figures = frame.summary(frame.whole_curve(holding(0.9, 0.6, 0.3)), one)
    assert figures["read"] == {
        "<ADJLIST_END>": pytest.approx(0.8, abs=0.02),
        "<ORIGIN_START>": pytest.approx(0.9, abs=0.02),
        "mentions": pytest.approx(0.5, abs=0.02),
        "mentions_boosted": pytest.approx(0.6, abs=0.02),
    }
    assert figures["written"] == {"frame": pytest.approx(0.4, abs=0.03)}
