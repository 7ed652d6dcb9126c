"""One run's tables come down to metrics and claims; runs are compared as params.yaml lists them."""

import json
import math
import shutil

import pandas as pd
import pytest
from planted import SITE, at_both_sites, knockout_rows, ledger, run_tables

from mazewm.claims import comparison
from mazewm.claims.run import score_run
from mazewm.claims.statistics import wilson
from mazewm.io.errors import BadInput
from mazewm.localize.locations import PAPER_LOCATION
from mazewm.run import Run

IDS = [
    "W1a",
    "W1b",
    "C1",
    "C2",
    "C3a",
    "C3b",
    "C4a",
    "C4b",
    "C4c",
    "C5",
    "C6a",
    "C6b",
    "C8a",
    "C8b",
    "C8c",
    "C8d",
]


@pytest.fixture(scope="module")
def scored():
    return score_run(run_tables(), 0.5)


def leaves(tree, way=()):
    if isinstance(tree, dict):
        for name, inner in tree.items():
            yield from leaves(inner, (*way, name))
    else:
        yield way, tree


def test_claims_of_a_run(scored):
    assert [one.id for one in scored.claims] == IDS
    verdicts = {one.id: one.verdict for one in scored.claims if not one.id.startswith("C8")}
    # 17 of 23 additions and 3 of 23 removals follow, 2 of 23 of the best control each. Of the five
    # whose tokens follow, one addition at one token and three removals do. Own paths on longer
    # prompts: 7 of 23; as tokens 5 of 23 follow, within the training lengths and beyond.
    assert verdicts == dict.fromkeys(IDS[:-4], "supported") | dict.fromkeys(
        ("C4b", "C5", "C6b"), "undecided"
    )
    by_id = {one.id: one for one in scored.claims}
    assert (
        by_id["C4a"].value.value == pytest.approx(17 / 23)
        and by_id["C4a"].control.name == "other_connection"
    )
    assert by_id["C5"].value.value == pytest.approx(-2 / 5)
    assert by_id["C4c"].value.value == by_id["C6a"].value.value == pytest.approx(11 / 23)
    # Unchanged mazes, all solved, are in the ledger too: they follow nothing, and control nothing.
    assert (
        by_id["C6a"].control.value.value == pytest.approx(5 / 23)
        and by_id["C6a"].control.name == "tokens"
    )


def test_claims_turn_with_the_tables():
    tables = run_tables(
        ledger=at_both_sites(ledger(adds=1, removes=19, controls=8)), knockouts=knockout_rows({})
    )
    verdicts = {one.id: one.verdict for one in score_run(tables, 0.95).claims if one.id < "C5"}
    expected = {
        "C1": "supported",
        "C2": "supported",
        "C3a": "supported",
        "C3b": "unmeasured",
        "C4a": "refuted",
        "C4b": "supported",
    }
    assert verdicts == expected | {"C4c": "supported"}


def test_a_run_that_solves_nothing_is_unmeasured():
    scored = score_run(run_tables(ledger=at_both_sites(ledger(solved=[0] * 23))), 0.5)
    assert {one.verdict for one in scored.claims if one.id in ("C4a", "C4b", "C5")} == {
        "unmeasured"
    }
    metrics = scored.metrics["interventions"]["consolidation"]
    assert "recovered_effect" not in metrics["add"] and metrics["add"]["n_not_solved_before"] == 23
    json.dumps(scored.metrics, allow_nan=False)


