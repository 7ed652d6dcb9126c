"""One run's tables come down to metrics and claims; runs are compared as params.yaml lists them."""

import json
import math
import shutil

import pandas as pd
import pytest
from planted import SITE, knockout_rows, run_tables
from planted_edits import N_PAIRS, WRITING, ledger, pairs

from mazewm.claims import comparison
from mazewm.claims.run import score_run
from mazewm.claims.statistics import wilson
from mazewm.io.errors import BadInput
from mazewm.localize.locations import PAPER_LOCATION
from mazewm.run import Run

IDS = [
    "W1a",
    "W1b",
    "W1c",
    "C1",
    "C2",
    "C2b",
    "C2c",
    "C2d",
    "C3a",
    "C3b",
    "C3c",
    "C3d",
    "C4a",
    "C4b",
    "C4c",
    "C4d",
    "C4e",
    "C5",
    "C5c",
    "C5d",
    "C6a",
    "C6b",
    "C6c",
    "C8a",
    "C8b",
    "C8c",
    "C8d",
    "C9",
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
    by_id = {one.id: one for one in scored.claims}
    verdicts = {one.id: one.verdict for one in scored.claims}
    for id in (
        "W1a",
        "W1b",
        "W1c",
        "C1",
        "C2",
        "C3a",
        "C3b",
        "C4a",
        "C4b",
        "C4c",
        "C4d",
        "C6a",
        "C6c",
    ):
        assert verdicts[id] == "supported", id
    assert verdicts["C9"] == "supported" and "unmeasured" not in verdicts.values()
    assert by_id["C4a"].value.value == pytest.approx(0.75)
    assert by_id["C4a"].control.name == "the blind walker"
    assert by_id["C5"].by_convention and by_id["C6b"].value.value == pytest.approx(0.8)


def test_claims_turn_with_the_tables():
    book = ledger(add={("latents", 1): (0.1, 0.05)}, remove={("latents", 1): (0.9, 0.0)})
    tables = run_tables(ledger=book, pairs=pairs(book), knockouts=knockout_rows({}))
    verdicts = {one.id: one.verdict for one in score_run(tables, 0.95).claims}
    expected = {"C1": "supported", "C2": "supported", "C3a": "supported", "C3b": "unmeasured"}
    expected |= {"C4a": "not beyond the control", "C4b": "supported", "C5": "refuted"}
    assert {id: verdicts[id] for id in expected} == expected


def test_a_run_that_solves_nothing_is_unmeasured():
    book = ledger()
    for name in [name for name in book if name.startswith(("n_affected", "n_hit"))]:
        book[name] = 0
    book = book.assign(n_unaffected=0, n_spill=0)
    scored = score_run(run_tables(ledger=book, pairs=pairs(book)), 0.5)
    measured = {one.id for one in scored.claims if one.verdict != "unmeasured"}
    about_edits = {"C4a", "C4b", "C4c", "C4d", "C4e", "C5", "C5c", "C5d", "C6a", "C6b", "C9"}
    assert not measured & about_edits
    json.dumps(scored.metrics, allow_nan=False)


@pytest.mark.parametrize(("n_solved", "is_studied"), [(5, False), (6, True), (0, False)])
def test_a_model_that_solves_less_than_half_is_not_studied(n_solved, is_studied):
    """Of 11 test mazes. Overload mazes do not count."""
    rows = run_tables().behaviour
    test = rows.split == "test"
    rows = rows.assign(solved=(test & (rows.maze_id < n_solved)) | ~test)
    claims = {one.id: one for one in score_run(run_tables(behaviour=rows), 0.5).claims}
    assert list(claims) == IDS
    for id in ("W1a", "W1b", "W1c"):
        assert claims[id].verdict == "supported"
    unmeasured = {id for id, one in claims.items() if one.verdict == "unmeasured"}
    if is_studied:
        assert not unmeasured
        return
    assert unmeasured == set(IDS) - {"W1a", "W1b", "W1c"}
    share = {5: "45.5%", 0: "0.0%"}[n_solved]
    reasons = {claims[id].reason for id in unmeasured}
    assert reasons == {f"the model solves only {share} of held-out mazes, less than 50%"}
    assert all(claims[id].value.n == 0 for id in unmeasured)


def test_metrics_by_hand(scored):
    metrics = scored.metrics
    assert metrics["behaviour"]["test"]["solved"] == wilson(7, 11).as_metrics()
    assert metrics["behaviour"]["overload"]["valid"]["value"] == pytest.approx(2 / 11, abs=1e-6)
    assert metrics["behaviour"]["solved_by_path_length"]["3"]["n"] == 6
    assert metrics["consolidation"] == {
        "layer": 0,
        "token_class": "c2",
        "probe_accuracy": 0.97,
        "identity_accuracy": 0.1,
    }
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
    added = metrics["interventions"]["add"]
    assert added["latents_1"]["dose"] == 2.0 and added["latents_1"]["n"] == N_PAIRS
    assert added["tokens"]["value"] == pytest.approx(1.0)
    assert metrics["interventions"]["move"]["add_only_1"]["value"] == pytest.approx(0.2)


def test_the_papers_site_stands_beside_another_that_was_found(scored):
    metrics = scored.metrics
    assert set(metrics["features"]) == {"consolidation", "paper"}
    assert metrics["sites"] == {
        "consolidation": str(SITE),
        "writing": str(WRITING),
        "paper": str(PAPER_LOCATION),
    }
    assert metrics["features"]["paper"]["latents"]["mcc"]["value"] == pytest.approx(0.1)
    same = score_run(run_tables(PAPER_LOCATION), 0.5).metrics
    assert set(same["features"]) == {"consolidation", "source"}


def test_curves_are_all_that_is_compared_but_their_run(scored):
    assert set(scored.curves) == set(comparison.TABLES)


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
        needed = NEEDED.get(name, 99.0)
        metrics["features"]["consolidation"]["latents_per_connection"]["value"] = needed
        metrics["code"]["latents_needed"]["value"] = needed
        (tables / name).mkdir(parents=True)
        runs.mkdir(exist_ok=True)
        (runs / f"{name}.json").write_text(json.dumps(metrics) if name in NEEDED else "spoilt")
        (tables / name / "claims.json").write_text(
            json.dumps({one.id: one.as_json() for one in scored.claims})
        )
        for table in comparison.TABLES:
            pd.DataFrame({"value": [needed, 0.5]}).to_csv(
                tables / name / f"{table}.csv", index=False
            )
        scored.curves["geometry"].to_csv(tables / name / "geometry.csv", index=False)
    return tmp_path


def test_only_the_configured_runs_are_read(folders):
    found = comparison.compare(RUNS, folders)
    assert list(found.summary) == list(NEEDED)
    assert list(found.claims["runs"]) == list(NEEDED) and list(found.claims["encodings"]) == [
        "learned-all",
        "rotary-all",
    ]
    assert set(found.curves) == set(comparison.TABLES) - {"geometry"}
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
    by_recipe = found.claims["encodings"]["learned-all"]
    assert list(found.claims["runs"]["rotary-all-1"]) == list(by_recipe) == IDS
    assert by_recipe["C1"]["n_seeds"] == 2
    between = found.claims["comparison"]
    assert list(between) == [*SEVEN, "C10"]
    assert {one["verdict"] for one in between.values()} == {"unmeasured"}
    assert "the smallest p that 2 and 2 runs can give is 0.33" in between["C7e"]["reason"]
    assert "only one objective, all" in between["C10"]["reason"]
    shown = between["C7e"]["values"]["latents per connection (undetected: 8)"]
    assert shown["learned"]["value"] == pytest.approx(2.05) and shown["learned"]["n_seeds"] == 2
    assert shown["rotary"]["seeds"] == {"0": 1.0, "1": 1.1}
    assert shown["learned"]["low"] < 2.05 < shown["learned"]["high"]
    json.dumps(found.claims, allow_nan=False)
    json.dumps(found.summary, allow_nan=False)


SEVEN = ["C7a", "C7b", "C7c", "C7d", "C7e", "C7f"]


def test_what_is_compared_of_all_runs(folders):
    found = comparison.compare(RUNS, folders)
    needed = found.code[found.code.key == "latents_needed"]
    assert needed.value.tolist() == list(NEEDED.values()) and found.threshold == 0.5
    assert set(found.code.id) == {*SEVEN[:-1], "C10"}
    assert set(found.code.key) == set(comparison.COMPARED), "a run has every number"
    assert len(found.similarities) == 2 * 6 and found.similarities.rsa.to_numpy() == pytest.approx(
        1
    )


def test_the_headline_of_a_run(folders, scored):
    one = comparison.compare(RUNS, folders).summary["learned-all-1"]
    assert one["solved"] == pytest.approx(7 / 11, abs=1e-6) and one[
        "solved_overload"
    ] == pytest.approx(1 / 11, abs=1e-6)
    assert (one["consolidation"], one["writing"]) == (str(SITE), str(WRITING))
    assert one["latents_per_connection"] == 2.1 and one["mcc"] == pytest.approx(0.9)
    assert one["selectivity_add"] == {
        "latents_1": pytest.approx(0.75), "latents_3": pytest.approx(0.8),
        "mean_difference": pytest.approx(0.9), "random_direction": pytest.approx(0.0),
    }  # fmt: skip
    assert set(one["selectivity_move"]) == set(one["selectivity_add"])
    assert one["verdicts"] == {claim.id: claim.verdict for claim in scored.claims}


def test_small_mazes_have_no_moves(scored):
    without = {name: one for name, one in scored.metrics["interventions"].items() if name != "move"}
    one = comparison.headline(scored.metrics | {"interventions": without})
    assert one["selectivity_move"] == {} and one["selectivity_add"]


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
    of_seven = [f"{id} {objective}" for objective in ("all", "path") for id in SEVEN]
    assert list(found["comparison"]) == [*of_seven, "C10"]
    shown = found["comparison"]["C7e all"]["values"]["latents per connection (undetected: 8)"]
    assert shown["learned"]["n_seeds"] == 2, "and not the run with another objective"
    ten = found["comparison"]["C10"]
    assert "too few pairs: the smallest p that 2 can give is 0.5" in ten["reason"]
    recipes = ["learned-all", "rotary-all", "learned-path", "rotary-path"]
    assert list(ten["values"]["share of binding at ;"]) == recipes
