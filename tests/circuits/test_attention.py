"""Where a head of known attention is said to look."""

import numpy as np
import pandas as pd
import pytest
from circuits import planted_circuit as toy

from mazewm.circuits.attention import (
    AttentionRow,
    BindingHead,
    attention_profile,
    connectivity_heads,
    earlier,
    own_mass,
    position_bins,
)
from mazewm.circuits.params import CircuitParams
from mazewm.inference.subject import Subject
from mazewm.io import tables
from mazewm.localize.locations import PAPER_LOCATION, Location
from mazewm.maze.tokens import CONNECTION_CLASSES, TokenClass

PARAMS = CircuitParams(
    n_mazes=97,
    n_swaps=7,
    batch_size=11,
    connectivity_threshold=0.5,
    n_binding_mazes=41,
    n_position_bins=3,
    n_threads=1,
)
C2 = Location(0, TokenClass.C2)


@pytest.fixture(scope="module")
def rows() -> list[AttentionRow]:
    return attention_profile(
        Subject(toy.planted(n_layers=2), toy.trees(97), 0, PARAMS.batch_size),
        PARAMS.n_position_bins,
    )


@pytest.fixture(scope="module")
def frame(rows) -> pd.DataFrame:
    return tables.frame(rows, AttentionRow)


def test_head_that_looks_two_back_is_seen_to(frame):
    head = frame[(frame.layer == 0) & (frame["head"] == 0) & (frame.control == "none")]
    at_c2 = head[head.token_class == "c2"]
    assert np.allclose(at_c2[at_c2.measure != "offset"]["mean"], 1, atol=1e-4)
    assert np.allclose(at_c2["sd"], 0, atol=1e-4)
    offsets = head[head.measure == "offset"]
    assert set(offsets["bin"]) == set(range(9))
    # The first connection's c1 has only the marker before it.
    seen = offsets[offsets.token_class != "c1"]
    assert np.allclose(seen["mean"], seen["bin"] == 2, atol=1e-4)
    assert np.allclose(
        head[(head.token_class == ";") & (head.measure == "own_mass")]["mean"], 0, atol=1e-4
    )


def test_uniform_head_equals_its_control(frame):
    head = frame[(frame.layer == 0) & (frame["head"] == 1)].set_index(
        ["token_class", "measure", "bin"]
    )
    real, control = head[head.control == "none"], head[head.control == "uniform"]
    assert len(real) == len(control) > 50
    assert np.allclose(real["mean"], control["mean"].loc[real.index], atol=1e-6)
    assert np.allclose(real["sd"], control["sd"].loc[real.index], atol=1e-6)


def test_uniform_control_is_the_hand_fraction():
    eight = attention_profile(
        Subject(toy.planted(), toy.trees(29, smallest=9), 0, PARAMS.batch_size),
        PARAMS.n_position_bins,
    )
    found = {
        row.token_class: row.mean
        for row in eight
        if row.measure == "own_mass" and row.control == "uniform" and row.head == 0
    }
    nth = np.arange(8)
    expected = {
        "c1": 0.0,
        "<-->": (1 / (4 * nth + 3)).mean(),
        "c2": (1 / (4 * nth + 4)).mean(),
        ";": (2 / (4 * nth + 5)).mean(),
    }
    assert found == pytest.approx(expected)


def test_shuffled_control_looks_at_another_connection(frame):
    shuffled = frame[
        (frame.control == "shuffled") & (frame.token_class == "c2") & (frame.layer == 0)
    ].set_index("head")
    assert shuffled["mean"][0] == pytest.approx(0, abs=1e-4)
    eight = attention_profile(
        Subject(toy.planted(), toy.trees(29, smallest=9), 0, PARAMS.batch_size),
        PARAMS.n_position_bins,
    )
    (uniform,) = [
        r.mean for r in eight if r.control == "shuffled" and r.token_class == "c2" and r.head == 1
    ]
    assert uniform == pytest.approx((1 / (4 * np.arange(1, 8) + 4)).mean(), rel=1e-5)


def test_every_head_and_class_is_there(frame):
    own = frame[(frame.measure == "own_mass") & (frame.control == "none")]
    assert len(own) == 2 * 2 * len(CONNECTION_CLASSES)
    assert set(own["n"]) == {97}
    assert frame.notna().all().all()


def test_earlier_connections_are_earlier():
    donors = earlier(np.random.default_rng(0), (101, 7))
    assert (donors[:, 1:] < np.arange(1, 7)).all()
    assert (donors[:, 0] == 0).all()
    assert {int(d) for d in donors[:, 6]} == set(range(6))


def test_position_bins_hold_about_equally_many():
    assert position_bins(np.array([6, 6, 6]), 3).tolist() == [0, 0, 2, 2, 4, 4]
    # Of 1-5 connections each, the first two places hold nine of fifteen tokens.
    assert position_bins(np.arange(1, 6), 2).tolist() == [0, 0, 2, 2, 2]
    assert position_bins(np.array([2]), 5).tolist() == [0, 1]


def test_heads_are_chosen_by_what_they_do(rows):
    (found,) = connectivity_heads(rows, C2, 0.5)
    assert found[:2] == (0, 0)
    assert found.own_mass == pytest.approx(1, abs=1e-4)


def test_no_head_is_no_head(rows):
    assert connectivity_heads(rows, PAPER_LOCATION, 0.5) == []
    assert connectivity_heads(rows, Location(0, TokenClass.C1), 0.5) == []


def test_connectivity_heads_are_of_all_blocks_up_to_the_sites():
    rows = [
        AttentionRow(layer, head, "c2", "own_mass", 0, control, mean, 0.0, 3)
        for layer, head, own in ((0, 0, 0.9), (1, 0, 0.3), (1, 1, 0.7), (1, 2, 0.15), (2, 0, 0.9))
        for control, mean in (("none", own), ("uniform", 0.05), ("shuffled", 0.1))
    ]
    site = Location(1, TokenClass.C2)
    assert connectivity_heads(rows, site, 0.5) == [BindingHead(0, 0, 0.9), BindingHead(1, 1, 0.7)]
    assert own_mass(rows, site) == {(0, 0): 0.9, (1, 0): 0.3, (1, 1): 0.7, (1, 2): 0.15}