def test_metrics_by_hand(scored):
    metrics = scored.metrics
    assert metrics["behaviour"]["test"]["solved"] == wilson(7, 11).as_metrics()
    assert metrics["behaviour"]["overload"]["valid"]["value"] == pytest.approx(2 / 11, abs=1e-6)
    assert metrics["behaviour"]["solved_by_path_length"]["3"]["n"] == 6
    assert metrics["consolidation"] == {"layer": 0, "token_class": "c2", "probe_accuracy": 0.97}
    assert metrics["sae"]["0_resid_post"]["trained"] == {
        "explained_variance": 0.9,
        "l0": 5.0,
        "n_dead": 3,
    }
    assert metrics["sae"]["0_resid_post"]["spliced"]["loss_recovered"] == 0.9
    here = metrics["features"]["consolidation"]
    assert (
        here["latents"]["mcc"]["value"] == pytest.approx(0.9)
        and here["latents_per_connection"]["value"] == 2
    )
    assert metrics["faithfulness"]["binding"] == {"value": 0.9, "n_heads": 1, "n": 11}
    added = metrics["interventions"]["consolidation"]["add"]
    assert (added["latents"]["dose"], added["latents"]["where"], added["latents"]["n"]) == (
        2.0,
        "all",
        23,
    )
    assert added["recovered_effect"] == pytest.approx((17 - 2) / (19 - 2), abs=1e-6)
    assert (
        added["tokens"]["value"] == pytest.approx(5 / 23, abs=1e-6)
        and added["n_not_solved_before"] == 0
    )
    assert metrics["interventions"]["consolidation"]["remove"]["recovered_effect"] == pytest.approx(
        1 / 17, abs=1e-6
    )


def test_the_papers_site_stands_beside_another_that_was_found(scored):
    metrics = scored.metrics
    assert (
        set(metrics["features"])
        == set(metrics["interventions"])
        == {"consolidation", "writing", "paper"}
    )
    assert metrics["sites"] == {
        "consolidation": str(SITE),
        "writing": str(SITE),
        "paper": str(PAPER_LOCATION),
    }
    assert metrics["features"]["paper"]["latents"]["mcc"]["value"] == pytest.approx(0.1)
    assert metrics["interventions"]["paper"]["add"]["latents"]["value"] == pytest.approx(
        4 / 23, abs=1e-6
    )
    same = score_run(
        run_tables(
            PAPER_LOCATION, PAPER_LOCATION, ledger=ledger().assign(site=str(PAPER_LOCATION))
        ),
        0.5,
    ).metrics
    assert set(same["features"]) == set(same["interventions"]) == {"consolidation", "writing"}


def test_metrics_are_plain_scalars(scored):
    for way, value in leaves(scored.metrics):
        assert all(isinstance(name, str) for name in way), way
        assert type(value) in (int, float, str), (way, type(value))
        assert not isinstance(value, float) or math.isfinite(value), way


NEEDED = {"learned-all-0": 2.0, "learned-all-1": 2.1, "rotary-all-0": 1.0, "rotary-all-1": 1.1}
RUNS = [Run.named(name) for name in NEEDED]


@pytest.fixture
def folders(tmp_path, scored):
    """Four runs on disk, and a fifth that nobody asked for and that nobody could read."""
    runs, tables = tmp_path / "runs", tmp_path / "tables"
    for name in (*NEEDED, "none-all-7"):
        metrics = json.loads(json.dumps(scored.metrics))
        metrics["features"]["consolidation"]["latents_per_connection"]["value"] = NEEDED.get(
            name, 99.0
        )
        (tables / name).mkdir(parents=True)
        runs.mkdir(exist_ok=True)
        (runs / f"{name}.json").write_text(json.dumps(metrics) if name in NEEDED else "spoilt")
        (tables / name / "claims.json").write_text(
            json.dumps({one.id: one.as_json() for one in scored.claims})
        )
        for table in comparison.TABLES:
            pd.DataFrame({"value": [NEEDED.get(name, 99.0), 0.5]}).to_csv(
                tables / name / f"{table}.csv", index=False
            )
    return tmp_path


def test_only_the_configured_runs_are_read(folders):
    found = comparison.compare(RUNS, folders)
    assert list(found.summary) == list(NEEDED)
    assert list(found.claims["runs"]) == list(NEEDED) and list(found.claims["encodings"]) == [
        "learned-all",
        "rotary-all",
    ]
    assert set(found.curves) == set(comparison.TABLES)
    for curve in found.curves.values():
        assert curve.run.tolist() == [name for name in NEEDED for _ in range(2)]
        assert curve.value.tolist() == [
            value for needed in NEEDED.values() for value in (needed, 0.5)
        ]
    two = comparison.compare(RUNS[1:3], folders)
    assert list(two.summary) == ["learned-all-1", "rotary-all-0"]


