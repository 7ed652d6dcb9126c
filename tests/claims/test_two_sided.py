"""The metrics of claims from both sides: the best that can be scores best, the worst scores worst,
and chance scores chance. Each is read from planted tables, as its claim reads it."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from planted import SITE, answers, beliefs, consistency_rows, knockout_rows, single_rows
from planted_paths import binding_rows, circuit_rows, edge_rows, prediction_rows

from mazewm.claims import circuits, verdicts
from mazewm.claims.claim import Claim
from mazewm.claims.code import _share_carried
from mazewm.claims.edits import hits, selectivity
from mazewm.claims.explained import value_of
from mazewm.claims.readers import _correlations
from mazewm.claims.statistics import contrast
from mazewm.claims.world import answers_take_more_than_walls, map_gap
from mazewm.features.ranking import f1
from mazewm.features.trees import agreement
from mazewm.localize.consolidation import net_accuracy

HERE, N = str(SITE), 4000
RNG = np.random.default_rng(0)
TRUTH, COIN = RNG.random(N) < 0.3, RNG.random(N) < 0.3
NOISE = RNG.standard_normal((2, N))
FEW = {"untrained_model": 0.0, "frozen_decoder": 0.0, "shuffled_labels": 0.0, "neurons": 0.0}


def edits(hit: float, spill: float) -> pd.DataFrame:
    n = np.full(20, 10)
    counts = {"n_hit": hit * n, "n_affected": n, "n_spill": spill * n, "n_unaffected": n}
    return pd.DataFrame(counts | {"connection_set": range(20)})


def explained(sse: float) -> float:
    rows = pd.DataFrame({"sse": sse, "sst": np.full(20, 2.0), "connection_set": range(20)})
    return value_of(rows).value


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    products = [np.ones_like(x), x, y, x * x, y * y, x * y]
    return float(_correlations(np.array([[each.sum() for each in products]]), 1)[0])


def carried(own: tuple[float, float], other: tuple[float, float]) -> float:
    counts = [[10, 10 * hit, 10, 10 * spill] for hit, spill in (other, own)]
    return float(_share_carried(np.array([sum(counts, [])], float))[0])


def claimed(one: Claim) -> float:
    return one.value.value


def world(p: float) -> float:
    both = pd.concat([answers(p), answers(0.0, model="untrained")])
    return claimed(answers_take_more_than_walls(both))


def lost(p: float) -> float:
    rows = binding_rows({"binding": p, "others": 1 - p}, HERE, noise=0.0)
    return claimed(circuits.binds_the_cells(rows, HERE))


def effect(p: float) -> float:
    rows = edge_rows({"circuit": p, "complement": 1 - p}, noise=0.0)
    return claimed(circuits.is_a_circuit(circuits.Edges(rows), circuit_rows()))


def predicted(p: float) -> float:
    rows = prediction_rows({"binding": p, "others": 0.0, "token": 0.0}, HERE)
    return claimed(circuits.predicts_latents(rows, HERE))


def net(probe: float) -> float:
    rows = pd.DataFrame({"probe_accuracy": [probe], "identity_accuracy": [0.25]})
    return float(net_accuracy(rows).iloc[0])


def picked(p: float) -> float:
    rows = consistency_rows({"binding": p, "other": 0.25})
    return claimed(verdicts.directions_agree(rows, HERE))


def without_heads(p: float) -> float:
    rows = knockout_rows({"binding": (p, 0.0), "others": (0.0, 0.0)})
    # values that are no shares have an interval only if they differ
    rows["effect_own"] += 0.01 * np.sin(np.pi * rows.connection / 6) * (rows.heads == "binding")
    return claimed(verdicts.knockout_is_specific(rows, HERE))


def single(p: float) -> float:
    return claimed(verdicts.encodes_connections(single_rows({"latents": p} | FEW)))


Three = tuple[Callable[[], float], Callable[[], float], Callable[[], float]]
# metric (its claims): what scores 1, what scores lowest and how low, what scores as chance does
METRICS: dict[str, tuple[Three, float, float]] = {
    "share solved (W1a)": ((lambda: world(1.0), lambda: world(0.0), lambda: world(0.5)), 0, 0.5),
    "map gap (W1b)": (
        tuple(  # type: ignore[arg-type]
            lambda p=p: map_gap(beliefs(*p), "trained").value for p in ((1, 0), (0, 1), (0.5, 0.5))
        ),
        -1, 0,
    ),
    "MCC of a detector (C1, C7e)": (
        (lambda: agreement(TRUTH, TRUTH)[1], lambda: agreement(TRUTH, ~TRUTH)[1],
         lambda: agreement(TRUTH, COIN)[1]), -1, 0,
    ),
    "balanced accuracy (trees)": (
        (lambda: agreement(TRUTH, TRUTH)[0], lambda: agreement(TRUTH, ~TRUTH)[0],
         lambda: agreement(TRUTH, COIN)[0]), 0, 0.5,
    ),
    "F1 (C7c)": (
        (lambda: f1(TRUTH, TRUTH), lambda: f1(~TRUTH, TRUTH), lambda: f1(COIN, TRUTH)), 0, 0.3,
    ),
    "MCC, mean over connections (C1)": (
        (lambda: single(1.0), lambda: single(-1.0), lambda: single(0.0)), -1, 0,
    ),
    "share lost (C2)": ((lambda: lost(1.0), lambda: lost(0.0), lambda: lost(0.5)), 0, 0.5),
    "effect of a circuit (C2b)": (
        (lambda: effect(1.0), lambda: effect(0.0), lambda: effect(0.5)), 0, 0.5,
    ),
    "explained variance (C2c, C8a-c)": (
        (lambda: explained(0.0), lambda: explained(4.0), lambda: explained(2.0)), -1, 0,
    ),
    "picked (C3a)": ((lambda: picked(1.0), lambda: picked(0.0), lambda: picked(0.25)), 0, 0.25),
    "knock-out (C3b)": (
        (lambda: without_heads(1.0), lambda: without_heads(-1.0),
         lambda: without_heads(0.0)), -1, 0,
    ),
    "agreement (C3c)": (
        (lambda: correlation(NOISE[0], NOISE[0]), lambda: correlation(NOISE[0], -NOISE[0]),
         lambda: correlation(*NOISE)), -1, 0,
    ),
    "predicted latents (C3d)": (
        (lambda: predicted(1.0), lambda: predicted(-1.0), lambda: predicted(0.0)), -1, 0,
    ),
    "selectivity (C2d, C4, C5, C9)": (
        (lambda: selectivity(edits(1, 0)).value, lambda: selectivity(edits(0, 1)).value,
         lambda: selectivity(edits(0.4, 0.4)).value), -1, 0,
    ),
    "ways walked (C6a, C6b)": (
        (lambda: contrast([hits(edits(1, 0))], [], range(20)).value,
         lambda: contrast([hits(edits(0, 0))], [], range(20)).value,
         lambda: contrast([hits(edits(0.5, 0))], [], range(20)).value), 0, 0.5,
    ),
    "edits carried (C7c)": (
        (lambda: carried((0.9, 0.1), (0.9, 0.1)), lambda: carried((0.9, 0.1), (0.1, 0.9)),
         lambda: carried((0.9, 0.1), (0.3, 0.3))), -1, 0,
    ),
    "net probe accuracy (C7b)": (
        (lambda: net(1.0), lambda: net(0.0), lambda: net(0.25)), -1 / 3, 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(METRICS))
def test_the_best_the_worst_and_chance(name):
    (best, worst, chance), lowest, usual = METRICS[name]
    near = pytest.approx(1, abs=0.03 if "mean over" in name else 1e-6)
    assert best() == near
    assert worst() == pytest.approx(lowest, abs=0.03)
    assert chance() == pytest.approx(usual, abs=0.06)