def test_a_run_without_rows_does_not_spoil_the_others(folders):
    (folders / "tables" / "learned-all-1" / "steering.csv").write_text("value\n")
    assert comparison.compare(RUNS, folders).curves["steering"].value.dtype == float


def test_claims_are_keyed_by_id_pooled_over_seeds_and_c7_is_about_all_runs(folders):
    found = comparison.compare(RUNS, folders)
    assert (
        list(found.claims["runs"]["rotary-all-1"])
        == list(found.claims["encodings"]["learned-all"])
        == IDS
    )
    assert found.claims["encodings"]["learned-all"]["C1"]["n_seeds"] == 2
    seven = found.claims["comparison"]["C7a"]
    assert list(found.claims["comparison"]) == ["C7a", "C7b", "C7c", "C7d", "C7e"]
    assert (
        seven["verdict"] == "undecided" and seven["value"] == pytest.approx(1.0) and seven["n"] == 2
    )
    assert seven["gap_low"] > 0, "two seeds of each can be parted in six ways only"
    alone = comparison.compare(RUNS[1:3], folders).claims["comparison"]["C7a"]
    assert alone["verdict"] == "unmeasured" and "one seed" in alone["reason"]
    json.dumps(found.claims, allow_nan=False)
    json.dumps(found.summary, allow_nan=False)


def test_what_figures_draw_of_all_runs(folders):
    found = comparison.compare(RUNS, folders)
    added = found.effects[(found.effects.kind == "add") & (found.effects.method == "latents")]
    assert added.run.tolist() == list(NEEDED) and added.value.tolist() == pytest.approx(
        [17 / 23] * 4, abs=1e-6
    )
    assert (
        found.code[found.code.id == "C7a"].value.tolist() == list(NEEDED.values())
        and found.threshold == 0.5
    )


def test_the_headline_of_a_run(folders, scored):
    one = comparison.compare(RUNS, folders).summary["learned-all-1"]
    assert one["solved"] == pytest.approx(7 / 11, abs=1e-6) and one[
        "solved_overload"
    ] == pytest.approx(1 / 11, abs=1e-6)
    assert one["consolidation"] == one["writing"] == str(SITE)
    assert one["latents_per_connection"] == 2.1 and one["mcc"] == pytest.approx(0.9)
    assert one["follows_edit_add"] == pytest.approx(17 / 23, abs=1e-6)
    assert one["follows_edit_add_mean_difference"] == pytest.approx(19 / 23, abs=1e-6)
    assert one["recovered_effect_add"] == pytest.approx(15 / 17, abs=1e-6)
    assert one["follows_edit_remove"] == pytest.approx(3 / 23, abs=1e-6)
    assert one["verdicts"] == {claim.id: claim.verdict for claim in scored.claims}


@pytest.mark.parametrize("spoil", ["runs", "tables"])
def test_a_run_that_cannot_be_read_is_named(folders, spoil):
    path = folders / (
        "runs/rotary-all-0.json" if spoil == "runs" else "tables/rotary-all-0/claims.json"
    )
    path.write_text("spoilt")
    with pytest.raises(BadInput, match="rotary-all-0"):
        comparison.compare(RUNS, folders)


def test_encodings_are_compared_within_an_objective(folders):
    """C7 is about encodings: a run with another objective is no other encoding."""
    for name in ("learned-path-0", "rotary-path-0"):
        twin = name.replace("path", "all")
        (folders / "runs" / f"{name}.json").write_text(
            (folders / "runs" / f"{twin}.json").read_text()
        )
        shutil.copytree(folders / "tables" / twin, folders / "tables" / name)
    found = comparison.compare(
        [*RUNS, Run.named("learned-path-0"), Run.named("rotary-path-0")], folders
    ).claims
    assert list(found["encodings"]) == ["learned-all", "rotary-all", "learned-path", "rotary-path"]
    ids = ["C7a", "C7b", "C7c", "C7d", "C7e"]
    assert list(found["comparison"]) == [f"{id} all" for id in ids] + [f"{id} path" for id in ids]
    assert (
        found["comparison"]["C7a all"]["verdict"] == "undecided"
        and found["comparison"]["C7a all"]["n"] == 2
    )
    assert found["comparison"]["C7a path"]["verdict"] == "unmeasured"
